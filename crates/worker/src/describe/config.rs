use std::str::FromStr;
use std::time::Duration;

use service::{SettingError, Settings, Variable};

/// The setting `ANALYZER`.
pub const ANALYZER: Variable = Variable {
    name: "ANALYZER",
    default: "off",
    about: "Model that describes and names the layers: off, gemini (sends them to Google), local (text encoder of the qwen engine)",
};
pub(crate) const ANALYZER_TIMEOUT_S: Variable = Variable {
    name: "ANALYZER_TIMEOUT_S",
    default: "60",
    about: "Seconds that describing the layers may take, before they keep the engine's names",
};

/// The model that describes the layers (`ANALYZER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnalyzerChoice {
    /// None: the layers keep the engine's names.
    #[default]
    Off,
    /// Gemini, in Google's cloud.
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
            _ => Err(format!("\"{text}\" is not a valid analyzer; use off, gemini or local")),
        }
    }
}

/// Settings of the description of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalyzerConfig {
    /// `ANALYZER`.
    pub choice: AnalyzerChoice,
    /// `ANALYZER_TIMEOUT_S`.
    pub timeout: Duration,
}

impl AnalyzerConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first setting that is not valid.
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
