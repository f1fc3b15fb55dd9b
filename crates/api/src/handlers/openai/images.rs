//! `POST /v1/images/edits` of OpenAI's API: starts a job, waits for it, and answers with a layer in place of each image.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use jobs::broker::Submitted;
use jobs::store::StoredResult;
use jobs::{Broker, EventKind, JobId, LayerInfo, Metadata, Update};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use super::errors::OpenAiErrorBody;
use super::fields::{EditRequest, edit_request};
use super::stream::EventsAnswer;
use crate::handlers::jobs::submit::store_and_submit;
use crate::http::client::Submitter;
use crate::http::error::Error;
use crate::http::extract::media_type;
use crate::intake::{json_form, upload_form};
use crate::state::App;

/// Bytes of a file that are encoded at once: a multiple of three, so that there is no padding in between.
const BLOCK: usize = 48 << 10;

/// Pause before the queue is asked again after an error.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// The form of OpenAI's image edits.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body, which is read as a stream")]
pub(crate) struct ImageEditForm {
    /// The picture to be decomposed, only one. The field may also be called `image[]`.
    #[schema(content_media_type = "application/octet-stream")]
    image: String,
    /// Describes the whole picture; may be empty.
    #[schema(max_length = 4000)]
    prompt: Option<String>,
    /// `unflatten`, an engine (`auto`, `qwen`, `draft` or `vertex`), or a name of `OPENAI_MODEL_ALIASES`.
    model: Option<String>,
    /// Beside OpenAI's own: how many layers, 1 to 64 or `auto`. May also be called `num_layers`.
    #[schema(value_type = Option<jobs::LayerCount>)]
    layers: Option<String>,
    /// Beside OpenAI's own: the model's working size, 640 or 1024.
    resolution: Option<u32>,
    /// Beside OpenAI's own: the same seed gives the same layers.
    seed: Option<u64>,
    /// Beside OpenAI's own: what the picture does not show.
    negative_prompt: Option<String>,
    /// Beside OpenAI's own: denoising steps, 1 to 200.
    num_inference_steps: Option<u32>,
    /// Beside OpenAI's own: guidance, 1 to 20.
    true_cfg_scale: Option<f32>,
    /// `b64_json`.
    response_format: Option<String>,
    /// `true` sends the layers as Server-Sent Events.
    stream: Option<bool>,
    /// With `stream`: more than 0 sends a preview of the whole before the layers.
    partial_images: Option<u32>,
}

