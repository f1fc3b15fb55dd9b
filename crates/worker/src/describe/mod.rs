//! A model describes the layers after a decomposition, names them and says how good they are (`ANALYZER`).
//!
//! It is never worth a job: what fails or takes too long leaves a note, and the engine's names.

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

/// Longest side in pixels of what a model is shown of a layer, and of the whole.
pub const LAYER_SIDE: u32 = 512;
pub const WHOLE_SIDE: u32 = 1024;

/// The colour behind a layer that a model is shown: white and black things both stand out.
const BACKDROP: [u8; 3] = [128; 3];

/// Describes the layers of any engine. One for a worker: credentials are kept.
#[async_trait]
pub trait Analyzer: Send + Sync {
    /// Describes `stack`, which was made of `input`. Dropping the future ends it.
    ///
    /// # Errors
    /// Why there is no description, in a sentence without a full stop.
    async fn analyze(&self, stack: Arc<LayerStack>, input: Arc<RgbaImage>) -> Result<Analysis, String>;
}

/// Who describes the layers, as `ANALYZER` says.
pub(crate) enum Describer {
    Nobody,
    /// The qwen engine, of its own layers.
    Engine,
    Analyzer(Box<dyn Analyzer>),
}

impl Describer {
    /// Whether engines that can are to describe their layers themselves.
    pub(crate) fn is_engine(&self) -> bool {
        matches!(self, Self::Engine)
    }

    /// Whether there is something to wait for after the engine is done.
    pub(crate) fn calls_out(&self) -> bool {
        matches!(self, Self::Analyzer(_))
    }

    /// Adds a description to what an engine made. Ends early when `stop` is raised.
    pub(crate) async fn describe(&self, mut run: EngineRun, input: &Arc<RgbaImage>, stop: &Stop) -> EngineRun {
        match self {
            Self::Nobody => {}
            Self::Engine => {
                let is_explained = run.output.notes.iter().any(|note| note.code == MessageCode::NotDescribed);
                if run.output.analysis.is_none() && !is_explained {
                    let why = "ANALYZER=local is the text encoder of the qwen engine, which did not run here";
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

/// What a model is shown of a layer or of a picture: small, opaque, on grey.
///
/// # Errors
/// When it cannot be resized.
pub fn shown(picture: &RgbaImage, side: u32) -> Result<image::RgbImage, String> {
    let (width, height) = layers::fit(picture.width(), picture.height(), side);
    let small = layers::resize(picture, width, height, layers::Filter::Lanczos3).map_err(|error| error.to_string())?;
    Ok(layers::over_colour(&small, BACKDROP))
}
