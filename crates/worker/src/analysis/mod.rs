//! A model looks at the layers after a decomposition, names them and says how good they are (`ANALYZER`).
//!
//! It is never worth a job: what fails or takes too long leaves a note, and the engine's names.

mod answer;
mod config;
#[cfg(feature = "cloud")]
mod gemini;
mod local;

use std::sync::Arc;

use image::RgbaImage;

use answer::{LAYER_QUESTION, LayerAnswer, WHOLE_QUESTION, WholeAnswer, assemble, json_in};
pub(crate) use config::{ANALYZER, ANALYZER_TIMEOUT_S, GEMINI_API_KEY, GEMINI_ENDPOINT, GEMINI_LOCATION, GEMINI_MODEL};
pub use config::{AnalyzerChoice, AnalyzerConfig};
pub(crate) use local::LocalAnalyzer;

use crate::cloud::CloudConfig;
use crate::config::Config;
use crate::host::Made;
use crate::stop::Stop;

/// Longest side in pixels of what a model is shown of a layer, and of the whole.
const LAYER_SIDE: u32 = 512;
const WHOLE_SIDE: u32 = 1024;

/// What a layer is laid on to be looked at: white and black things both stand out.
const GROUND: [u8; 3] = [128; 3];

/// Looks at what engines made. One for a worker: credentials are kept.
pub(crate) struct Analyzer {
    config: AnalyzerConfig,
    #[cfg_attr(not(feature = "cloud"), allow(dead_code, reason = "only Gemini needs it"))]
    cloud: CloudConfig,
    #[cfg(feature = "cloud")]
    client: tokio::sync::OnceCell<google::Gemini>,
}

impl Analyzer {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            config: config.analyzer.clone(),
            cloud: config.cloud.clone(),
            #[cfg(feature = "cloud")]
            client: tokio::sync::OnceCell::new(),
        }
    }

    /// Whether there is something to wait for after the engine is done.
    pub(crate) fn calls_out(&self) -> bool {
        self.config.choice == AnalyzerChoice::Gemini
    }

    /// Adds what a model says to what an engine made. Ends early when `stop` is raised.
    pub(crate) async fn look(&self, mut made: Made, input: &Arc<RgbaImage>, stop: &Stop) -> Made {
        let found = match self.config.choice {
            AnalyzerChoice::Off => return made,
            AnalyzerChoice::Local => {
                if made.decomposition.analysis.is_none() && !made.decomposition.notes.iter().any(|n| is_excuse(n)) {
                    let why = "ANALYZER=local is the text encoder of the qwen engine, which did not run here";
                    made.decomposition.notes.push(excuse(why));
                }
                Ok(made.decomposition.analysis.take())
            }
            AnalyzerChoice::Gemini => {
                let found;
                (made, found) = self.ask_gemini(made, input, stop).await;
                found
            }
        };
        match found {
            Ok(analysis) => made.decomposition.analysis = analysis,
            Err(why) => {
                tracing::warn!(why, "the layers were not described");
                made.decomposition.notes.push(excuse(&why));
            }
        }
        made
    }

    #[cfg(not(feature = "cloud"))]
    async fn ask_gemini(&self, made: Made, _: &Arc<RgbaImage>, _: &Stop) -> (Made, Found) {
        (made, Err("this build has no clients for Google Cloud; build it with --features cloud".to_owned()))
    }
}

/// What a model said, or why it said nothing; `None` where the job is to end.
type Found = Result<Option<jobs::Analysis>, String>;

/// The note of a result whose layers nobody described.
fn excuse(why: &str) -> String {
    format!("{EXCUSE} {why}. The layers keep the engine's names.")
}

const EXCUSE: &str = "The layers were not described:";

fn is_excuse(note: &str) -> bool {
    note.starts_with(EXCUSE)
}

/// What a model is shown of a layer or of a picture: small, opaque, on grey.
fn shown(picture: &RgbaImage, side: u32) -> Result<image::RgbImage, String> {
    let (width, height) = layers::fit(picture.width(), picture.height(), side);
    let small = layers::resize(picture, width, height, layers::Filter::Lanczos3).map_err(|error| error.to_string())?;
    Ok(layers::over_colour(&small, GROUND))
}
