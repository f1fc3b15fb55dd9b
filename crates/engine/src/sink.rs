use crate::{Message, Stage, StopReason};

/// The progress of an engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The current stage.
    pub stage: Stage,
    /// Steps done in this stage, 0 to `total`.
    pub step: u32,
    /// Steps of this stage.
    pub total: u32,
    /// The share of the engine's work that is done, 0 to 1; never decreases.
    pub fraction: f32,
}

/// Receives an engine's progress and tells it when to stop.
pub trait ProgressSink {
    /// Reports a step.
    ///
    /// # Errors
    /// [`Stopped`] when the engine has to stop.
    fn step(&mut self, step: Step) -> Result<(), Stopped>;

    /// Reports information other than progress.
    fn note(&mut self, message: Message);

    /// Why the engine has to stop; `None` if it does not. Engines that compute elsewhere cancel their run for a cancelled
    /// job, and leave it to the next attempt for a job that is given back.
    fn stop_reason(&self) -> Option<StopReason>;
}

/// The job was stopped; see [`ProgressSink::stop_reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;
