//! What a program needs of the system that it runs on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::bases::output;

/// The oldest C library that the package is for: Ubuntu 22.04's. (Debian 12 has 2.36.)
const OLDEST: Version = (2, 35);

/// Libraries that programs may need, with the Debian package that has each.
const LIBRARIES: [(&str, &str); 4] =
    [("libc.so.6", "libc6"), ("libm.so.6", "libc6"), ("ld-linux-", "libc6"), ("libgcc_s.so.1", "libgcc-s1")];

type Version = (u32, u32);

/// The field `Depends` of a package with `programs`.
///
/// # Errors
/// When one needs a newer C library than [`OLDEST`], or a library that the package does not depend on.
pub(crate) fn dependencies(programs: &[impl AsRef<Path>]) -> anyhow::Result<String> {
    let mut newest = (0, 0);
    let mut packages = vec!["adduser"];
    for program in programs {
        let program = program.as_ref();
        let objdump = |option| output(Command::new("objdump").arg(option).arg(program));
        let version = newest_version(&objdump("-T").context("objdump is needed; it is in the package binutils")?);
        let version = version.with_context(|| format!("{} needs no C library of GNU's", program.display()))?;
        ensure!(
            version <= OLDEST,
            "{} needs glibc {}.{}, and the package is for systems with {}.{}; build it with --container",
            program.display(),
            version.0,
            version.1,
            OLDEST.0,
            OLDEST.1
        );
        newest = newest.max(version);
        for library in needed(&objdump("-p")?) {
            let Some((_, package)) = LIBRARIES.iter().find(|(name, _)| library.starts_with(name)) else {
                bail!("{} needs {library}, which the package does not depend on", program.display());
            };
            packages.push(package);
        }
    }
    packages.sort_unstable();
    packages.dedup();
    let libc = format!("libc6 (>= {}.{})", newest.0, newest.1);
    Ok(packages.into_iter().map(|name| if name == "libc6" { &libc } else { name }).collect::<Vec<_>>().join(", "))
}

/// The newest version of the C library in a list of symbols, as `objdump -T` prints it.
fn newest_version(symbols: &str) -> Option<Version> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.max()
}

/// The libraries in a header, as `objdump -p` prints it.
fn needed(header: &str) -> Vec<&str> {
    header.lines().filter_map(|line| line.trim().strip_prefix("NEEDED")).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found() {
        let symbols = "0000 DF *UND* 0000 (GLIBC_2.2.5) memcpy\n0000 DF *UND* 0000 (GLIBC_2.35) hypotf\n\
                       0000 DF *UND* 0000 (GLIBC_2.9) pipe2\n0000 DF *UND* 0000 (GCC_3.0) _Unwind_Resume\n";
        assert_eq!(newest_version(symbols), Some((2, 35)));
        assert_eq!(newest_version("0000 DF *UND* 0000 (GLIBC_PRIVATE) x\n"), None);
    }

    #[test]
    fn needed_libraries_are_listed() {
        let header =
            "Dynamic Section:\n  NEEDED               libgcc_s.so.1\n  NEEDED               libc.so.6\n  INIT 0x1\n";
        assert_eq!(needed(header), ["libgcc_s.so.1", "libc.so.6"]);
    }
}