/// The same as JSON; the picture is a `data:` URL.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body, of which the picture is read by itself")]
pub(crate) struct ImageEditBody {
    /// The picture to be decomposed, only one.
    images: Vec<ImageReference>,
    /// The fields of the form, `image` aside.
    #[schema(max_length = 4000)]
    prompt: Option<String>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a part of the body")]
struct ImageReference {
    /// `data:image/png;base64,...`; other addresses are not fetched.
    image_url: String,
}

/// The layers of a picture, the lowest first.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes the answer, which is written as a stream")]
pub(crate) struct ImagesResponse {
    /// Seconds since 1970.
    created: i64,
    /// `transparent`
    background: &'static str,
    /// `png`
    output_format: &'static str,
    /// `WIDTHxHEIGHT` of each layer.
    size: String,
    /// One for each layer.
    data: Vec<LayerImage>,
    /// The job that made the layers; its files and exports are under `/api`.
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
}

#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes a part of the answer, which is written as a stream")]
struct LayerImage {
    /// The layer as PNG with alpha, as large as the picture, in base64.
    b64_json: String,
    /// The layer's entry in `metadata.json`.
    #[serde(flatten)]
    layer: LayerInfo,
}

/// Decompose a picture, as OpenAI's clients ask
///
/// `client.images.edit(image=..., prompt=..., extra_body={"layers": 4})` of the `openai` package with this service's
/// address and `/v1` as its `base_url`. Answers when the layers are there; a client that goes away cancels its job. Size,
/// quality, background and other wishes have no effect: layers are PNG, transparent and as large as the picture.
///
/// With `stream=true` the answer is events: each layer is an `image_edit.completed`, the lowest first; before them comes
/// one `image_edit.partial_image` with a JPEG of the whole if `partial_images` is more than 0. While the job waits and
/// runs, a comment is sent every ten seconds, so that proxies keep the connection.
#[utoipa::path(
    post, path = "/v1/images/edits", operation_id = "openai_edit_image", tag = "openai",
    request_body(content((ImageEditForm = "multipart/form-data"), (ImageEditBody = "application/json"))),
    responses(
        (status = 200, description = "The layers", content((ImagesResponse = "application/json"), (String = "text/event-stream"))),
        (status = 400, description = "No picture, a broken form, or a field that cannot be used", body = OpenAiErrorBody),
        (status = 408, description = "The body stopped arriving or arrives too slowly", body = OpenAiErrorBody),
        (status = 413, description = "More bytes or pixels than allowed", body = OpenAiErrorBody),
        (status = 415, description = "Neither a form nor JSON, or a picture of a type that is not read", body = OpenAiErrorBody),
        (status = 422, description = "A field or the picture cannot be used, or the job failed", body = OpenAiErrorBody),
        (status = 429, description = "The queue, or this client's share of it, is full", body = OpenAiErrorBody),
        (status = 503, description = "The storage or the queue cannot be used at the moment, or too much is asked of \
            the service at once", body = OpenAiErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
        (status = 504, description = "The layers were not there within `OPENAI_WAIT_S`", body = OpenAiErrorBody),
        (status = 507, description = "The disk of the service is full", body = OpenAiErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn edit_image(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let submitter = Submitter::from_request(&request)?;
    let form = match media_type(request.headers()).as_str() {
        "multipart/form-data" => upload_form::receive(&app, request).await?,
        "application/json" => json_form::receive(&app, submitter.caller.client(), request).await?,
        _ => {
            upload_form::discard(&app, request).await;
            let message = "send multipart/form-data with the picture in the field \"image\", or JSON with it as a data: \
                           URL in \"images\"";
            return Err(Error::unsupported("unsupported_media_type", message));
        }
    };
    let EditRequest { job, streams, partial_images } =
        edit_request(form.fields, &app.config, submitter.caller.highest_priority(&app.config))?;
    let submitted = store_and_submit(&app, submitter, form.picture, job).await?;
    let mut waiting = Waiting::for_job(&app, submitted);
    if streams {
        return Ok(EventsAnswer::new(app, waiting, partial_images).into_response());
    }
    let ended = waiting.end(&app).await?;
    let (result, metadata) = finished(&app, waiting.job, ended).await?;
    Ok(ImagesAnswer(Body::from_stream(write(result, metadata))).into_response())
}

/// A client's wait for its job.
pub(super) struct Waiting {
    pub(super) job: JobId,
    cancel: CancelOnDrop,
}

impl Waiting {
    fn for_job(app: &App, submitted: Submitted) -> Self {
        let (job, is_ours) = match submitted {
            Submitted::Queued(job) => (job.id, true),
            // The client of the first request waits for it too.
            Submitted::Repeated(job) => (job.id, false),
        };
        Self { job, cancel: CancelOnDrop { broker: Arc::clone(&app.broker), job: is_ours.then_some(job) } }
    }

    /// How the job ended. A job that takes longer than `OPENAI_WAIT_S` is cancelled.
    pub(super) async fn end(&mut self, app: &App) -> Result<EventKind, Error> {
        let Ok(last_event) = timeout(app.config.openai_wait, wait_for_end(app, self.job)).await else {
            return Err(do_not_retry(too_slow(app)));
        };
        self.cancel.job = None;
        last_event
    }
}

/// What a job that ended has made.
pub(super) async fn finished(app: &App, id: JobId, ended: EventKind) -> Result<(StoredResult, Metadata), Error> {
    match ended {
        EventKind::Succeeded { .. } => {
            let result = app.store.result(id).await?.ok_or_else(Error::job_not_found)?;
            let metadata = result.metadata().await?.ok_or_else(Error::job_not_found)?;
            Ok((result, metadata))
        }
        EventKind::Failed { error } => {
            Err(do_not_retry(Error::unprocessable("job_failed", format!("the job failed: {}", error.message))))
        }
        _ => Err(do_not_retry(Error::unprocessable("job_cancelled", "the job was cancelled"))),
    }
}

/// Waits for the last event of a job.
async fn wait_for_end(app: &App, id: JobId) -> Result<EventKind, Error> {
    let mut seen = 0;
    loop {
        let updates = app.feed.follow(id, seen);
        tokio::pin!(updates);
        loop {
            match updates.next().await {
                Some(Ok(Update::Event(followed))) if followed.event.kind.is_terminal() => {
                    return Ok(followed.event.kind.clone());
                }
                Some(Ok(Update::Event(followed))) => seen = followed.event.seq,
                Some(Ok(Update::Position(_))) => {}
                // The queue may be back before the client's time is up.
                Some(Err(err)) => {
                    tracing::debug!(error = %err, "the queue did not answer; retrying");
                    sleep(PAUSE).await;
                    break;
                }
                Some(Ok(Update::Removed)) | None => return Err(Error::job_not_found()),
            }
        }
    }
}

/// Cancels a job whose client has gone away.
struct CancelOnDrop {
    broker: Arc<dyn Broker>,
    job: Option<JobId>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(job) = self.job else { return };
        let broker = Arc::clone(&self.broker);
        tokio::spawn(async move {
            if let Err(err) = broker.cancel(job).await {
                tracing::warn!(job_id = %job, error = %err, "a job whose client has left could not be cancelled");
            }
        });
    }
}

fn too_slow(app: &App) -> Error {
    let message = format!(
        "the job took longer than {} s and was cancelled; POST /api/decompose starts jobs of any length",
        app.config.openai_wait.as_secs()
    );
    Error::new(StatusCode::GATEWAY_TIMEOUT, "job_too_slow", message)
}

/// OpenAI's clients retry some errors by themselves. A retry of this one would only take as long again.
fn do_not_retry(error: Error) -> Error {
    error.with_header(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))
}

/// An [`ImagesResponse`], written while it is sent.
pub(crate) struct ImagesAnswer(Body);

impl IntoResponse for ImagesAnswer {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (headers, self.0).into_response()
    }
}

/// The answer's JSON, of which only a block is in memory at a time.
fn write(result: StoredResult, metadata: Metadata) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    async_stream::try_stream! {
        let (width, height) = metadata.canvas();
        let head = json!({
            "created": metadata.created_at.unix_timestamp(), "background": "transparent", "output_format": "png",
            "size": format!("{width}x{height}"), "job_id": result.id(),
        });
        // The list is the last field of the object, so that it can be written layer by layer.
        yield Bytes::from(format!("{},\"data\":[", head.to_string().trim_end_matches('}')));
        for (index, layer) in metadata.layers.iter().enumerate() {
            if index > 0 {
                yield Bytes::from_static(b",");
            }
            let Ok(Value::Object(fields)) = serde_json::to_value(layer) else { continue };
            let picture = picture_json(&result, &layer.file, fields);
            tokio::pin!(picture);
            while let Some(block) = picture.next().await {
                yield block?;
            }
        }
        yield Bytes::from_static(b"]}");
    }
}

/// An object of `fields` with a file of the result as its last, `b64_json`.
pub(super) fn picture_json<'a>(
    result: &'a StoredResult,
    file: &'a str,
    fields: Map<String, Value>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'a {
    async_stream::try_stream! {
        let head = Value::Object(fields).to_string();
        let comma = if head == "{}" { "" } else { "," };
        yield Bytes::from(format!("{}{comma}\"b64_json\":\"", head.strip_suffix('}').unwrap_or(&head)));
        let file = result.open(file).await?.ok_or_else(Error::job_not_found)?;
        let mut file = file.read().await.map_err(Error::storage)?;
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            (&mut file).take(BLOCK as u64).read_to_end(&mut block).await.map_err(Error::storage)?;
            if block.is_empty() {
                break;
            }
            yield Bytes::from(BASE64.encode(&block));
        }
        yield Bytes::from_static(b"\"}");
    }
}
