//! The page without a browser: its types are checked, and its pure modules have unit tests.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{root, run};

/// The unit tests, and what says how types are checked. Not in `frontend/`, all of which is sent to browsers.
const FOLDER: &str = "crates/unflatten/tests/page";

/// What every unit test file ends in.
const TEST: &str = ".test.mjs";

/// Checks the types that the page's comments name.
pub(crate) fn check_types() -> anyhow::Result<()> {
    run("tsc", ["--project", &format!("{FOLDER}/jsconfig.json")])
}

/// The command that runs the unit tests, from the repository's root, and prints TAP.
pub(crate) fn unit_tests() -> anyhow::Result<Command> {
    let folder = root().join(FOLDER);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(TEST) {
            files.push(format!("{FOLDER}/{name}"));
        }
    }
    if files.is_empty() {
        bail!("{FOLDER} has no tests");
    }
    files.sort();
    let mut command = Command::new("node");
    command.args(["--import", &format!("./{FOLDER}/setup.mjs"), "--test-reporter=tap", "--test"]).args(files);
    Ok(command)
}
