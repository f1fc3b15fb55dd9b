use std::sync::Arc;

use engine::EngineSet;
use jobs::Typefaces;
use service::SettingError;

use crate::Config;
use crate::describe::{ANALYZER, Analyzer, AnalyzerChoice, Describer};

/// The engines, the analyzer and the fonts of a program, which its binary puts together.
#[derive(Clone)]
pub struct Equipment {
    pub engines: Arc<dyn EngineSet>,
    pub(crate) describer: Arc<Describer>,
    pub(crate) typefaces: Arc<Typefaces>,
}

impl Equipment {
    /// `gemini` is the analyzer for `ANALYZER=gemini`, in builds that have it.
    ///
    /// # Errors
    /// When `ANALYZER` selects an analyzer that this build does not have.
    pub fn new(
        config: &Config,
        engines: Arc<dyn EngineSet>,
        gemini: Option<Box<dyn Analyzer>>,
    ) -> Result<Self, SettingError> {
        let describer = match (config.analyzer.choice, gemini) {
            (AnalyzerChoice::Off, _) => Describer::Off,
            (AnalyzerChoice::Local, _) => Describer::Engine,
            (AnalyzerChoice::Gemini, Some(analyzer)) => Describer::Analyzer(analyzer),
            (AnalyzerChoice::Gemini, None) => {
                return Err(ANALYZER.refuse("gemini", "needs a build with --features cloud"));
            }
        };
        let typefaces = Arc::clone(&config.typefaces);
        Ok(Self { engines, describer: Arc::new(describer), typefaces })
    }
}
