use std::str::FromStr;
use std::time::Duration;

use service::{SettingError, Settings, Variable};

pub const ANALYZER: Variable = Variable {
    name: "ANALYZER",
    default: "off",
    about: "Who describes and names the layers: off, gemini (sends them to Google), local (the qwen engine's text encoder)",
};
pub(crate) const ANALYZER_TIMEOUT_S: Variable = Variable {
    name: "ANALYZER_TIMEOUT_S",
    default: "60",
    about: "Seconds that describing the layers may take; after that they keep the engine's names",
};
/// Who looks at the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnalyzerChoice {
    #[default]
    Off,
    Gemini,
    /// The text encoder of the qwen engine.
    Local,
}

impl FromStr for AnalyzerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "gemini" => Ok(Self::Gemini),
            "local" => Ok(Self::Local),
            _ => Err(format!("an analyzer is off, gemini or local, not \"{text}\"")),
        }
    }
}

/// How layers are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalyzerConfig {
    /// `ANALYZER`.
    pub choice: AnalyzerChoice,
    /// `ANALYZER_TIMEOUT_S`.
    pub timeout: Duration,
}

impl AnalyzerConfig {
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            choice: settings.require(&ANALYZER)?,
            timeout: Duration::from_secs(settings.number(&ANALYZER_TIMEOUT_S, 1_u32..)?.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analyzers_are_chosen_by_name() {
        let read = |pairs: &[(&str, &str)]| AnalyzerConfig::from_settings(&Settings::from_pairs(pairs.iter().copied()));
        assert_eq!(read(&[]).expect("defaults").choice, AnalyzerChoice::Off);
        assert_eq!(read(&[("ANALYZER", "local")]).expect("local").choice, AnalyzerChoice::Local);
        assert_eq!(read(&[("ANALYZER", "magic")]).expect_err("no such").name, "ANALYZER");
    }
}
