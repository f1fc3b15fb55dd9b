//! The files of the package, in a folder of their own, and what is packed from them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::bases::output;
use super::unit::{self, PACKAGING, PROGRAM_FOLDER, PROGRAMS};
use crate::run::{execute, root};

/// The settings of the installed services.
pub(crate) const SETTINGS: &str = "etc/unflatten.env";

/// The folder that the services work in.
pub(crate) const STATE: &str = "var/lib/unflatten";

const UNITS: &str = "usr/lib/systemd/system";
const DOCUMENTS: &str = "usr/share/doc/unflatten";

/// Scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Which build a package has.
pub(crate) struct Build {
    /// Version, date and commit.
    pub version: String,
    /// When the commit was made, in seconds since 1970: the time of all files, so that packages of one commit are alike.
    pub time: String,
}

impl Build {
    /// Of the commit that is checked out.
    pub(crate) fn of_checkout() -> anyhow::Result<Self> {
        let git = |words: &[&str]| -> anyhow::Result<String> {
            let text = output(Command::new("git").args(words).current_dir(root()))?;
            Ok(text.trim().to_owned())
        };
        let about = git(&["log", "-1", "--date=format-local:%Y%m%d", "--format=%cd.%h %ct"])?;
        let (commit, time) = about.split_once(' ').context("git names no commit")?;
        let dirty = if git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() { "" } else { ".changed" };
        Ok(Self { version: format!("{}+{commit}{dirty}", env!("CARGO_PKG_VERSION")), time: time.to_owned() })
    }
}

/// The settings of the package: those of `.env.example`, each as a comment.
pub(crate) fn settings(example: &str) -> anyhow::Result<String> {
    let (_, list) = example.split_once("\n\n").context(".env.example has no introduction")?;
    let mut text =
        "# Settings of unflatten.service, unflatten-api.service and unflatten-worker.service, each with its default.\n\
                    # Remove the # before those that you change, then: systemctl restart unflatten\n\
                    # Relative paths are in /var/lib/unflatten.\n\n"
            .to_owned();
    for line in list.lines() {
        text += if line.is_empty() || line.starts_with('#') { "" } else { "#" };
        text += line;
        text.push('\n');
    }
    Ok(text)
}

/// Fills `folder` with what is installed, with programs from the folder `programs`.
pub(crate) fn fill(folder: &Path, programs: &Path, build: &Build) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let program_folder = PROGRAM_FOLDER.trim_start_matches('/');
    for place in [program_folder, UNITS, DOCUMENTS, STATE, "etc"] {
        fs::create_dir_all(folder.join(place))?;
    }
    for program in PROGRAMS {
        let to = folder.join(program_folder).join(program);
        let from = programs.join(program);
        fs::copy(&from, &to).with_context(|| format!("{} was not built", from.display()))?;
        let mut strip = Command::new("strip");
        strip.args(["--strip-unneeded", "--remove-section=.comment"]).arg(&to);
        execute(strip)?;
        mode(&to, 0o755)?;
        write(&folder.join(UNITS).join(format!("{program}.service")), &unit::text(program)?)?;
    }
    let example = read(".env.example")?;
    write(&folder.join(SETTINGS), &settings(&example)?)?;
    symlink(Path::new("/").join(SETTINGS), folder.join(STATE).join(".env"))?;
    let documents = folder.join(DOCUMENTS);
    write(&documents.join("copyright"), &copyright()?)?;
    for (name, text) in [
        ("README.md", read("README.md")?),
        ("operations.md", read("docs/operations.md")?),
        ("changelog", changelog(build)?),
    ] {
        write(&documents.join(name), &text)?;
        let mut gzip = Command::new("gzip");
        gzip.args(["-9", "--no-name", "--force"]).arg(documents.join(name));
        execute(gzip)?;
    }
    Ok(())
}

