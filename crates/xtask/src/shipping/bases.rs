//! Base images under the names that the Dockerfiles use, made with debootstrap, for machines that reach Debian's packages
//! but no registry of images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::run::{execute, root, run, target, text};

/// The release of Debian that the Dockerfiles name.
pub(crate) const RELEASE: &str = "bookworm";

/// The variable that names another mirror than [`MIRROR`].
const MIRROR_VARIABLE: &str = "DEBIAN_MIRROR";
const MIRROR: &str = "http://deb.debian.org/debian";

/// What official slim images leave out of Debian's packages, and what bootstrapping leaves behind.
const LEFT_OUT: &[&str] = &[
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
];

/// apt keeps neither packages nor their index, as in official images.
const APT_SETTINGS: &str = "Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
                            Binary::apt-get::APT::Keep-Downloaded-Packages \"false\";\nAcquire::Languages \"none\";\n";

/// Where the base with Rust has the certificates of this machine.
const CERTIFICATES: &str = "/usr/local/share/certificates.crt";

/// Containers run without an engine, as processes in a changed root.
pub(crate) const ISOLATION: [&str; 2] = ["--isolation", "chroot"];

/// Makes the base images that are not in buildah's storage.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let debian = format!("docker.io/library/debian:{RELEASE}-slim");
    if !has_image(&debian) {
        debian_base(&debian)?;
    }
    let version = rust_version()?;
    let rust = format!("docker.io/library/rust:{version}-slim-{RELEASE}");
    if !has_image(&rust) {
        rust_base(&rust, &debian, &version)?;
    }
    Ok(())
}

/// Debian without documentation.
fn debian_base(name: &str) -> anyhow::Result<()> {
    let folder = target().join("images").join(RELEASE);
    bootstrap(&folder)?;
    for left_out in LEFT_OUT {
        for entry in fs::read_dir(folder.join(left_out))? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
    }
    fs::write(folder.join("etc/apt/apt.conf.d/no-cache"), APT_SETTINGS)?;
    let container = Container::from("scratch")?;
    container.add(&folder, "/")?;
    buildah(&["config", "--cmd", "bash", &container.id])?;
    container.commit(name)?;
    Ok(fs::remove_dir_all(folder)?)
}

/// Fills `folder`, which it empties first, with a minimal Debian.
///
/// # Errors
/// When debootstrap fails; it needs root.
pub(crate) fn bootstrap(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mirror = std::env::var(MIRROR_VARIABLE).unwrap_or_else(|_| MIRROR.to_owned());
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", RELEASE]).arg(folder.canonicalize()?).arg(&mirror).stdout(Stdio::null());
    execute(command).with_context(|| format!("no Debian from {mirror}; {MIRROR_VARIABLE} names another mirror"))
}

/// Debian with a C compiler and the Rust that runs us.
fn rust_base(name: &str, debian: &str, version: &str) -> anyhow::Result<()> {
    let found = output(Command::new("rustc").arg("--version"))?;
    ensure!(found.split(' ').nth(1) == Some(version), "the Dockerfiles need Rust {version}; this is {}", found.trim());
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let container = Container::from(debian)?;
    let packages = "apt-get update && apt-get install --yes --no-install-recommends ca-certificates gcc libc6-dev \
                    && rm -rf /var/lib/apt/lists/*";
    container.run(&["sh", "-c", packages])?;
    for part in ["bin", "lib"] {
        container.add(&sysroot.join(part), &format!("/usr/local/cargo/{part}"))?;
    }
    // How this machine reaches crates.io, so that builds in containers do too.
    let certificates =
        std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| "/etc/ssl/certs/ca-certificates.crt".to_owned());
    if Path::new(&certificates).is_file() {
        // Not where Debian's are, which images copy.
        container.add(Path::new(&certificates), CERTIFICATES)?;
        buildah(&["config", "--env", &format!("CARGO_HTTP_CAINFO={CERTIFICATES}"), &container.id])?;
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    if let Some(settings) = home.map(|home| home.join("config.toml")).filter(|path| path.is_file()) {
        container.add(&settings, "/usr/local/cargo/config.toml")?;
    }
    let path = "PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    buildah(&["config", "--env", "CARGO_HOME=/usr/local/cargo", "--env", path, &container.id])?;
    container.commit(name)
}

/// The version of Rust that the Dockerfiles name.
fn rust_version() -> anyhow::Result<String> {
    let path = root().join("docker/worker.Dockerfile");
    let file = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let version = file.lines().find_map(|line| line.strip_prefix("ARG RUST_VERSION="));
    Ok(version.with_context(|| format!("{} names no RUST_VERSION", path.display()))?.to_owned())
}

/// A container of buildah's; removed with this value.
pub(crate) struct Container {
    pub(crate) id: String,
}

impl Container {
    /// A container of an image that is in buildah's storage, or of `scratch`.
    pub(crate) fn from(image: &str) -> anyhow::Result<Self> {
        let id = output(Command::new("buildah").args(["from", "--quiet", "--pull-never", image]))?;
        Ok(Self { id: id.trim().to_owned() })
    }

    fn add(&self, path: &Path, to: &str) -> anyhow::Result<()> {
        let path = path.canonicalize()?;
        buildah(&["add", "--quiet", &self.id, &path.to_string_lossy(), to])
    }

    /// Runs a program in the container, as its user.
    pub(crate) fn run(&self, words: &[&str]) -> anyhow::Result<()> {
        buildah(&[&["run"], &ISOLATION[..], &[&self.id, "--"], words].concat())
    }

    fn commit(&self, name: &str) -> anyhow::Result<()> {
        buildah(&["commit", "--quiet", &self.id, name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its storage is all that is lost otherwise.
        let _ = Command::new("buildah").args(["rm", &self.id]).stdout(Stdio::null()).status();
    }
}

fn buildah(words: &[&str]) -> anyhow::Result<()> {
    run("buildah", words)
}

fn has_image(name: &str) -> bool {
    let inspect = Command::new("buildah").args(["inspect", "--type", "image", name]).output();
    inspect.is_ok_and(|output| output.status.success())
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", text(command), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
