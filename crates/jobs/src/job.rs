use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use engine::{EngineName, Failure, Params, Stage};

use crate::Priority;

/// Names a job. Random (UUID v4), because whoever knows it may see the result.
pub type JobId = Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to the job.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// How far a running job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// What the engine is doing, a short snake_case word such as `denoise`.
    #[schema(value_type = String)]
    pub stage: Stage,
    /// Steps done in this stage, 0 to `total`.
    pub step: u32,
    /// Steps that this stage has.
    pub total: u32,
    /// How much of the whole job is done, 0 to 100; never goes back within an attempt.
    pub percent: f32,
    /// Estimated time to the end in milliseconds, once there is something to estimate from.
    pub eta_ms: Option<u64>,
}

/// When what happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Start of the latest attempt.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

/// A job as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    #[schema(value_type = Uuid)]
    pub id: JobId,
    pub state: State,
    pub params: Params,
    #[serde(default)]
    pub priority: Priority,
    /// The upload that the job works on.
    pub upload_id: Uuid,
    /// The engine that works or worked on it.
    #[schema(value_type = Option<engine::EngineChoice>)]
    pub engine: Option<EngineName>,
    pub progress: Option<Progress>,
    /// Place in the queue while queued; 0 is next.
    pub position: Option<u64>,
    /// How often a worker has taken the job.
    pub attempt: u32,
    /// Someone asked to cancel it; the worker stops at its next step.
    pub cancel_requested: bool,
    #[serde(flatten)]
    pub timings: Timings,
    pub error: Option<Failure>,
    /// Sequence number of the job's latest event.
    pub seq: u64,
}
