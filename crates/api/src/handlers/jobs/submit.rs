//! Starting a job.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::broker::{Idempotency, NewJob, Submitted};
use jobs::store::Upload;
use jobs::{EngineChoice, Job, JobId};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::options::JobOptions;
use super::request::JobRequest;
use super::schemas::{DecomposeForm, DecomposeRequest};
use crate::http::body::read_whole;
use crate::http::client::Submitter;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::media_type;
use crate::http::links::Links;
use crate::http::parse_errors::read_json;
use crate::http::responses::StorageFaults;
use crate::intake::picture;
use crate::intake::upload_form::{self, PictureFile};
use crate::state::App;

/// Room for two prompts of the greatest length with every character escaped.
const MAX_JSON: usize = 256 << 10;

/// A job that was accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = Accepted)]
pub(crate) struct AcceptedJob {
    #[schema(value_type = Uuid)]
    pub job_id: JobId,
    pub links: Links,
    pub job: Job,
}

/// Start a job
///
/// Either JSON with the `upload_id` of an earlier upload, or a form with the picture itself in the
/// field `image`; the parameters beside it have the same names in both. Absent ones get the
/// service's defaults and a seed is drawn; the job says what it used.
#[utoipa::path(
    post, path = "/api/decompose", operation_id = "decompose", tag = "decompose",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]([ -~]{0,198}[!-~])?$", description = "1 to 200 printable characters of your choice. \
        The same request with the same key answers with the job of the first")),
    request_body(content((DecomposeRequest = "application/json"), (DecomposeForm = "multipart/form-data"))),
    responses(
        (status = 202, description = "Queued", body = AcceptedJob, headers(
            ("Location" = String, description = "The job's status"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` when the job is that of an earlier request"),
        )),
        (status = 400, description = "No picture, or a broken form or JSON", body = ErrorBody),
        (status = 404, description = "No such upload", body = ErrorBody),
        (status = 408, description = "The body stopped arriving or arrives too slowly", body = ErrorBody),
        (status = 413, description = "More bytes or pixels than allowed", body = ErrorBody),
        (status = 415, description = "Neither JSON nor a form, or a picture of a type that is not read", body = ErrorBody),
        (status = 422, description = "A parameter or the picture cannot be used, no worker has the engine, or the \
            Idempotency-Key was used for another request", body = ErrorBody),
        (status = 429, description = "The queue, or this client's share of it, is full", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
        StorageFaults,
    )
)]
pub(crate) async fn decompose(State(app): State<App>, request: Request) -> Result<JobAccepted, Error> {
    let submitter = Submitter::from_request(&request)?;
    match media_type(request.headers()).as_str() {
        "multipart/form-data" => submit_form(&app, submitter, request).await,
        "application/json" => submit_json(&app, submitter, request).await,
        other => {
            let message = format!(
                "Content-Type is \"{other}\"; send application/json with an upload_id, or multipart/form-data with the picture"
            );
            upload_form::discard(&app, request).await;
            Err(Error::unsupported("unsupported_media_type", message))
        }
    }
}

async fn submit_json(app: &App, submitter: Submitter, request: Request) -> Result<JobAccepted, Error> {
    let body = read_whole(request, MAX_JSON).await?;
    let fields = read_json::<Map<String, Value>>(&body, "the body");
    let mut fields = fields.map_err(|(_, problem)| Error::bad_request("invalid_json", problem))?;
    let upload_id = match fields.remove("upload_id") {
        Some(Value::String(text)) => text.parse::<Uuid>().map_err(|_| Error::upload_not_found())?,
        Some(other) if !other.is_null() => {
            let message = "upload_id must be text, as /api/upload answered it";
            return Err(Error::unprocessable("invalid_parameter", message));
        }
        _ => {
            let message = "upload_id is missing; POST the picture to /api/upload first, or send it here as a form";
            return Err(Error::unprocessable("upload_id_missing", message));
        }
    };
    let job_request = JobRequest::from_json(fields, &app.config, submitter.caller.highest_priority(&app.config))?;
    check_engine(app, job_request.engine()).await?;
    if !submitter.caller.may_see(upload_id) {
        return Err(Error::upload_not_found());
    }
    let upload = app.store.upload(upload_id).await?.ok_or_else(Error::upload_not_found)?;
    Ok(submit(submitter.caller.create_id(), app, submitter, &upload, job_request).await?.into())
}

async fn submit_form(app: &App, submitter: Submitter, request: Request) -> Result<JobAccepted, Error> {
    let form = upload_form::receive(app, request).await?;
    let job_request = JobRequest::from_text(form.fields, &app.config, submitter.caller.highest_priority(&app.config))?;
    Ok(store_and_submit(app, submitter, form.picture, job_request).await?.into())
}

/// Stores a picture and starts a job on it.
pub(crate) async fn store_and_submit(
    app: &App,
    submitter: Submitter,
    picture: PictureFile,
    job_request: JobRequest,
) -> Result<Submitted, Error> {
    check_engine(app, job_request.engine()).await?;
    let upload = picture::store(app, &submitter.caller, picture).await?;
    submit_single_use(app, submitter, &upload, job_request).await
}

/// Starts a job on an upload that was made for it alone: the upload is removed when no job uses it.
pub(crate) async fn submit_single_use(
    app: &App,
    submitter: Submitter,
    upload: &Upload,
    job_request: JobRequest,
) -> Result<Submitted, Error> {
    let planned_id = upload.input.parent.as_ref().and_then(|parent| parent.split_by);
    let submitted =
        submit(planned_id.unwrap_or_else(|| submitter.caller.create_id()), app, submitter, upload, job_request).await;
    let is_unused = match &submitted {
        Ok(Submitted::Queued(_)) => false,
        Ok(Submitted::Repeated(_)) => true,
        // A queue that failed may still have accepted the job; a retry with the same key then finds it.
        Err(err) => !err.is_ours(),
    };
    if is_unused && let Err(err) = app.store.delete_upload(upload.id).await {
        // The periodic cleanup removes it later.
        tracing::warn!(upload_id = %upload.id, error = %err, "an upload that no job uses could not be removed");
    }
    submitted
}

/// Starts a job on an upload.
async fn submit(
    id: JobId,
    app: &App,
    submitter: Submitter,
    upload: &Upload,
    job_request: JobRequest,
) -> Result<Submitted, Error> {
    app.auth.quotas.check_room(&app.store, &submitter.caller).await?;
    let idempotency = match submitter.own_idempotency_key() {
        Some(key) => Some(Idempotency { key, fingerprint: job_request.fingerprint(&upload.input.sha256)? }),
        None => None,
    };
    let JobOptions { priority, webhook } = job_request.options().clone();
    let (client, client_limit) = (submitter.caller.client().to_owned(), submitter.caller.limits().queued);
    let new = NewJob::new(upload.id, job_request.resolve(&app.config));
    let new = NewJob { id, priority, client, client_limit, idempotency, webhook, ..new };
    let submitted = app.broker.submit(new).await?;
    let (Submitted::Queued(job) | Submitted::Repeated(job)) = &submitted;
    tracing::Span::current().record("job_id", tracing::field::display(job.id));
    tracing::info!(upload_id = %upload.id, repeated = job.id != id, "accepted a job");
    Ok(submitted)
}

/// 202: the job waits in the queue, or is that of an earlier request with the same `Idempotency-Key`.
pub(crate) struct JobAccepted {
    body: AcceptedJob,
    is_repeat: bool,
}

impl From<Submitted> for JobAccepted {
    fn from(submitted: Submitted) -> Self {
        let (job, is_repeat) = match submitted {
            Submitted::Queued(job) => (job, false),
            Submitted::Repeated(job) => (job, true),
        };
        let links = Links::new(job.id, job.upload_id);
        Self { body: AcceptedJob { job_id: job.id, links, job }, is_repeat }
    }
}

impl IntoResponse for JobAccepted {
    fn into_response(self) -> Response {
        let location = self.body.links.status.clone();
        let replayed = self.is_repeat.then_some([("idempotency-replayed", HeaderValue::from_static("true"))]);
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], replayed, Json(self.body)).into_response()
    }
}

/// Refuses an engine that no worker has. While no worker is alive, the job may wait for one.
pub(crate) async fn check_engine(app: &App, engine: EngineChoice) -> Result<(), Error> {
    if engine == EngineChoice::Auto {
        return Ok(());
    }
    let workers = app.broker.workers().await?;
    if workers.is_empty() || workers.iter().any(|worker| worker.can_do(engine)) {
        return Ok(());
    }
    let mut present: Vec<_> =
        workers.iter().flat_map(|worker| &worker.engines).map(|offer| offer.name.as_str()).collect();
    present.sort_unstable();
    present.dedup();
    let message = format!("no worker has the engine \"{engine}\"; choose auto or one of: {}", present.join(", "));
    Err(Error::unprocessable("engine_unavailable", message))
}
