use std::fmt;
use std::process::ExitCode;

use crate::SettingError;

/// Why a command failed, in one line that says what to do.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: the usage is wrong.
    BadUse(String),
    /// Exit code 1: the command failed.
    Failed(String),
}

impl Failure {
    /// 2 for bad usage, otherwise 1.
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

impl From<anyhow::Error> for Failure {
    /// A bad setting is bad usage, wherever it is detected.
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}");
        if error.is::<SettingError>() { Self::BadUse(text) } else { Self::Failed(text) }
    }
}