/// Adds what dpkg reads, and packs `folder` as a Debian package.
pub(crate) fn pack_deb(folder: &Path, into: &Path, depends: &str, build: &Build) -> anyhow::Result<PathBuf> {
    let control = folder.join("DEBIAN");
    fs::create_dir_all(&control)?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
    let kilobytes =
        output(Command::new("du").args(["--summarize", "--apparent-size", "--block-size=1024"]).arg(folder))?;
    let kilobytes = kilobytes.split_whitespace().next().context("du prints no size")?.to_owned();
    let mut text = read(&packaged("control"))?;
    for (name, value) in [
        ("VERSION", build.version.as_str()),
        ("ARCHITECTURE", &architecture),
        ("MAINTAINER", &maintainer()),
        ("SIZE", &kilobytes),
        ("DEPENDS", depends),
    ] {
        text = text.replace(&format!("@{name}@"), value);
    }
    ensure!(!text.contains('@') || text.matches('@').count() == maintainer().matches('@').count(), "left over: {text}");
    write(&control.join("control"), &text)?;
    write(&control.join("conffiles"), &format!("/{SETTINGS}\n"))?;
    for script in SCRIPTS {
        write(&control.join(script), &read(&packaged(script))?)?;
        mode(&control.join(script), 0o755)?;
    }
    let sums =
        "find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum";
    let sums = output(Command::new("sh").args(["-c", sums]).current_dir(folder))?;
    write(&control.join("md5sums"), &sums)?;
    let file = into.join(format!("unflatten_{}_{architecture}.deb", build.version));
    let mut dpkg = Command::new("dpkg-deb");
    // Ubuntu's zstd is unknown to Debian 11 and older tools.
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(folder).arg(&file).env("SOURCE_DATE_EPOCH", &build.time);
    execute(dpkg)?;
    Ok(file)
}

/// Packs the programs with their documents, for systems without dpkg.
pub(crate) fn pack_tar(folder: &Path, into: &Path, build: &Build) -> anyhow::Result<PathBuf> {
    let name = format!("unflatten-{}-{}-linux", build.version, std::env::consts::ARCH);
    let tree = folder.with_file_name(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    for place in ["bin", "systemd"] {
        fs::create_dir_all(tree.join(place))?;
    }
    for program in PROGRAMS {
        fs::copy(folder.join(PROGRAM_FOLDER.trim_start_matches('/')).join(program), tree.join("bin").join(program))?;
        write(&tree.join("systemd").join(format!("{program}.service")), &unit::text(program)?)?;
    }
    fs::copy(folder.join(SETTINGS), tree.join("unflatten.env"))?;
    fs::copy(folder.join(DOCUMENTS).join("copyright"), tree.join("copyright"))?;
    for (name, from) in [("README.md", "../README.md"), ("operations.md", "../docs/operations.md")] {
        write(&tree.join(name), &read(from)?)?;
    }
    let file = into.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", build.time)).arg("--file").arg(&file).arg("--directory").arg(into).arg(&name);
    execute(tar)?;
    fs::remove_dir_all(tree)?;
    Ok(file)
}

/// Ours, and those of what programs contain.
fn copyright() -> anyhow::Result<String> {
    let mut text = read(&packaged("copyright"))?;
    let fonts = root().join("crates/typeset/fonts/licences");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&fonts)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", fonts.display());
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        text += &format!("\nFont {name}\n\n");
        text += &fs::read_to_string(&file)?;
    }
    Ok(text)
}

fn changelog(build: &Build) -> anyhow::Result<String> {
    let date = output(Command::new("date").args(["--utc", "--rfc-email", "--date", &format!("@{}", build.time)]))?;
    let (version, maintainer) = (&build.version, maintainer());
    Ok(format!(
        "unflatten ({version}) stable; urgency=medium\n\n  * Built from this commit.\n\n -- {maintainer}  {}\n",
        date.trim()
    ))
}

/// Whoever packs, as Debian's tools know it.
fn maintainer() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = variable("DEBFULLNAME").unwrap_or_else(|| "Unflatten".to_owned());
    let address = variable("DEBEMAIL").unwrap_or_else(|| "unflatten@localhost.localdomain".to_owned());
    format!("{name} <{address}>")
}

/// The place of a file that only packages have.
fn packaged(name: &str) -> String {
    format!("{PACKAGING}/{name}")
}

/// A file of the repository.
fn read(name: &str) -> anyhow::Result<String> {
    let path = root().join(name);
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes a file that everybody may read, whatever the umask is.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    mode(path, 0o644)
}

fn mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_example_as_comments() {
        let example = read(".env.example").expect(".env.example is there");
        let text = settings(&example).expect("settings");
        let active: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(active, Vec::<&str>::new());
        let names = |text: &str, start: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(start)?.split_once('='));
            let names = lines.map(|(name, _)| name).filter(|name| !name.contains(' ') && !name.starts_with('#'));
            names.map(str::to_owned).collect()
        };
        let expected = names(&example, "");
        assert!(expected.len() > 80 && expected.contains(&"PORT".to_owned()), "{expected:?}");
        assert_eq!(names(&text, "#"), expected);
        assert!(settings("NAME=value\n").is_err());
    }

    #[test]
    fn the_copyright_has_every_licence() {
        let text = copyright().expect("a text");
        assert!(
            text.matches("SIL Open Font License").count() >= 8 || text.matches("SIL OPEN FONT LICENSE").count() >= 8
        );
    }
}
