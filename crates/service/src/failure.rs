use std::fmt;
use std::process::ExitCode;

use crate::SettingError;

/// Why a command failed, in one line that says what to do.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 2: the request makes no sense as it stands.
    BadUse(String),
    /// Exit code 1: the request makes sense, but did not work.
    Failed(String),
}

impl Failure {
    /// 2 for bad use, otherwise 1.
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
    /// A bad setting is bad use, wherever it was found.
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}");
        if error.is::<SettingError>() { Self::BadUse(text) } else { Self::Failed(text) }
    }
}
