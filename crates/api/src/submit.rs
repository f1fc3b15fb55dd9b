use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::broker::{Idempotency, NewJob, Submitted};
use jobs::store::Upload;
use jobs::{EngineChoice, Job, JobId, Params, Priority, WebhookEvent};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::app::App;
use crate::body::read_whole;
use crate::caller::Caller;
use crate::error::{Error, ErrorBody};
use crate::form::Asked;
use crate::intake::{self, Received};
use crate::links::{self, Links};
use crate::options::JobOptions;
use crate::plain::read_json;
use crate::responses::StorageFaults;

/// Two prompts of the greatest length, each character escaped, fit in.
const MAX_JSON: usize = 256 << 10;

/// A job that was taken on.
#[derive(Serialize, ToSchema)]
pub struct Accepted {
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
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 printable characters of your choice. \
        The same request with the same key answers with the job of the first")),
    request_body(content((DecomposeRequest = "application/json"), (DecomposeForm = "multipart/form-data"))),
    responses(
        (status = 202, description = "Queued", body = Accepted, headers(
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
pub async fn decompose(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let caller = Caller::of(&app, &request)?;
    match media_type(request.headers()).as_str() {
        "multipart/form-data" => from_form(&app, caller, request).await,
        "application/json" => from_json(&app, caller, request).await,
        other => {
            let message = format!(
                "Content-Type is \"{other}\"; send application/json with an upload_id, or multipart/form-data with the picture"
            );
            intake::discard(&app, request).await;
            Err(Error::unsupported("unsupported_media_type", message))
        }
    }
}

async fn from_json(app: &App, caller: Caller, request: Request) -> Result<Response, Error> {
    let body = read_whole(request, MAX_JSON).await?;
    let fields = read_json::<Map<String, Value>>(&body, "the body");
    let mut fields = fields.map_err(|(_, problem)| Error::bad_request("invalid_json", problem))?;
    let upload_id = match fields.remove("upload_id") {
        Some(Value::String(text)) => text.parse::<Uuid>().map_err(|_| Error::upload_not_found())?,
        Some(other) if !other.is_null() => {
            let message = "upload_id is text: what /api/upload answered";
            return Err(Error::unprocessable("invalid_parameter", message));
        }
        _ => {
            let message = "upload_id is missing; POST the picture to /api/upload first, or send it here as a form";
            return Err(Error::unprocessable("upload_id_missing", message));
        }
    };
    let asked = Asked::from_json(fields, &app.config)?;
    check_engine(app, asked.engine()).await?;
    let upload = app.store.upload(upload_id).await?.ok_or_else(Error::upload_not_found)?;
    Ok(accepted(&submit(app, caller, &upload, asked).await?))
}

async fn from_form(app: &App, caller: Caller, request: Request) -> Result<Response, Error> {
    let form = intake::receive(app, request).await?;
    let asked = Asked::from_text(form.fields, &app.config)?;
    Ok(accepted(&take_on(app, caller, form.picture, asked).await?))
}

/// Stores a picture and starts a job on it.
pub async fn take_on(app: &App, caller: Caller, picture: Received, asked: Asked) -> Result<Submitted, Error> {
    check_engine(app, asked.engine()).await?;
    let upload = intake::store(app, &caller.client, picture).await?;
    submit_own(app, caller, &upload, asked).await
}

/// Like [`submit`], for an upload that was made for this job alone: it is removed where no job uses it.
pub async fn submit_own(app: &App, caller: Caller, upload: &Upload, asked: Asked) -> Result<Submitted, Error> {
    let named = upload.input.parent.as_ref().and_then(|parent| parent.split_by);
    let submitted = submit_as(named.unwrap_or_else(JobId::new_v4), app, caller, upload, asked).await;
    let is_unused = match &submitted {
        Ok(Submitted::Queued(_)) => false,
        Ok(Submitted::Repeated(_)) => true,
        // A queue that failed may have taken the job all the same; a repeat with the same key then finds it.
        Err(err) => !err.is_ours(),
    };
    if is_unused && let Err(err) = app.store.delete_upload(upload.id).await {
        // The periodic cleanup takes it away later.
        tracing::warn!(upload_id = %upload.id, error = %err, "could not remove an upload that no job uses");
    }
    submitted
}

/// Starts a job on an upload.
pub async fn submit(app: &App, caller: Caller, upload: &Upload, asked: Asked) -> Result<Submitted, Error> {
    submit_as(JobId::new_v4(), app, caller, upload, asked).await
}

async fn submit_as(id: JobId, app: &App, caller: Caller, upload: &Upload, asked: Asked) -> Result<Submitted, Error> {
    let idempotency = match caller.idempotency_key {
        Some(key) => Some(Idempotency { key, fingerprint: asked.fingerprint(&upload.input.sha256)? }),
        None => None,
    };
    let JobOptions { priority, webhook } = asked.options().clone();
    let client = caller.client;
    let new = NewJob::new(upload.id, asked.resolve(&app.config));
    let new = NewJob { id, priority, client, idempotency, webhook, ..new };
    let submitted = app.broker.submit(new).await?;
    let (Submitted::Queued(job) | Submitted::Repeated(job)) = &submitted;
    tracing::Span::current().record("job_id", tracing::field::display(job.id));
    tracing::info!(upload_id = %upload.id, repeated = job.id != id, "took a job on");
    Ok(submitted)
}

pub fn accepted(submitted: &Submitted) -> Response {
    let (job, is_repeat) = match submitted {
        Submitted::Queued(job) => (job, false),
        Submitted::Repeated(job) => (job, true),
    };
    let location = links::status(job.id);
    let body = Accepted { job_id: job.id, links: Links::of(job.id, job.upload_id), job: job.clone() };
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response();
    if is_repeat {
        response.headers_mut().insert("idempotency-replayed", header::HeaderValue::from_static("true"));
    }
    response
}

/// Refuses an engine that no worker has. While no worker is alive the job may
/// wait for one: workers start and stop on their own.
pub async fn check_engine(app: &App, engine: EngineChoice) -> Result<(), Error> {
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
    let message = format!("no worker has the engine \"{engine}\"; ask for auto or one of: {}", present.join(", "));
    Err(Error::unprocessable("engine_unavailable", message))
}

pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The JSON body: the parameters and the upload.
pub struct DecomposeRequest;

/// The form: the parameters and the picture.
pub struct DecomposeForm;

/// The schema of [`Params`] with the options and one more property. (A flattened field would
/// become an `allOf` whose closed half forbids the other half's property.)
fn params_with(name: &str, property: ObjectBuilder) -> RefOr<Schema> {
    match Params::schema() {
        RefOr::T(Schema::Object(mut params)) => {
            for (option, schema) in JobOptions::properties() {
                params.properties.insert(option.to_owned(), schema);
            }
            params.properties.insert(name.to_owned(), property.build().into());
            params.required.push(name.to_owned());
            params.into()
        }
        other => other,
    }
}

/// The schemas that those of requests refer to.
fn referenced(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    Params::schemas(schemas);
    schemas.push((Priority::name().into_owned(), Priority::schema()));
    schemas.push((WebhookEvent::name().into_owned(), WebhookEvent::schema()));
}

impl PartialSchema for DecomposeRequest {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .description(Some("From the answer to `POST /api/upload`."));
        params_with("upload_id", id)
    }
}

impl PartialSchema for DecomposeForm {
    fn schema() -> RefOr<Schema> {
        let image = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .content_media_type("application/octet-stream")
            .description(Some("The picture. The field may be called `file` too."));
        params_with("image", image)
    }
}

impl ToSchema for DecomposeRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "DecomposeRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        referenced(schemas);
    }
}

impl ToSchema for DecomposeForm {
    fn name() -> std::borrow::Cow<'static, str> {
        "DecomposeForm".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        referenced(schemas);
    }
}
