use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::Job;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, ErrorBody};
use crate::extract::{JobId, Query};
use crate::links::Links;
use crate::responses::StorageFaults;
use crate::{live, origin, removal};

/// A job and where to go on with it.
#[derive(Serialize, ToSchema)]
pub struct JobStatus {
    #[serde(flatten)]
    job: Job,
    links: Links,
}

impl From<Job> for JobStatus {
    fn from(job: Job) -> Self {
        Self { links: Links::of(job.id, job.upload_id), job }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// Only events with a greater number: the last one that you saw.
    #[serde(default)]
    after: u64,
}

impl AfterQuery {
    pub fn after(&self) -> u64 {
        self.after
    }
}

/// How a job goes
///
/// As JSON. On a WebSocket upgrade: each of the job's events as one JSON text frame (schema `Event`), first those
/// that were (`?after=` skips those that are known), then those that come. While the job waits in the queue there are
/// also frames `{"type":"position","position":2}` without a number. The socket closes normally (1000) after the last event.
/// A job that is gone without one (deleted, or lost by the queue) ends with a frame `{"type":"removed",...}` without a
/// number, and close code 4404. Web pages of other origins need to be listed in `CORS_ORIGINS`.
#[utoipa::path(
    get, path = "/api/status/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job"), AfterQuery),
    responses(
        (status = 101, description = "WebSocket: the events follow"),
        (status = 200, description = "The job", body = JobStatus),
        (status = 400, description = "`after` is not a number, or the WebSocket upgrade is broken", body = ErrorBody),
        (status = 403, description = "A WebSocket of a web page of another origin", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub async fn status(
    State(app): State<App>,
    JobId(id): JobId,
    Query(query): Query<AfterQuery>,
    request: Request,
) -> Result<Response, Error> {
    let wants_websocket = wants_websocket(&request);
    if wants_websocket {
        origin::check(&request, &app.config)?;
    }
    let job = app.broker.job(id).await?.ok_or_else(Error::job_not_found)?;
    if !wants_websocket {
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        return Ok((headers, Json(JobStatus::from(job))).into_response());
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
        .await
        .map_err(|rejection| Error::bad_request("invalid_websocket", rejection.body_text()))?;
    Ok(live::websocket(app, id, query.after, upgrade))
}

fn wants_websocket(request: &Request) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Job ids, separated by commas; at most 100.
    ids: String,
}

/// Several jobs at once
///
/// Those of the named jobs that exist, in the order of their names. There is no list of all jobs: whoever knows
/// a job's id may see it, so ids are not handed out.
#[utoipa::path(
    get, path = "/api/jobs", operation_id = "get_jobs", tag = "jobs", params(ListQuery),
    responses(
        (status = 200, description = "The jobs", body = Vec<JobStatus>),
        (status = 400, description = "No ids, or more than 100", body = ErrorBody),
    )
)]
pub async fn list(State(app): State<App>, Query(query): Query<ListQuery>) -> Result<Response, Error> {
    let ids: Vec<&str> = query.ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > 100 {
        return Err(Error::bad_request("invalid_query", "ids names 1 to 100 jobs, separated by commas"));
    }
    let mut found = Vec::new();
    for id in ids.into_iter().filter_map(|id| id.parse::<Uuid>().ok()) {
        found.extend(app.broker.job(id).await?.map(JobStatus::from));
    }
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((headers, Json(found)).into_response())
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
pub async fn delete(State(app): State<App>, JobId(id): JobId) -> Result<Response, Error> {
    let job = app.broker.job(id).await?;
    if job.is_some_and(|job| !job.state.is_terminal()) {
        let job = app.broker.cancel(id).await?.ok_or_else(Error::job_not_found)?;
        tracing::info!(state = ?job.state, "cancelled a job");
        return Ok((StatusCode::ACCEPTED, Json(JobStatus::from(job))).into_response());
    }
    // A result can outlive the queue's record of its job.
    if !removal::remove(&app, id).await? {
        return Err(Error::job_not_found());
    }
    tracing::info!("deleted a job");
    Ok(StatusCode::NO_CONTENT.into_response())
}
