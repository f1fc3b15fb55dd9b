use std::process::{Command, Stdio};

use crate::phrases;
use crate::run::{cargo, execute, exists, root, run};
use crate::test::FEATURES;

/// Formatting, wording, clippy, documentation and the audit of dependencies.
pub(crate) fn lint() -> anyhow::Result<()> {
    let cargo = cargo();
    run(&cargo, ["fmt", "--all", "--check"])?;
    phrases::check()?;
    run(&cargo, ["clippy", "--workspace", "--all-targets", FEATURES, "--", "-D", "warnings"])?;
    document(&cargo)?;
    audit(&cargo)
}

/// The documentation of every crate builds without a warning.
fn document(cargo: &str) -> anyhow::Result<()> {
    let mut doc = Command::new(cargo);
    doc.args(["doc", "--workspace", "--no-deps", FEATURES]).env("RUSTDOCFLAGS", "-D warnings");
    execute(doc)
}

/// Licences, sources and known vulnerabilities of every dependency (deny.toml).
fn audit(cargo: &str) -> anyhow::Result<()> {
    if !exists("cargo-deny") {
        run(cargo, ["install", "--locked", "cargo-deny"])?;
    }
    run(cargo, ["deny", "check", "bans", "licenses", "sources"])?;
    if !fetch_advisories(cargo) {
        println!();
        println!("WARNING: the advisory database could not be fetched (its git host cannot be reached).");
        println!("WARNING: known vulnerabilities of dependencies were NOT checked; run `cargo deny check advisories`.");
        println!();
        return Ok(());
    }
    run(cargo, ["deny", "check", "advisories"])
}

/// Updates the database of known vulnerabilities; false if it cannot be reached.
fn fetch_advisories(cargo: &str) -> bool {
    let mut fetch = Command::new(cargo);
    fetch.args(["deny", "fetch", "db"]).current_dir(root()).stdin(Stdio::null()).stderr(Stdio::null());
    // A host that never answers must not block the whole run.
    fetch.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "20");
    fetch.status().is_ok_and(|status| status.success())
}
