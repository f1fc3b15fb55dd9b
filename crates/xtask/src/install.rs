use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{exists, root, run, target};

/// A program that tests need, and the Debian package that has it.
const NEEDED: [(&str, &str); 6] = [
    ("redis-server", "redis-server"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // Kernels for GPUs are tried as C++.
    ("c++", "g++"),
    // The clock of a service under test jumps.
    ("faketime", "faketime"),
    // Checks the types of the page.
    ("tsc", "node-typescript"),
];

/// What images and packages are built and tried with.
const FOR_SHIPPING: [(&str, &str); 6] = [
    ("buildah", "buildah"),
    ("debootstrap", "debootstrap"),
    ("curl", "curl"),
    ("dpkg-deb", "dpkg"),
    ("objdump", "binutils"),
    ("redis-server", "redis-server"),
];

/// What the page's unit tests run in, and what fetches the readers that tests open exports with.
const FOR_SCRIPTS: [(&str, &str); 3] = [("node", "nodejs"), ("npm", "npm"), ("python3", "python3-venv")];

/// Half a gigabyte, so that only CI needs it.
const FOR_CI: [(&str, &str); 1] = [("soffice", "libreoffice-impress")];

/// Fonts that pages in Chromium need: without them, Korean is boxes.
const FONTS: [&str; 2] = ["fonts-dejavu-core", "fonts-noto-cjk"];

/// What the posters of the draft engine's benchmark are rendered with.
const FOR_POSTERS: [(&str, &str); 3] =
    [("chromium", "chromium"), ("chromedriver", "chromium-driver"), ("fc-list", "fontconfig")];

/// A family of each package of fonts that those posters use; the benchmark knows all of them, and checks.
const POSTER_FONTS: [(&str, &str); 7] = [
    ("DejaVu Sans", "fonts-dejavu-core"),
    ("DejaVu Serif Condensed", "fonts-dejavu-extra"),
    ("Liberation Sans", "fonts-liberation"),
    ("Nanum Pen Script", "fonts-nanum-extra"),
    ("NanumMyeongjo", "fonts-nanum"),
    ("Noto Sans CJK KR", "fonts-noto-cjk"),
    ("BM DoHyeon", "fonts-woowa-bm"),
];

/// The oldest node whose test runner takes hooks.
const OLDEST_NODE: (u32, u32) = (18, 19);

/// Options for what this machine lacks.
#[derive(Clone, Copy, Default, clap::Args)]
pub(crate) struct InstallOptions {
    /// Install missing Debian packages with sudo; without it, a user other than root is told the command
    #[arg(long)]
    pub install: bool,
}

/// What is done about missing packages.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Nothing,
    /// Run apt-get, with sudo or as root.
    Install {
        sudo: bool,
    },
    /// Stop: the reason, and the command that helps.
    Stop(String),
}

/// What decides whether packages are installed.
#[derive(Clone, Copy)]
struct Machine {
    has_apt: bool,
    is_root: bool,
}

/// Installs what the tests start and this machine does not have, or says how to.
pub(crate) fn install_test_programs(options: InstallOptions) -> anyhow::Result<()> {
    install(&missing_packages(&exists, has_venv(), is_ci()), options)?;
    check_node()
}

/// Installs what posters are rendered with and this machine does not have, or says how to.
pub(crate) fn install_poster_programs(options: InstallOptions) -> anyhow::Result<()> {
    install(&missing_for_posters(&exists, &has_font), options)
}

/// Installs what images and packages are built and tried with and this machine does not have, or says how to. Fails for
/// anyone but root, which making a Debian and changing the root of programs needs.
pub(crate) fn install_shipping_programs(options: InstallOptions) -> anyhow::Result<()> {
    if !is_root() {
        bail!("this makes Debian systems with debootstrap and runs programs in them, which needs root");
    }
    let missing = FOR_SHIPPING.iter().filter(|(program, _)| !exists(program));
    install(&missing.map(|(_, package)| *package).collect::<Vec<_>>(), options)
}

