use std::time::Duration;

use image::RgbaImage;
use layers::{Kind, LayerStack};
use uuid::Uuid;

use crate::{
    Analysis, BackgroundReport, EngineOffer, Failure, FailureCode, LoraRecord, Message, Params, ProgressSink, Stopped,
};

/// Turns a picture into layers.
///
/// One thread owns an engine and calls it for one job at a time. If an engine panics, the job fails and the next one gets
/// a new engine.
pub trait Engine: Send {
    /// Describes the engine, for the API and for `doctor`.
    fn offer(&self) -> EngineOffer;

    /// The revision of the weights, if the engine has any.
    fn model_revision(&self) -> Option<String> {
        None
    }

    /// Estimates the peak memory of a job in bytes, beyond that of the idle engine. `width` and `height` are those of the
    /// picture, in pixels.
    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64;

    /// Decomposes the job's picture. Calls `progress` at every step and returns its error, which means that the job was
    /// stopped.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] after `progress` returned [`Stopped`]; otherwise the reason of the failure.
    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError>;

    /// Called when a job is over and its result is written: the engine can free the memory that it kept for the job.
    fn job_ended(&mut self) {}
}

/// A job as an engine sees it.
#[derive(Debug, Clone, Copy)]
pub struct EngineJob<'a> {
    /// The picture: sRGB, 8 bit, straight alpha, upright.
    pub input: &'a RgbaImage,
    /// Parameters of the job.
    pub params: &'a Params,
    /// Whether the engine also describes the layers, if it can (`ANALYZER=local`).
    pub describe: bool,
    /// What the picture shows, where it is a layer of another result that is split: its parts are wanted, and around
    /// them it is transparent.
    pub of: Option<Kind>,
    /// Where the job comes from.
    pub origin: Origin,
}

/// Where a job comes from. Used only by engines with [`crate::Traits::resumable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The job, the same for all its attempts; `None` on the command line.
    pub job_id: Option<Uuid>,
    /// Whether an earlier attempt may have left a run behind that continues elsewhere.
    pub resumed: bool,
}

/// The result of an engine.
#[derive(Debug, Clone)]
pub struct Output {
    /// The layers, at the size of the input or of the model; the latter are upscaled as the job asks.
    pub stack: LayerStack,
    /// The model's rendering of the whole picture, if it makes one: for diagnosis, never a layer.
    pub rendering: Option<RgbaImage>,
    /// The engine's description of its layers, if it was asked for one and can give it.
    pub analysis: Option<Analysis>,
    /// How well the background was completed, if the engine can tell.
    pub background: Option<BackgroundReport>,
    /// LoRAs that were used.
    pub loras: Vec<LoraRecord>,
    /// Decisions and limitations of the engine, for the user.
    pub notes: Vec<Message>,
}

impl Output {
    /// An output with nothing but layers.
    pub fn new(stack: LayerStack) -> Self {
        Self { stack, rendering: None, analysis: None, background: None, loras: Vec::new(), notes: Vec::new() }
    }
}

/// The output of an engine, and facts about the run.
#[derive(Debug, Clone)]
pub struct EngineRun {
    /// What the engine returned.
    pub output: Output,
    /// The engine.
    pub offer: EngineOffer,
    /// The revision of its weights.
    pub model_revision: Option<String>,
    /// How long the engine ran.
    pub duration: Duration,
    /// Why this engine was chosen.
    pub reason: Message,
}

/// Why an engine returned no layers.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The job was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The job failed; the message says what to do.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The engine could not get files, threads or descriptors: the job is retried.
    #[error("{message}")]
    Environment {
        /// What failed, on one line.
        message: String,
    },
}

impl EngineError {
    /// A failure of the job.
    pub fn failed(code: FailureCode, message: impl Into<String>) -> Self {
        Self::Failed(Failure { code, message: message.into() })
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
