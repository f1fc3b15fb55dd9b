use image::RgbaImage;
use jobs::broker::EngineOffer;
use jobs::{Analysis, FailureCode, JobId, Params};
use layers::LayerStack;

use crate::stop::Stop;

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
    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink)
    -> Result<Decomposition, EngineError>;

    /// A job is over, its result published where it has one: what was kept elsewhere for another attempt can go. It is
    /// that of [`EngineJob::id`], and not always one of this engine's.
    fn settled(&mut self, _job: Option<JobId>) {}
}

/// What an engine is to do.
#[derive(Debug, Clone, Copy)]
pub struct EngineJob<'a> {
    /// The same for every attempt at a job; absent on the command line. Engines that cost money by the job go by it.
    pub id: Option<JobId>,
    /// sRGB, 8 bit, straight alpha, upright.
    pub input: &'a RgbaImage,
    pub params: &'a Params,
    /// Whether the layers are to be described too, by an engine that can (`ANALYZER=local`).
    pub describe: bool,
    /// Raised when the engine is to give up. Only engines that compute elsewhere need it: what a cancelled job has
    /// there is ended, what a worker that shuts down has there is for the next one.
    pub stop: &'a Stop,
    /// Whether an earlier attempt at the job may have begun with this engine, elsewhere.
    pub resumed: bool,
}

/// What an engine made.
#[derive(Debug, Clone)]
pub struct Decomposition {
    /// As large as the input, or of the model's own size: then it is lifted as the job asks.
    pub stack: LayerStack,
    /// The model's own rendering of the whole picture, where it has one: for diagnosis, never a layer.
    pub rendering: Option<RgbaImage>,
    /// What the engine itself says of its layers, where it was asked to describe them and can.
    pub analysis: Option<Analysis>,
    /// What the engine decided or could not do, in words for people.
    pub notes: Vec<String>,
}

/// One step of an engine's work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// A short snake_case word such as `denoise`; the page translates it.
    pub stage: &'static str,
    /// Steps done in this stage, 0 to `total`.
    pub step: u32,
    pub total: u32,
    /// How much of the whole job is done, 0 to 1; never goes back.
    pub fraction: f32,
}

/// Takes an engine's progress and tells it whether to go on.
pub trait ProgressSink {
    /// # Errors
    /// [`Stopped`] when the engine is to give up.
    fn step(&mut self, step: Step) -> Result<(), Stopped>;

    /// Tells the job's followers something worth knowing that is no progress.
    fn note(&mut self, message: &str);
}

/// What an engine tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    Step(Step),
    Note(String),
}

/// The job was cancelled, timed out or lost; the caller knows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A failure that a person can act on: the message says what to do.
    #[error("{message}")]
    Failed { code: FailureCode, message: String },
    /// Files, threads or descriptors that the engine needs were not to be had: the job is tried again.
    #[error("{message}")]
    Environment { message: String },
}
