//! Cancelling and deleting a job.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::status::JobStatus;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::JobId;
use crate::http::responses::StorageFaults;
use crate::removal;
use crate::state::App;

/// The outcome of a `DELETE`.
pub(crate) enum CancelAnswer {
    /// 202: it was waiting or running, and stops.
    Cancelled(Box<JobStatus>),
    /// 204: it was finished, and is gone.
    Deleted,
}

impl IntoResponse for CancelAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Cancelled(job) => (StatusCode::ACCEPTED, Json(job)).into_response(),
            Self::Deleted => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

/// Cancel or delete a job
///
/// A waiting job is cancelled at once, a running one at its next step. A finished one is deleted with its result and
/// with all jobs that split its layers again; those that still run are deleted as soon as they have stopped.
#[utoipa::path(
    delete, path = "/api/jobs/{id}", operation_id = "delete_job", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 202, description = "The job is or will be cancelled", body = JobStatus),
        (status = 204, description = "The finished job and its result are deleted"),
        (status = 404, description = "No such job", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn cancel_or_delete(State(app): State<App>, JobId(id): JobId) -> Result<CancelAnswer, Error> {
    let job = app.broker.job(id).await?;
    if job.is_some_and(|job| !job.state.is_terminal()) {
        let job = app.broker.cancel(id).await?.ok_or_else(Error::job_not_found)?;
        tracing::info!(state = ?job.state, "cancelled a job");
        return Ok(CancelAnswer::Cancelled(Box::new(job.into())));
    }
    // A result can outlive the queue's record of its job.
    if !removal::remove(&app, id).await? {
        return Err(Error::job_not_found());
    }
    tracing::info!("deleted a job");
    Ok(CancelAnswer::Deleted)
}
