//! `unflatten doctor`: checks what this machine can run, and what is missing.

mod checks;

use std::process::ExitCode;

use service::{Failure, Settings};

/// The result of a check.
pub(crate) struct Finding {
    /// How serious it is.
    pub level: Level,
    /// What was checked, in one word.
    pub subject: &'static str,
    /// The result.
    pub text: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The check passed.
    Good,
    /// Something optional is missing.
    Optional,
    /// The service cannot run.
    Bad,
}

impl Finding {
    fn good(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Good, subject, text: text.into(), fix: None }
    }

    fn optional(subject: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Optional, subject, text: text.into(), fix: Some(fix.into()) }
    }

    fn bad(subject: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Bad, subject, text: text.into(), fix: Some(fix.into()) }
    }
}

/// Runs the command.
///
/// # Errors
/// When a check failed.
pub(crate) async fn doctor(settings: &Settings) -> Result<ExitCode, Failure> {
    let findings = checks::all(settings).await;
    for finding in &findings {
        let mark = match finding.level {
            Level::Good => "ok  ",
            Level::Optional => "--  ",
            Level::Bad => "FAIL",
        };
        println!("{mark} {:<9} {}", finding.subject, finding.text);
        if let Some(fix) = &finding.fix {
            println!("     {:<9} -> {fix}", "");
        }
    }
    let bad = findings.iter().filter(|finding| finding.level == Level::Bad).count();
    if bad > 0 {
        return Err(Failure::Failed(format!("{bad} of {} checks failed; see the arrows above", findings.len())));
    }
    println!("This machine can run Unflatten.");
    Ok(ExitCode::SUCCESS)
}
