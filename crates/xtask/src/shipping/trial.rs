//! Installs the package in a new Debian and does what an administrator does. systemd does not run in a changed root, so
//! the programs are started as its units say.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use super::bases::{bootstrap, output};
use super::driver::{check_result, drive_job, wait_ready};
use super::process::{Process, free_port, redis};
use super::stage::{SETTINGS, STATE};
use super::unit::{self, PROGRAM_FOLDER, PROGRAMS, Unit};
use crate::run::{execute, exists, text};

/// The highest exposure that a unit may have by `systemd-analyze security`, times ten.
const EXPOSURE: &str = "15";

/// Mode, owner and group of a file.
type Access<'a> = (u32, &'a str, &'a str);

/// Has systemd read the units, with programs of the package's tree in `folder`.
pub(crate) fn check_units(folder: &Path) -> anyhow::Result<()> {
    if !exists("systemd-analyze") {
        println!("systemd-analyze is not installed; units are not checked");
        return Ok(());
    }
    let (units, programs) = (folder.join("units"), folder.join("tree"));
    fs::create_dir_all(&units)?;
    for program in PROGRAMS {
        let path = units.join(format!("{program}.service"));
        let start = format!("ExecStart={}{PROGRAM_FOLDER}", programs.display());
        // Neither program nor document is installed here.
        let text = unit::text(program)?.replace(&format!("ExecStart={PROGRAM_FOLDER}"), &start);
        let lines = text.lines().filter(|line| !line.starts_with("Documentation="));
        fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>())?;
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output()?;
        let words = String::from_utf8_lossy(&verified.stderr);
        // Units of this machine are read with it, and may have mistakes of their own.
        ensure!(verified.status.success() && !words.contains(program), "{program}.service: {words}");
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--no-pager", "--offline=true", "--threshold", EXPOSURE]).arg(&path);
        let report = output(&mut security).context("the unit is exposed too much")?;
        println!("{}", report.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// Installs `package` in `folder`, runs jobs with its services, removes and purges it.
pub(crate) fn try_package(folder: &Path, package: &Path) -> anyhow::Result<()> {
    let debian = Debian::new(folder.join("debian"))?;
    let name = package.file_name().context("a package without a name")?.to_string_lossy().into_owned();
    fs::copy(package, debian.root.join(&name))?;
    let file = format!("/{name}");
    debian.apt(&["install", &file])?;
    let access: [(&str, Access); 3] = [
        (SETTINGS, (0o640, "root", "unflatten")),
        (STATE, (0o750, "unflatten", "unflatten")),
        ("usr/bin/unflatten", (0o755, "root", "root")),
    ];
    for (path, expected) in access {
        debian.check_access(path, expected)?;
    }

    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    debian.set(&format!("PORT={port}\n"))?;
    let service = debian.start("unflatten")?;
    wait_ready(&url, "/readyz")?;
    let job = drive_job(&url, folder)?;
    stop(service)?;

    debian.apt(&["install", "--reinstall", &file])?;
    let service = debian.start("unflatten")?;
    wait_ready(&url, "/readyz").context("the settings did not survive")?;
    check_result(&url, &job, folder).context("the result did not survive")?;
    stop(service)?;

    let (_redis, redis_url) = redis()?;
    debian.set(&format!("REDIS_URL={redis_url}\n"))?;
    let (api, worker) = (debian.start("unflatten-api")?, debian.start("unflatten-worker")?);
    wait_ready(&url, "/readyz")?;
    drive_job(&url, folder)?;
    stop(worker)?;
    stop(api)?;

    debian.apt(&["remove", "unflatten"])?;
    let result = format!("{STATE}/storage/results/{job}/metadata.json");
    for (path, stays) in [("usr/bin/unflatten", false), (SETTINGS, true), (&result, true)] {
        ensure!(
            debian.root.join(path).exists() == stays,
            "after remove, {path} should {}",
            if stays { "stay" } else { "go" }
        );
    }
    let words = debian.apt(&["purge", "unflatten"])?;
    ensure!(words.contains("removing /var/lib/unflatten"), "purge does not say what it removes");
    for path in [SETTINGS, STATE] {
        ensure!(fs::symlink_metadata(debian.root.join(path)).is_err(), "purge leaves {path}");
    }
    let users = fs::read_to_string(debian.root.join("etc/passwd"))?;
    ensure!(!users.contains("unflatten"), "purge leaves the user");
    println!("install, jobs, upgrade, remove and purge: as they should be");
    Ok(())
}

fn stop(process: Process) -> anyhow::Result<()> {
    let id = process.id();
    process.stop(id)
}

/// A Debian in a folder; its processes share the network of this machine.
struct Debian {
    root: PathBuf,
}

impl Debian {
    fn new(root: PathBuf) -> anyhow::Result<Self> {
        bootstrap(&root)?;
        let debian = Self { root };
        let mut mount = Command::new("mount");
        mount.args(["-t", "proc", "proc"]).arg(debian.root.join("proc"));
        execute(mount)?;
        Ok(debian)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(words).stdin(Stdio::null());
        command
    }

    /// What apt-get and the package's scripts print.
    fn apt(&self, words: &[&str]) -> anyhow::Result<String> {
        let fixed = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", "--yes", "--quiet=2"];
        let mut command = self.command(&[&fixed, words].concat());
        println!("$ {}", text(&command));
        let output = command.output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{}: {printed}{}", text(&command), String::from_utf8_lossy(&output.stderr));
        }
        Ok(printed)
    }

    /// Adds a line to the settings.
    fn set(&self, line: &str) -> anyhow::Result<()> {
        let path = self.root.join(SETTINGS);
        let mut settings = fs::read_to_string(&path)?;
        settings += line;
        Ok(fs::write(path, settings)?)
    }

    /// A service as its unit starts it: its user, without rights, in its folder, with its environment alone.
    fn start(&self, program: &str) -> anyhow::Result<Process> {
        let unit = Unit::of(program)?;
        let user = format!("--reuid={}", unit.get("User")?);
        let group = format!("--regid={}", unit.get("Group")?);
        let folder = format!("--chdir={}", unit.get("WorkingDirectory")?);
        let rights = ["--init-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
        let words = [&["setpriv", &user, &group], &rights[..], &["env", "-i", &folder, "PATH=/usr/bin:/bin"]].concat();
        let start: Vec<_> = unit.get("ExecStart")?.split(' ').collect();
        Process::start(program, self.command(&[words, start].concat()))
    }

    fn check_access(&self, path: &str, expected: Access) -> anyhow::Result<()> {
        let about = fs::metadata(self.root.join(path)).with_context(|| format!("{path} is not installed"))?;
        let (owner, group) = (self.name_of("passwd", about.uid())?, self.name_of("group", about.gid())?);
        let found = (about.mode() & 0o7777, owner.as_str(), group.as_str());
        ensure!(found == expected, "{path} has {found:?} instead of {expected:?}");
        Ok(())
    }

    /// The name that a number has in a list of users or groups.
    fn name_of(&self, list: &str, id: u32) -> anyhow::Result<String> {
        let text = fs::read_to_string(self.root.join("etc").join(list))?;
        let names = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let mut names = names.filter(|fields| fields.get(2) == Some(&id.to_string().as_str()));
        Ok(names.next().with_context(|| format!("{id} is not in {list}"))?[0].to_owned())
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Not while it is mounted: the next trial empties the folder.
        if let Err(error) = Command::new("umount").arg(self.root.join("proc")).status() {
            eprintln!("{} is still mounted: {error}", self.root.join("proc").display());
        }
    }
}
