use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::install::{install_readers, install_test_programs, is_ci};
use crate::run::{cargo, root, run, text};

/// What a plain build leaves out and the tests take in: buckets, with a server that speaks S3. (Google's clients come
/// with the worker's own tests.)
pub const FEATURES: &str = "--features=jobs/testing-bucket,unflatten/testing-bucket";

#[derive(Args)]
pub struct TestArguments {
    /// Passed on to `cargo test --workspace`, such as a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pass_on: Vec<String>,
}

pub fn test(arguments: &TestArguments) -> anyhow::Result<()> {
    install_test_programs()?;
    let readers = match install_readers() {
        Err(error) if !is_ci() => {
            println!("WARNING: tests with other programs' readers are skipped: {error:#}");
            None
        }
        result => Some(result?),
    };
    let cargo = cargo();
    // Tests of one crate start the programs of others: all are built before the first test runs. Not with
    // `cargo build`, which would compile the dependencies anew without the features that only tests ask for.
    run(&cargo, ["test", "--workspace", FEATURES, "--no-run"])?;
    let mut command = Command::new(&cargo);
    // All of it, even when a part fails: one run tells everything.
    command.args(["test", "--workspace", FEATURES, "--no-fail-fast"]).args(&arguments.pass_on);
    if let Some(readers) = readers {
        command.env("UNFLATTEN_READERS", readers);
    }
    command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ {}", text(&command));
    let mut child = command.spawn().context("cargo cannot be started")?;
    let output = child.stdout.take().context("the output of cargo was not taken")?;
    let mut totals = Totals::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        totals.read(&line);
    }
    let status = child.wait()?;
    totals.print();
    if !status.success() {
        bail!("tests failed: {status}");
    }
    if totals.passed == 0 && arguments.pass_on.is_empty() {
        bail!("no test ran");
    }
    Ok(())
}

/// What the closing lines of every test program add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
    names: Vec<String>,
}

impl Totals {
    fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.names.push(name.to_owned());
        }
        // test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for part in counts.1.split("; ") {
            match part.split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                Some((count, "ignored")) => self.skipped += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    fn print(&self) {
        println!();
        for name in &self.names {
            println!("FAILED {name}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "running 4 tests",
            "test memory::reads ... ok",
            "test memory::breaks ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 9.01s",
        ] {
            totals.read(line);
        }
        let names = vec!["memory::breaks".to_owned()];
        assert_eq!(totals, Totals { passed: 42, failed: 1, skipped: 1, names });
    }
}
