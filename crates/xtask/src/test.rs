use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::install::{InstallOptions, install_readers, install_test_programs, is_ci};
use crate::run::{cargo, root, run, text};
use crate::{long, page};

/// What a plain build leaves out and the tests take in: buckets, with a server that speaks S3. (Google's clients come
/// with unflatten's own tests.)
pub(crate) const FEATURES: &str = "--features=jobs/testing-bucket,unflatten/testing-bucket";

#[derive(Args)]
pub(crate) struct TestArguments {
    #[command(flatten)]
    install: InstallOptions,
    /// Also run what takes minutes: more cases of the property tests, and schemathesis over /api/openapi.json
    #[arg(long)]
    long: bool,
    /// Passed on to `cargo test --workspace`, such as a test's name; the page's unit tests run only without it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pass_on: Vec<String>,
}

pub(crate) fn test(arguments: &TestArguments) -> anyhow::Result<()> {
    install_test_programs(arguments.install)?;
    let readers = match install_readers() {
        Err(error) if !is_ci() => {
            println!("WARNING: tests with other programs' readers are skipped: {error:#}");
            None
        }
        result => Some(result?),
    };
    let mut totals = Totals::default();
    // All of it, even when a part fails: one run tells everything.
    let mut is_sound = true;
    if arguments.pass_on.is_empty() {
        if let Err(error) = page::check_types() {
            println!("{error:#}");
            totals.names.push("types of the page".to_owned());
            is_sound = false;
        }
        is_sound &= count(page::unit_tests()?, &mut totals)?;
    }
    let cargo = cargo();
    // Tests of one crate start the programs of others: all are built before the first test runs. Not with
    // `cargo build`, which would compile the dependencies anew without the features that only tests ask for.
    run(&cargo, ["test", "--workspace", FEATURES, "--no-run"])?;
    let mut command = Command::new(&cargo);
    command.args(["test", "--workspace", FEATURES, "--no-fail-fast"]).args(&arguments.pass_on);
    if let Some(readers) = readers {
        command.env("UNFLATTEN_READERS", readers);
    }
    is_sound &= count(command, &mut totals)?;
    if arguments.long {
        for (name, result) in [("properties", long::properties()), ("schemathesis", long::schemathesis())] {
            if let Err(error) = result {
                println!("{error:#}");
                totals.names.push(name.to_owned());
                is_sound = false;
            }
        }
    }
    totals.print();
    if !is_sound {
        bail!("tests failed");
    }
    if totals.passed == 0 && arguments.pass_on.is_empty() {
        bail!("no test ran");
    }
    Ok(())
}

/// Runs tests in the repository's root, shows what they print and adds it up. Answers with whether they passed.
fn count(mut command: Command, totals: &mut Totals) -> anyhow::Result<bool> {
    command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ {}", text(&command));
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
    let output = child.stdout.take().with_context(|| format!("the output of {program} was not taken"))?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        totals.read(&line);
    }
    Ok(child.wait()?.success())
}

/// What the closing lines of every test program add up to: Rust's, and node's in TAP.
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
        if let Some((count, total)) = self.tap(line) {
            *total += count;
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

    /// The total that a line such as `# pass 12` adds to; also notes the names of tests that failed.
    fn tap(&mut self, line: &str) -> Option<(u64, &mut u64)> {
        if let Some((_, name)) = line.strip_prefix("not ok ").and_then(|rest| rest.split_once(" - ")) {
            self.names.push(name.to_owned());
        }
        let (what, count) = line.strip_prefix("# ")?.split_once(' ')?;
        let count = count.parse().ok()?;
        match what {
            "pass" => Some((count, &mut self.passed)),
            "fail" | "cancelled" => Some((count, &mut self.failed)),
            "skipped" | "todo" => Some((count, &mut self.skipped)),
            _ => None,
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

    #[test]
    fn closing_lines_of_node_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "TAP version 13",
            "# Subtest: a group keeps its parts",
            "not ok 3 - a group keeps its parts",
            "# tests 9",
            "# suites 0",
            "# pass 6",
            "# fail 1",
            "# cancelled 0",
            "# skipped 2",
            "# todo 0",
            "# duration_ms 81.4",
        ] {
            totals.read(line);
        }
        let names = vec!["a group keeps its parts".to_owned()];
        assert_eq!(totals, Totals { passed: 6, failed: 1, skipped: 2, names });
    }

    #[test]
    fn whether_to_install_is_no_word_for_cargo() {
        #[derive(clap::Parser)]
        struct Parsed {
            #[command(flatten)]
            test: TestArguments,
        }
        let parse = |words: &[&str]| {
            let words = ["test"].iter().chain(words);
            <Parsed as clap::Parser>::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).test
        };
        let with_both = parse(&["--install", "a_name", "--", "--nocapture"]);
        assert!(with_both.install.install);
        assert_eq!(with_both.pass_on.first().map(String::as_str), Some("a_name"));
        let passed_on = parse(&["--test", "browser"]);
        assert!(!passed_on.install.install);
        assert_eq!(passed_on.pass_on, ["--test", "browser"]);
    }
}
