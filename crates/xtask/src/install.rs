use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{exists, root, run, target};

/// A program that tests need, and the Debian package that has it.
const NEEDED: [(&str, &str); 5] = [
    ("redis-server", "redis-server"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // Kernels for GPUs are tried as C++.
    ("c++", "g++"),
    // The clock of a service under test jumps.
    ("faketime", "faketime"),
];

/// What brings the readers that tests open exports with.
const FOR_READERS: [(&str, &str); 3] = [("python3", "python3-venv"), ("node", "nodejs"), ("npm", "npm")];

/// Half a gigabyte, so that only CI takes it without being asked.
const FOR_CI: [(&str, &str); 1] = [("soffice", "libreoffice-impress")];

/// Fonts that pages in Chromium need: without them, Korean is boxes.
const FONTS: [&str; 2] = ["fonts-dejavu-core", "fonts-noto-cjk"];

/// Installs what the tests start and this machine does not have.
pub fn install_test_programs() -> anyhow::Result<()> {
    let mut wanted = NEEDED.to_vec();
    wanted.extend(FOR_READERS);
    if is_ci() {
        wanted.extend(FOR_CI);
    }
    let missing: Vec<_> = wanted.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !exists("apt-get") {
        bail!("the tests need {}; install them with your system's package manager", missing.join(", "));
    }
    println!("Installing {}", missing.join(", "));
    apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&missing);
    if missing.contains(&"chromium") {
        arguments.extend(FONTS);
    }
    apt_get(&arguments)
}

/// Whether nobody is there to read a warning.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// Fills a folder with the libraries that tests open exports and check the page with; nothing of ours needs them
/// elsewhere. Answers with that folder.
pub fn install_readers() -> anyhow::Result<PathBuf> {
    let wanted = root().join("crates/layers/tests/readers");
    let (requirements, package) = (wanted.join("requirements.txt"), wanted.join("package.json"));
    let target = target();
    std::fs::create_dir_all(target.join("readers"))?;
    let readers = target.join("readers").canonicalize()?;
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("{} is missing", path.display()));
    let list = read(&requirements)? + &read(&package)?;
    let note = readers.join("installed.txt");
    if std::fs::read_to_string(&note).is_ok_and(|installed| installed == list) {
        return Ok(readers);
    }
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    if !Command::new("python3").args(["-c", "import ensurepip, venv"]).output().is_ok_and(|out| out.status.success()) {
        apt_get(&["install", "--yes", "--no-install-recommends", "python3-venv"])?;
    }
    run("python3", ["-m", "venv", "--clear", &path(readers.join("venv"))])?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(&path(readers.join("venv/bin/python")), pip.iter().copied().chain([path(requirements).as_str()]))?;
    std::fs::copy(package, readers.join("package.json"))?;
    let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    run("npm", npm.iter().copied().chain([path(readers.clone()).as_str()]))?;
    std::fs::write(note, list)?;
    Ok(readers)
}

/// Every supported system of ours runs tests as root in CI and as a user at a desk.
fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    // Packages that ask questions would wait for an answer for ever.
    let mut words = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get"];
    words.extend(arguments);
    if is_root() { run("env", words) } else { run("sudo", [&["env"], words.as_slice()].concat()) }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
