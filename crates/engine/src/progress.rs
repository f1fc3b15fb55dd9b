use crate::{Message, Stage, StopReason};

/// One step of an engine's work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub stage: Stage,
    /// Steps done in this stage, 0 to `total`.
    pub step: u32,
    pub total: u32,
    /// How much of the engine's work is done, 0 to 1; never goes back.
    pub fraction: f32,
}

/// Takes an engine's progress and tells it whether to go on.
pub trait ProgressSink {
    /// # Errors
    /// [`Stopped`] when the engine is to give up.
    fn step(&mut self, step: Step) -> Result<(), Stopped>;

    /// Tells the job's followers something worth knowing that is not progress.
    fn note(&mut self, message: Message);

    /// Why the engine is to give up, once that is so. Engines that compute elsewhere need it: a cancelled job is ended
    /// there too, one that a worker gives back is left for the next attempt.
    fn stop_reason(&self) -> Option<StopReason>;
}

/// The job was cancelled, timed out or lost; the caller knows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;
