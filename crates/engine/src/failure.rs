use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a job failed, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The engine reported an error.
    EngineFailed,
    /// The engine panicked: a bug of ours.
    EnginePanicked,
    /// The job would need, or took, more memory than it may.
    OutOfMemory,
    /// The job ran longer than it may.
    TimedOut,
    /// Every worker that took the job died while it had it.
    WorkerLost,
    /// The uploaded picture is no longer there.
    InputGone,
    /// The result could not be written.
    StorageFailed,
    /// No engine here can do what was asked.
    EngineUnavailable,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::EngineFailed,
        Self::EnginePanicked,
        Self::OutOfMemory,
        Self::TimedOut,
        Self::WorkerLost,
        Self::InputGone,
        Self::StorageFailed,
        Self::EngineUnavailable,
    ];
}

/// Why a job failed: a code for programs, words that say what to do for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub code: FailureCode,
    pub message: String,
}
