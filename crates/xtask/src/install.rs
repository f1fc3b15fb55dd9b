use anyhow::bail;

use crate::run::{exists, run};

/// A program that tests need, and the Debian package that has it.
const NEEDED: [(&str, &str); 3] =
    [("redis-server", "redis-server"), ("chromium", "chromium"), ("chromedriver", "chromium-driver")];

/// Fonts that pages in Chromium need: without them, Korean is boxes.
const FONTS: [&str; 2] = ["fonts-dejavu-core", "fonts-noto-cjk"];

/// Installs what the tests start and this machine does not have.
pub fn install_test_programs() -> anyhow::Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect();
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

/// Every supported system of ours runs tests as root in CI and as a user at a desk.
fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    // Packages that ask questions would wait for an answer for ever.
    let mut words = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get"];
    words.extend(arguments);
    if is_root() { run("env", words) } else { run("sudo", [&["env"], words.as_slice()].concat()) }
}

fn is_root() -> bool {
    std::process::Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
