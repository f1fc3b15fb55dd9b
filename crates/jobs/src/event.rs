use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{Data, EngineChoice, EngineName, Failure, JobId, Message, MessageCode, Progress};

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
        #[schema(value_type = EngineChoice)]
        engine: EngineName,
        /// Why this engine.
        reason: String,
        /// The same for programs.
        #[serde(default)]
        reason_code: MessageCode,
        /// What the reason is about, by name.
        #[serde(default, skip_serializing_if = "Data::is_empty")]
        #[schema(value_type = Object)]
        reason_data: Data,
    },
    Progress(Progress),
    /// Something worth knowing that changes no state.
    Note {
        message: String,
        /// The same for programs.
        #[serde(default)]
        code: MessageCode,
        /// What the message is about, by name.
        #[serde(default, skip_serializing_if = "Data::is_empty")]
        #[schema(value_type = Object)]
        data: Data,
    },
    /// The worker gave the job back or died; another will take it.
    Requeued {
        reason: String,
        /// The same for programs.
        #[serde(default)]
        reason_code: MessageCode,
        /// What the reason is about, by name.
        #[serde(default, skip_serializing_if = "Data::is_empty")]
        #[schema(value_type = Object)]
        reason_data: Data,
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

impl From<Message> for EventKind {
    fn from(Message { code, text, data }: Message) -> Self {
        Self::Note { message: text, code, data }
    }
}

impl EventKind {
    /// The job went back to the queue, for this reason.
    pub fn requeued(reason: Message) -> Self {
        let Message { text, code, data } = reason;
        Self::Requeued { reason: text, reason_code: code, reason_data: data }
    }

    /// Whether this is the last event of its job.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. } | Self::Cancelled)
    }
}
