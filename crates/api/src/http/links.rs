use jobs::JobId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::prefix;

/// Where to go on with a job; paths on this server, with the prefix of a proxy in front if it is known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Links {
    /// The job as JSON; a WebSocket upgrade gets its events live.
    pub status: String,
    /// The job's events as Server-Sent Events.
    pub events: String,
    /// The result as a ZIP, once the job has succeeded.
    pub download: String,
    pub metadata: String,
    pub preview: String,
    /// One layer; put its number, 0 for the lowest, in place of `{n}`.
    pub layer: String,
    /// The picture that the job works on, as PNG.
    pub input: String,
    /// `DELETE` cancels the job, or deletes it once it is finished.
    pub cancel: String,
}

impl Links {
    /// As the client of the present request sees them.
    pub(crate) fn new(job: JobId, upload: Uuid) -> Self {
        Self::under(&prefix::current(), job, upload)
    }

    /// With the path `prefix` in front.
    pub(crate) fn under(prefix: &str, job: JobId, upload: Uuid) -> Self {
        Self {
            status: format!("{prefix}/api/status/{job}"),
            events: format!("{prefix}/api/jobs/{job}/events"),
            download: format!("{prefix}/api/download/{job}"),
            metadata: format!("{prefix}/api/jobs/{job}/metadata.json"),
            preview: format!("{prefix}/api/jobs/{job}/preview.jpg"),
            layer: format!("{prefix}/api/jobs/{job}/layers/{{n}}.png"),
            input: format!("{prefix}/api/uploads/{upload}.png"),
            cancel: format!("{prefix}/api/jobs/{job}"),
        }
    }
}
