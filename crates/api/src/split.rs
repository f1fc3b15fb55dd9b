//! One layer of a result becomes the input of a job of its own.

use std::io::{BufReader, Cursor};

use axum::extract::{Request, State};
use axum::response::Response;
use jobs::broker::Submitted;
use jobs::store::Upload;
use jobs::{InputInfo, JobId as Id, LayerInfo, OutputSize, ParentLayer};
use layers::{Box as Area, Limits};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::app::App;
use crate::caller::Caller;
use crate::error::{Error, ErrorBody};
use crate::extract::{self, Finished, Segments};
use crate::form::{Asked, hex};
use crate::responses::{JsonFaults, StorageFaults};
use crate::submit::{Accepted, accepted, check_engine, submit_own};

/// Split a layer again
///
/// Starts a job on one layer of a result, cut to its box; what is transparent stays so. Once it has succeeded, the
/// layer's place in `document`, `compose` and `download` is taken by a group of what it was split into. Splitting the
/// same layer once more replaces that. The body has the parameters of `POST /api/decompose`, or is empty.
#[utoipa::path(
    post, path = "/api/jobs/{id}/layers/{n}/decompose", operation_id = "decompose_layer", tag = "decompose",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("n" = String, Path, description = "The layer's number, 0 for the lowest of the result"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for `POST /api/decompose`"),
    ),
    request_body(content = Option<jobs::Params>, content_type = "application/json"),
    responses(
        (status = 202, description = "Queued", body = Accepted, headers(("Location" = String, description = "The job's status"))),
        (status = 400, description = "The body is no JSON object", body = ErrorBody),
        (status = 404, description = "No such job or layer", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        JsonFaults,
        StorageFaults,
        (status = 422, description = "A parameter cannot be used, no worker has the engine, or the layer is empty", body = ErrorBody),
        (status = 429, description = "The queue is full", body = ErrorBody, headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub async fn decompose_layer(
    State(app): State<App>,
    finished: Finished,
    Segments(path): Segments<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let caller = Caller::of(&app, &request)?;
    let fields: Map<String, Value> = extract::json_or_nothing(request).await?.unwrap_or_default();
    let asked = Asked::from_json(fields, &app.config)?;
    if asked.output_size() != OutputSize::Native {
        let message = "output_size: the parts of a layer have that layer's size; leave it out";
        return Err(Error::unprocessable("invalid_parameter", message));
    }
    let info = finished.layer(&path.1)?;
    let (id, layer) = (finished.id, info.z_index);
    let area = info.bounding_box.ok_or_else(|| {
        Error::unprocessable("layer_empty", "the layer has no pixel that can be seen; choose another one")
    })?;
    check_engine(&app, asked.engine()).await?;
    let parent = ParentLayer { job_id: id, layer, x: area.x, y: area.y };
    let (width, height) = finished.metadata.canvas();
    let limits = Limits { max_pixels: u64::from(width) * u64::from(height) };
    let upload = cut_out(&app, &caller.client, info, area, parent, limits).await?;
    let submitted = submit_own(&app, caller, &upload, asked).await?;
    let (Submitted::Queued(job) | Submitted::Repeated(job)) = &submitted;
    let child: Id = job.id;
    let link = move |edits: &mut jobs::edits::Edits| {
        edits.children.insert(layer, child);
    };
    let linked = app.store.change_edits(id, link).await;
    if !matches!(&linked, Ok(Some(_))) {
        // The result was deleted meanwhile, or the storage failed: the child would be out of reach.
        app.broker.cancel(child).await?;
    }
    linked?.ok_or_else(Error::job_not_found)?;
    Ok(accepted(&submitted))
}

/// Stores the layer's pixels as an upload.
async fn cut_out(
    app: &App,
    client: &str,
    info: &LayerInfo,
    area: Area,
    parent: ParentLayer,
    limits: Limits,
) -> Result<Upload, Error> {
    let permit = app.decodes.acquire(client).await?;
    let stored = app.store.result_file(parent.job_id, &info.file).await?.ok_or_else(Error::job_not_found)?;
    let mut bytes = Vec::new();
    stored.read().await.map_err(Error::internal)?.read_to_end(&mut bytes).await.map_err(Error::internal)?;
    let scratch = app.store.scratch()?;
    let filename = format!("{}.png", info.name);
    let in_flight = app.broker.in_flight();
    let work = move || {
        let _permit = permit;
        let _in_flight = in_flight;
        write_cut(bytes, &limits, area, scratch, filename, parent)
    };
    let (upload, png) = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    app.store.put_upload(&upload, png).await?;
    Ok(upload)
}

fn write_cut(
    bytes: Vec<u8>,
    limits: &Limits,
    area: Area,
    scratch: NamedTempFile,
    filename: String,
    parent: ParentLayer,
) -> Result<(Upload, NamedTempFile), Error> {
    let pixels = layers::decode(BufReader::new(Cursor::new(bytes)), limits).map_err(Error::internal)?.pixels;
    let pixels = layers::crop(&pixels, area);
    layers::write_png(scratch.as_file(), &pixels).map_err(Error::internal)?;
    let written = std::fs::read(scratch.path()).map_err(Error::internal)?;
    let input = InputInfo {
        filename: Some(filename),
        format: "png".to_owned(),
        width: area.width,
        height: area.height,
        has_alpha: pixels.pixels().any(|pixel| pixel[3] < 255),
        sha256: hex(&Sha256::digest(&written)),
        parent: Some(parent),
    };
    Ok((Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() }, scratch))
}
