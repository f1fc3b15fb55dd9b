use std::fmt;
use std::process::ExitCode;

use jobs::settings::SettingError;

/// Why a command failed, in one line that says what to do.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: what was asked makes no sense as it stands.
    BadUse(String),
    /// Exit code 1: it made sense, but did not work.
    Failed(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::BadUse(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUse(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::BadUse(error.to_string())
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // Some errors repeat their cause in their own text.
        let part = source.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = source.source();
    }
    text
}