fn install(packages: &[&str], options: InstallOptions) -> anyhow::Result<()> {
    let machine = Machine { has_apt: exists("apt-get"), is_root: is_root() };
    match decide(packages, machine, options) {
        Decision::Nothing => {}
        Decision::Stop(reason) => bail!(reason),
        Decision::Install { sudo } => {
            println!("Installing Debian packages: {}", packages.join(" "));
            apt_get(sudo, &["update"])?;
            apt_get(sudo, &[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
        }
    }
    Ok(())
}

/// The Debian packages of the programs and fonts that are missing.
fn missing_for_posters(exists: &dyn Fn(&str) -> bool, has_font: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    let programs = FOR_POSTERS.iter().filter(|(program, _)| !exists(program));
    let fonts = POSTER_FONTS.iter().filter(|(family, _)| !has_font(family));
    programs.chain(fonts).map(|(_, package)| *package).collect()
}

/// The Debian packages of the programs that are missing.
fn missing_packages(exists: &dyn Fn(&str) -> bool, has_venv: bool, is_ci: bool) -> Vec<&'static str> {
    let for_ci: &[_] = if is_ci { &FOR_CI } else { &[] };
    let wanted = NEEDED.iter().chain(&FOR_SCRIPTS).chain(for_ci);
    // Debian's python3 comes without the module that makes environments.
    let is_there = |program: &str| exists(program) && (program != "python3" || has_venv);
    let mut packages: Vec<_> = wanted.filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if packages.contains(&"chromium") {
        packages.extend(FONTS);
    }
    packages
}

/// Root installs; anyone else is told the command, or has it run when they ask for it.
fn decide(packages: &[&str], machine: Machine, options: InstallOptions) -> Decision {
    if packages.is_empty() {
        return Decision::Nothing;
    }
    let list = packages.join(" ");
    if !machine.has_apt {
        let reason = format!("these Debian packages are needed, or your system's counterparts: {list}");
        return Decision::Stop(reason);
    }
    if machine.is_root || options.install {
        return Decision::Install { sudo: !machine.is_root };
    }
    let command = format!("sudo apt-get install --no-install-recommends {list}");
    Decision::Stop(format!("packages are missing; run\n  {command}\nor pass --install"))
}

/// A node that did not come from the package may be too old.
fn check_node() -> anyhow::Result<()> {
    let output = Command::new("node").arg("--version").output().context("node cannot be started")?;
    let version = String::from_utf8_lossy(&output.stdout);
    match node_version(&version) {
        Some(found) if found >= OLDEST_NODE => Ok(()),
        _ => {
            let (major, minor) = OLDEST_NODE;
            bail!("the tests need node {major}.{minor} or later; the one on the PATH is {}", version.trim())
        }
    }
}

/// (20, 19) of `v20.19.2`.
fn node_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Whether nobody is there to read a warning.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// Fills a folder with the libraries that tests open exports and check the page with; nothing of ours needs them
/// elsewhere. Answers with that folder.
pub(crate) fn install_readers() -> anyhow::Result<PathBuf> {
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
    run("python3", ["-m", "venv", "--clear", &path(readers.join("venv"))])?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(&path(readers.join("venv/bin/python")), pip.iter().copied().chain([path(requirements).as_str()]))?;
    std::fs::copy(package, readers.join("package.json"))?;
    let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    run("npm", npm.iter().copied().chain([path(readers.clone()).as_str()]))?;
    std::fs::write(note, list)?;
    Ok(readers)
}

fn apt_get(sudo: bool, arguments: &[&str]) -> anyhow::Result<()> {
    // Packages that ask questions would wait for an answer for ever.
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    words.extend(arguments);
    if sudo { run("sudo", words) } else { run(words[0], &words[1..]) }
}

fn has_venv() -> bool {
    Command::new("python3").args(["-c", "import ensurepip, venv"]).output().is_ok_and(|out| out.status.success())
}

fn has_font(family: &str) -> bool {
    Command::new("fc-list").arg(family).output().is_ok_and(|output| !output.stdout.trim_ascii().is_empty())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: Machine = Machine { has_apt: true, is_root: false };
    const ASKED: InstallOptions = InstallOptions { install: true };
    const NOT_ASKED: InstallOptions = InstallOptions { install: false };

    #[test]
    fn a_machine_that_lacks_nothing_is_left_alone() {
        assert!(missing_packages(&|_| true, true, true).is_empty());
        let root = Machine { has_apt: true, is_root: true };
        for machine in [DESK, root, Machine { has_apt: false, is_root: false }] {
            assert_eq!(decide(&[], machine, ASKED), Decision::Nothing);
        }
    }

    #[test]
    fn sudo_is_never_used_unasked() {
        let Decision::Stop(reason) = decide(&["faketime", "g++"], DESK, NOT_ASKED) else { panic!("not stopped") };
        assert!(reason.contains("\n  sudo apt-get install --no-install-recommends faketime g++\n"), "{reason}");
        assert_eq!(decide(&["faketime"], DESK, ASKED), Decision::Install { sudo: true });
    }

    #[test]
    fn root_installs_without_sudo() {
        let root = Machine { has_apt: true, is_root: true };
        for options in [ASKED, NOT_ASKED] {
            assert_eq!(decide(&["faketime"], root, options), Decision::Install { sudo: false });
        }
    }

    #[test]
    fn a_system_without_apt_is_told_what_is_needed() {
        for is_root in [false, true] {
            let decision = decide(&["chromium"], Machine { has_apt: false, is_root }, ASKED);
            assert!(matches!(&decision, Decision::Stop(reason) if reason.ends_with(": chromium")), "{decision:?}");
        }
    }

    #[test]
    fn only_what_is_missing_is_named() {
        let all_but = |missing: &'static str| move |program: &str| program != missing;
        assert_eq!(missing_packages(&all_but("tsc"), true, false), ["node-typescript"]);
        assert_eq!(missing_packages(&all_but("chromium"), true, false), ["chromium", FONTS[0], FONTS[1]]);
        assert_eq!(missing_packages(&|_| true, false, false), ["python3-venv"]);
        assert!(missing_packages(&all_but("soffice"), true, false).is_empty(), "only CI needs LibreOffice");
        assert_eq!(missing_packages(&all_but("soffice"), true, true), ["libreoffice-impress"]);
        let all = missing_packages(&|_| false, false, true);
        assert_eq!(all.len(), NEEDED.len() + FOR_SCRIPTS.len() + FOR_CI.len() + FONTS.len());
    }

    #[test]
    fn only_missing_fonts_and_browsers_are_named_for_posters() {
        assert!(missing_for_posters(&|_| true, &|_| true).is_empty());
        assert_eq!(missing_for_posters(&|program| program != "chromium", &|_| true), ["chromium"]);
        assert_eq!(missing_for_posters(&|_| true, &|family| family != "BM DoHyeon"), ["fonts-woowa-bm"]);
        let all = missing_for_posters(&|_| false, &|_| false);
        assert_eq!(all.len(), FOR_POSTERS.len() + POSTER_FONTS.len());
    }

    #[test]
    fn a_version_of_node_is_read() {
        assert_eq!(node_version("v18.20.4\n"), Some((18, 20)));
        assert_eq!(node_version("v24.0.0"), Some((24, 0)));
        for odd in ["node", "", "v", "v18", "18.20.4"] {
            assert_eq!(node_version(odd), None, "{odd}");
        }
    }
}
