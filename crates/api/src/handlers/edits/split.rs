//! Splitting: one layer of a result becomes the picture of a job of its own.

use std::io::{BufReader, Cursor};

use axum::extract::{Request, State};
use jobs::broker::Submitted;
use jobs::document::LayerRef;
use jobs::store::{Link, StoredResult, Upload};
use jobs::tree::MAX_DEPTH;
use jobs::{InputInfo, JobId as Id, LayerInfo, OutputSize, ParentLayer, State as JobState};
use layers::{EncodeError, Limits, Rect};
use serde_json::{Map, Value};
use service::hex;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tracing::Instrument;
use uuid::Uuid;

use super::document::document_of;
use crate::auth::caller::Caller;
use crate::handlers::finished::{FinishedJob, find_layer};
use crate::handlers::jobs::request::JobRequest;
use crate::handlers::jobs::submit::{AcceptedJob, JobAccepted, check_engine, submit_single_use};
use crate::http::client::Submitter;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{self, Segments};
use crate::http::responses::{JsonFaults, LayerFaults, StorageFaults};
use crate::removal;
use crate::state::App;

/// Split a layer again
///
/// Starts a job on one layer of a result, cut to its bounding box; transparent pixels stay transparent. Once it has succeeded, the
/// layer's place in `document`, `compose` and `download` is taken by a group of what it was split into; what would be
/// empty is left out. A layer that cannot be split stays as it is: the job's result has one layer and the note
/// `not_split`. Splitting the same layer once more replaces that: the job of before is deleted with its result. Layers are
/// split up to 32 levels deep. The body has the parameters of `POST /api/decompose`, or is empty.
#[utoipa::path(
    post, path = "/api/jobs/{id}/layers/{n}/decompose", operation_id = "decompose_layer", tag = "decompose",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("n" = String, Path, description = "The layer's number, 0 for the lowest of the result"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]([ -~]{0,198}[!-~])?$", description = "As for `POST /api/decompose`"),
    ),
    request_body(content = Option<jobs::Params>, content_type = "application/json"),
    responses(
        (status = 202, description = "Queued", body = AcceptedJob, headers(("Location" = String, description = "The job's status"))),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        LayerFaults,
        JsonFaults,
        StorageFaults,
        (status = 422, description = "A parameter cannot be used, no worker has the engine, or the layer is empty, shows a picture or is 32 splits deep", body = ErrorBody),
        (status = 429, description = "The queue, or this client's share of it, is full", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn decompose_layer(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
    request: Request,
) -> Result<JobAccepted, Error> {
    let submitter = Submitter::from_request(&request)?;
    let fields: Map<String, Value> = extract::json_or_nothing(request).await?.unwrap_or_default();
    let job_request = JobRequest::from_json(fields, &app.config, submitter.caller.highest_priority(&app.config))?;
    if job_request.output_size() != OutputSize::Native {
        let message = "output_size does not apply here: the parts of a layer have that layer's size; leave it out";
        return Err(Error::unprocessable("invalid_parameter", message));
    }
    let metadata = finished.metadata().await?;
    let info = find_layer(&metadata, &path.1)?;
    let (id, layer) = (finished.id, info.z_index);
    let area = info
        .bounding_box
        .ok_or_else(|| Error::unprocessable("layer_empty", "the layer has no visible pixels; choose another one"))?;
    let shown = document_of(&app, &finished).await?;
    if shown.document.of_layer(LayerRef { job_id: id, layer }).is_some_and(|element| element.picture.is_some()) {
        let message = "the layer shows a picture in place of its pixels, and only layers as an engine made them are split; undo \
                       that first";
        return Err(Error::unprocessable("layer_is_picture", message));
    }
    if app.store.depth(&metadata).await? >= MAX_DEPTH {
        let message =
            format!("the layer lies {MAX_DEPTH} splits deep, which is the limit; split a layer further up instead");
        return Err(Error::unprocessable("split_too_deep", message));
    }
    check_engine(&app, job_request.engine()).await?;
    let split_by = Some(submitter.caller.create_id_for_part(id));
    let parent = ParentLayer { job_id: id, layer, x: area.x, y: area.y, split_by, kind: Some(info.kind) };
    let (width, height) = metadata.canvas();
    let limits = Limits { max_pixels: u64::from(width) * u64::from(height) };
    let cut = cut_out(&app, &finished.result, &submitter.caller, info, area, parent, limits).await?;
    let work = submit_and_link(app, submitter, cut, job_request, (id, layer));
    // A task of its own: a client that leaves must not leave an upload without a job, or a job that is not linked to its
    // layer.
    let submitted = tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??;
    Ok(submitted.into())
}

async fn submit_and_link(
    app: App,
    submitter: Submitter,
    (upload, png): (Upload, NamedTempFile),
    job_request: JobRequest,
    (parent, layer): (Id, u32),
) -> Result<Submitted, Error> {
    app.store.put_upload(&upload, png).await?;
    let submitted = submit_single_use(&app, submitter, &upload, job_request).await?;
    let (Submitted::Queued(job) | Submitted::Repeated(job)) = &submitted;
    let is_new = matches!(submitted, Submitted::Queued(_));
    if !is_new && (job.cancel_requested || matches!(job.state, JobState::Cancelled | JobState::Failed)) {
        // A repeated request for a job without a result must not replace one with a result.
        return Ok(submitted);
    }
    let linked = app.store.link_child(parent, layer, job.id).await;
    let unwanted = match &linked {
        Ok(Link::Made { replaced }) => *replaced,
        // The result was deleted meanwhile, so nobody could reach the new job.
        Ok(Link::NoResult) => Some(job.id),
        Err(_) => is_new.then_some(job.id),
    };
    if let Some(id) = unwanted
        && let Err(error) = removal::remove(&app, id).await
    {
        tracing::warn!(unwanted = %id, %error, "a job that split a layer could not be deleted; retrying");
        removal::remove_later(&app, vec![id]);
    }
    match linked? {
        Link::Made { .. } => Ok(submitted),
        Link::NoResult => Err(Error::job_not_found()),
    }
}

/// Writes the layer's pixels to a file that can be stored as an upload.
async fn cut_out(
    app: &App,
    result: &StoredResult,
    caller: &Caller,
    info: &LayerInfo,
    area: Rect,
    parent: ParentLayer,
    limits: Limits,
) -> Result<(Upload, NamedTempFile), Error> {
    let permit = app.decodes.acquire(caller.client()).await?;
    let stored = result.open(&info.file).await?.ok_or_else(Error::job_not_found)?;
    let mut bytes = Vec::new();
    stored.read().await.map_err(Error::storage)?.read_to_end(&mut bytes).await.map_err(Error::storage)?;
    let scratch = app.store.make_scratch().await?;
    let filename = format!("{}.png", info.name);
    let id = caller.create_id_for_part(parent.job_id);
    let in_flight = app.broker.in_flight();
    let work = move || {
        let _permit = permit;
        let _in_flight = in_flight;
        write_cut(id, bytes, &limits, area, scratch, filename, parent)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

fn write_cut(
    id: Uuid,
    bytes: Vec<u8>,
    limits: &Limits,
    area: Rect,
    scratch: NamedTempFile,
    filename: String,
    parent: ParentLayer,
) -> Result<(Upload, NamedTempFile), Error> {
    let layer = layers::decode(BufReader::new(Cursor::new(bytes)), limits).map_err(Error::internal)?;
    let mut pixels = layers::crop(&layer.pixels, area);
    // Stored layers carry their edges' colours there, which are no part of the picture.
    pixels.pixels_mut().filter(|pixel| pixel[3] == 0).for_each(|pixel| pixel.0 = [0; 4]);
    layers::write_dense_png(scratch.as_file(), &pixels, layer.density).map_err(|err| match err {
        EncodeError::Io(err) => Error::storage(err),
        err => Error::internal(err),
    })?;
    let written = std::fs::read(scratch.path()).map_err(Error::storage)?;
    let input = InputInfo {
        filename: Some(filename),
        format: "png".to_owned(),
        width: area.width,
        height: area.height,
        has_alpha: pixels.pixels().any(|pixel| pixel[3] < 255),
        density: layer.density,
        notes: Vec::new(),
        sha256: hex(&Sha256::digest(&written)),
        parent: Some(parent),
    };
    Ok((Upload { id, input, created_at: OffsetDateTime::now_utc() }, scratch))
}
