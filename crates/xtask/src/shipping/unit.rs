//! The systemd units of the package, read as far as a trial without systemd needs.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::run::root;

/// The programs of the package; each has a unit of its name.
pub(crate) const PROGRAMS: [&str; 3] = ["unflatten", "unflatten-api", "unflatten-worker"];

/// Where they are installed.
pub(crate) const PROGRAM_FOLDER: &str = "/usr/bin";

/// Units, and what a package has of its own.
pub(crate) const PACKAGING: &str = "crates/xtask/packaging";

/// A unit that runs a program.
pub(crate) struct Unit {
    settings: Vec<(String, String)>,
}

impl Unit {
    /// The unit of one of [`PROGRAMS`].
    pub(crate) fn of(program: &str) -> anyhow::Result<Self> {
        Ok(Self::parse(&text(program)?))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let settings = lines.filter_map(|line| line.split_once('='));
        Self { settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// The value of a setting that the unit has once.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&str> {
        let mut values = self.settings.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let value = values.next().with_context(|| format!("the unit does not set {name}"))?;
        ensure!(values.next().is_none(), "the unit sets {name} twice");
        Ok(value)
    }
}

/// The unit of a program, as it is installed.
pub(crate) fn text(program: &str) -> anyhow::Result<String> {
    let path = root().join(PACKAGING).join(format!("{program}.service"));
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_start_the_programs_as_a_user_without_rights() {
        for program in PROGRAMS {
            let unit = Unit::of(program).expect("a unit");
            let get = |name| unit.get(name).unwrap_or_else(|error| panic!("{program}: {error}"));
            let command: Vec<_> = get("ExecStart").split(' ').collect();
            assert_eq!(command[0], format!("{PROGRAM_FOLDER}/{program}"));
            assert_eq!((get("User"), get("WorkingDirectory")), ("unflatten", "/var/lib/unflatten"));
            assert_eq!((get("NoNewPrivileges"), get("ProtectSystem")), ("yes", "strict"));
            assert_eq!(get("CapabilityBoundingSet"), "");
        }
    }

    #[test]
    fn units_differ_only_in_what_they_start() {
        let rest = |program: &str| -> Vec<String> {
            let text = text(program).expect("a unit");
            let own = ["Description=", "After=", "ExecStart="];
            let lines = text.lines().filter(|line| !own.iter().any(|name| line.starts_with(name)));
            lines.map(str::to_owned).collect()
        };
        for program in PROGRAMS {
            assert_eq!(rest(program), rest(PROGRAMS[0]), "{program}");
        }
    }

    #[test]
    fn a_setting_is_there_once() {
        let unit = Unit::parse("[Service]\n# User=root\nUser=unflatten\nA=1\nA=2\n");
        assert_eq!(unit.get("User").ok(), Some("unflatten"));
        assert!(unit.get("A").is_err() && unit.get("B").is_err());
    }
}
