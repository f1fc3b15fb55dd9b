//! Asking how jobs go.

use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jobs::Job;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::AfterQuery;
use super::websocket;
use crate::auth::caller::Caller;
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{JobId, Query};
use crate::http::links::Links;
use crate::http::origin;
use crate::state::App;

/// A job and where to go on with it.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobStatus {
    #[serde(flatten)]
    job: Job,
    links: Links,
}

impl From<Job> for JobStatus {
    fn from(job: Job) -> Self {
        Self { links: Links::new(job.id, job.upload_id), job }
    }
}

/// The job, or an upgrade to a WebSocket with its events.
pub(crate) enum StatusAnswer {
    Job(Box<JobStatus>),
    WebSocket(Response),
}

impl IntoResponse for StatusAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Job(job) => NoStore(Json(job)).into_response(),
            Self::WebSocket(upgrade) => upgrade,
        }
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
pub(crate) async fn status(
    State(app): State<App>,
    JobId(id): JobId,
    Query(query): Query<AfterQuery>,
    request: Request,
) -> Result<StatusAnswer, Error> {
    let wants_websocket = wants_websocket(&request);
    if wants_websocket {
        origin::check(&request, &app.config)?;
    }
    let job = app.broker.job(id).await?.ok_or_else(Error::job_not_found)?;
    if !wants_websocket {
        return Ok(StatusAnswer::Job(Box::new(job.into())));
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
        .await
        .map_err(|rejection| Error::bad_request("invalid_websocket", rejection.body_text()))?;
    Ok(StatusAnswer::WebSocket(websocket::follow(app, id, query.after, upgrade)))
}

fn wants_websocket(request: &Request) -> bool {
    request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Job ids, separated by commas; at most 100.
    #[param(pattern = "[^, ]")]
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
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<NoStore<Json<Vec<JobStatus>>>, Error> {
    let ids: Vec<&str> = query.ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > 100 {
        return Err(Error::bad_request(
            "invalid_query",
            "query parameter `ids` must list 1 to 100 jobs, separated by commas",
        ));
    }
    let mut jobs = Vec::new();
    for id in ids.into_iter().filter_map(|id| id.parse().ok()).filter(|id| caller.may_see(*id)) {
        jobs.extend(app.broker.job(id).await?.map(JobStatus::from));
    }
    Ok(NoStore(Json(jobs)))
}
