use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{EngineChoice, Failure, JobId, Progress};

/// Something that happened to a job. A job's events are numbered 1, 2, 3, ...
/// without gaps, and late listeners are given all that they missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub seq: u64,
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The job waits in the queue.
    Queued,
    /// A worker took it.
    Started {
        worker: String,
        attempt: u32,
        engine: EngineChoice,
        /// Why this engine.
        reason: String,
    },
    Progress(Progress),
    /// Something worth knowing that changes no state.
    Note {
        message: String,
    },
    /// The worker gave the job back or died; another will take it.
    Requeued {
        reason: String,
    },
    /// Someone asked to cancel a running job.
    CancelRequested,
    Succeeded {
        layers: u32,
    },
    Failed {
        error: Failure,
    },
    Cancelled,
}

impl EventKind {
    /// Whether this is the last event of its job.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. } | Self::Cancelled)
    }
}
