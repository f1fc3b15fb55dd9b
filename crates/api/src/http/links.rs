use jobs::JobId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where to go on with a job; paths on this server.
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
    pub(crate) fn new(job: JobId, upload: Uuid) -> Self {
        Self {
            status: status(job),
            events: format!("/api/jobs/{job}/events"),
            download: format!("/api/download/{job}"),
            metadata: format!("/api/jobs/{job}/metadata.json"),
            preview: format!("/api/jobs/{job}/preview.jpg"),
            layer: format!("/api/jobs/{job}/layers/{{n}}.png"),
            input: upload_image(upload),
            cancel: format!("/api/jobs/{job}"),
        }
    }
}

pub(crate) fn status(job: JobId) -> String {
    format!("/api/status/{job}")
}

pub(crate) fn upload_image(upload: Uuid) -> String {
    format!("/api/uploads/{upload}.png")
}
