use std::time::Duration;

use image::RgbaImage;
use layers::LayerStack;
use uuid::Uuid;

use crate::{Analysis, EngineOffer, Failure, FailureCode, Message, Params, ProgressSink, Stopped};

/// Turns a picture into layers.
///
/// One thread owns an engine and calls it for one job at a time. An engine may
/// panic: the job fails, the engine is made anew, the worker lives on.
pub trait Engine: Send {
    /// What it can do, for the API and for `doctor`.
    fn offer(&self) -> EngineOffer;

    /// Revision of the weights, where there are any.
    fn model_revision(&self) -> Option<String> {
        None
    }

    /// Estimated peak memory in bytes of a job, beyond what the idle engine holds.
    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64;

    /// Makes the layers of the job's picture.
    ///
    /// `progress` is called at every step and ends the work with `?` when the
    /// job was cancelled or has run too long.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] when `progress` said so, otherwise what went wrong.
    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError>;

    /// A job is over and its result is written: memory that was kept for it can go.
    fn job_ended(&mut self) {}
}

/// What an engine is to do.
#[derive(Debug, Clone, Copy)]
pub struct EngineJob<'a> {
    /// sRGB, 8 bit, straight alpha, upright.
    pub input: &'a RgbaImage,
    pub params: &'a Params,
    /// Whether the layers are to be described too, by an engine that can (`ANALYZER=local`).
    pub describe: bool,
    pub origin: Origin,
}

/// Where a job comes from. Only engines with [`crate::Traits::resumable`] ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The same for every attempt at a job; absent on the command line.
    pub job_id: Option<Uuid>,
    /// An earlier attempt may have begun a run that goes on elsewhere.
    pub resumed: bool,
}

/// What an engine made.
#[derive(Debug, Clone)]
pub struct Output {
    /// As large as the input, or of the model's own size: then it is upscaled as the job asks.
    pub stack: LayerStack,
    /// The model's own rendering of the whole picture, where it has one: for diagnosis, never a layer.
    pub rendering: Option<RgbaImage>,
    /// What the engine itself says of its layers, where it was asked to describe them and can.
    pub analysis: Option<Analysis>,
    /// What the engine decided or could not do.
    pub notes: Vec<Message>,
}

impl Output {
    /// Layers and nothing else.
    pub fn new(stack: LayerStack) -> Self {
        Self { stack, rendering: None, analysis: None, notes: Vec::new() }
    }
}

/// What an engine made, and which engine that was.
#[derive(Debug, Clone)]
pub struct EngineRun {
    pub output: Output,
    pub offer: EngineOffer,
    pub model_revision: Option<String>,
    pub duration: Duration,
    /// Why this engine.
    pub reason: Message,
}

/// Why an engine made no layers.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A failure that a person can act on: the message says what to do.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// Files, threads or descriptors that the engine needs were not to be had: the job is tried again.
    #[error("{message}")]
    Environment { message: String },
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
