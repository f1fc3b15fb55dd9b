//! A model describes, names and rates the layers after a decomposition (`ANALYZER`).
//!
//! It never fails a job: after an error or a timeout the layers keep the engine's names, and the result has a note.

mod answer;
mod config;
mod local;

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Analysis, EngineRun, Message, MessageCode, Stop};
use image::RgbaImage;
use layers::LayerStack;

pub use self::answer::{LayerAnswer, WholeAnswer, assemble};
pub(crate) use self::config::ANALYZER_TIMEOUT_S;
pub use self::config::{ANALYZER, AnalyzerChoice, AnalyzerConfig};
pub(crate) use self::local::LocalAnalyzer;

/// Longest side in pixels of a layer as a model sees it.
pub const LAYER_SIDE: u32 = 512;
/// Longest side in pixels of the whole picture as a model sees it.
pub const WHOLE_SIDE: u32 = 1024;

/// The colour behind a layer as a model sees it: both white and black stand out.
const BACKDROP: [u8; 3] = [128; 3];

/// Describes the layers of any engine. A worker has one, which keeps its credentials.
#[async_trait]
pub trait Analyzer: Send + Sync {
    /// Describes `stack`, a decomposition of `input`. Dropping the future cancels it.
    ///
    /// # Errors
    /// Why there is no description, in a sentence without a full stop.
    async fn analyze(&self, stack: Arc<LayerStack>, input: Arc<RgbaImage>) -> Result<Analysis, String>;
}

/// The analyzer that `ANALYZER` selects.
pub(crate) enum Describer {
    Off,
    /// The qwen engine, of its own layers.
    Engine,
    Analyzer(Box<dyn Analyzer>),
}

impl Describer {
    /// Whether engines describe their own layers, if they can.
    pub(crate) fn is_engine(&self) -> bool {
        matches!(self, Self::Engine)
    }

    /// Whether describing starts only after the engine is done.
    pub(crate) fn calls_out(&self) -> bool {
        matches!(self, Self::Analyzer(_))
    }

    /// Adds a description to the output of an engine. Returns early when `stop` is raised.
    pub(crate) async fn describe(&self, mut run: EngineRun, input: &Arc<RgbaImage>, stop: &Stop) -> EngineRun {
        match self {
            Self::Off => {}
            Self::Engine => {
                let is_explained = run.output.notes.iter().any(|note| note.code == MessageCode::NotDescribed);
                if run.output.analysis.is_none() && !is_explained {
                    let why = "ANALYZER=local needs the qwen engine, which did not run this job";
                    run.output.notes.push(not_described(why));
                }
            }
            Self::Analyzer(analyzer) => {
                let stack = Arc::new(run.output.stack);
                let analysis = tokio::select! {
                    analysis = analyzer.analyze(Arc::clone(&stack), Arc::clone(input)) => Some(analysis),
                    () = stop.raised() => None,
                };
                run.output.stack = Arc::unwrap_or_clone(stack);
                match analysis {
                    Some(Ok(analysis)) => run.output.analysis = Some(analysis),
                    Some(Err(why)) => {
                        tracing::warn!(why, "the layers were not described");
                        run.output.notes.push(not_described(&why));
                    }
                    None => {}
                }
            }
        }
        run
    }
}

/// The note of a result whose layers were not described.
fn not_described(why: &str) -> Message {
    let text = format!("The layers were not described: {why}. The layers keep the engine's names.");
    Message::new(MessageCode::NotDescribed, text).with("reason", why)
}

/// Scales a layer or picture down to `side` pixels and puts it on grey, for a model.
///
/// # Errors
/// When the picture cannot be resized.
pub fn thumbnail(picture: &RgbaImage, side: u32) -> Result<image::RgbImage, String> {
    let (width, height) = layers::fit(picture.width(), picture.height(), side);
    let small = layers::resize(picture, width, height, layers::Filter::Lanczos3).map_err(|error| error.to_string())?;
    Ok(layers::over_colour(&small, BACKDROP))
}
