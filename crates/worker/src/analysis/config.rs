use std::str::FromStr;
use std::time::Duration;

use service::{SettingError, Settings, Variable};

use crate::cloud::CloudConfig;

pub(crate) const ANALYZER: Variable = Variable {
    name: "ANALYZER",
    default: "off",
    about: "Who describes and names the layers: off, gemini (sends them to Google), local (the qwen engine's text encoder)",
};
pub(crate) const ANALYZER_TIMEOUT_S: Variable = Variable {
    name: "ANALYZER_TIMEOUT_S",
    default: "60",
    about: "Seconds that describing the layers may take; after that they keep the engine's names",
};
pub(crate) const GEMINI_API_KEY: Variable = Variable {
    name: "GEMINI_API_KEY",
    default: "",
    about: "Key of the Gemini API for ANALYZER=gemini; empty: Gemini on Vertex AI in GOOGLE_CLOUD_PROJECT",
};
pub(crate) const GEMINI_MODEL: Variable =
    Variable { name: "GEMINI_MODEL", default: "gemini-2.5-flash", about: "Model of ANALYZER=gemini" };
pub(crate) const GEMINI_LOCATION: Variable =
    Variable { name: "GEMINI_LOCATION", default: "global", about: "Region of Gemini on Vertex AI, or global" };
pub(crate) const GEMINI_ENDPOINT: Variable = Variable {
    name: "GEMINI_ENDPOINT",
    default: "",
    about: "Another address in place of Google's for Gemini, such as a proxy",
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
#[derive(Clone, PartialEq, Eq)]
pub struct AnalyzerConfig {
    /// `ANALYZER`.
    pub choice: AnalyzerChoice,
    /// `ANALYZER_TIMEOUT_S`.
    pub timeout: Duration,
    /// `GEMINI_API_KEY`.
    pub api_key: Option<String>,
    /// `GEMINI_MODEL`.
    pub model: String,
    /// `GEMINI_LOCATION`.
    pub location: String,
    /// `GEMINI_ENDPOINT`.
    pub endpoint: Option<String>,
}

impl std::fmt::Debug for AnalyzerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.api_key.as_ref().map(|_| "...");
        f.debug_struct("AnalyzerConfig")
            .field("choice", &self.choice)
            .field("timeout", &self.timeout)
            .field("api_key", &key)
            .field("model", &self.model)
            .field("location", &self.location)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

impl AnalyzerConfig {
    /// # Errors
    /// The first setting that cannot be used, and an analyzer that this build or this configuration does not have.
    pub fn from_settings(settings: &Settings, cloud: &CloudConfig) -> Result<Self, SettingError> {
        let config = Self {
            choice: settings.require(&ANALYZER)?,
            timeout: Duration::from_secs(settings.number(&ANALYZER_TIMEOUT_S, 1_u32..)?.into()),
            api_key: settings.text(&GEMINI_API_KEY),
            model: settings.require(&GEMINI_MODEL)?,
            location: settings.require(&GEMINI_LOCATION)?,
            endpoint: settings.text(&GEMINI_ENDPOINT),
        };
        if config.choice == AnalyzerChoice::Gemini {
            if !cfg!(feature = "cloud") {
                return Err(ANALYZER.refuse("gemini", "needs a build with --features cloud"));
            }
            if config.api_key.is_none() && cloud.project.is_none() {
                return Err(
                    ANALYZER.refuse("gemini", "needs GEMINI_API_KEY, or GOOGLE_CLOUD_PROJECT for Gemini on Vertex AI")
                );
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AnalyzerConfig, SettingError> {
        let settings = Settings::from_pairs(pairs.iter().copied());
        AnalyzerConfig::from_settings(&settings, &CloudConfig::from_settings(&settings)?)
    }

    #[test]
    fn an_analyzer_has_what_it_needs_or_is_refused() {
        assert_eq!(read(&[]).expect("defaults").choice, AnalyzerChoice::Off);
        assert_eq!(read(&[("ANALYZER", "local")]).expect("local").choice, AnalyzerChoice::Local);
        assert_eq!(read(&[("ANALYZER", "magic")]).expect_err("no such").name, "ANALYZER");
        let refused = read(&[("ANALYZER", "gemini")]).expect_err("no way to Gemini").to_string();
        let keyed = read(&[("ANALYZER", "gemini"), ("GEMINI_API_KEY", "hush")]);
        if cfg!(feature = "cloud") {
            assert!(refused.contains("GEMINI_API_KEY"), "{refused}");
            assert!(!format!("{:?}", keyed.expect("a key")).contains("hush"));
        } else {
            assert!(refused.contains("--features cloud") && keyed.is_err(), "{refused}");
        }
    }
}
