//! The files of a result, one by one.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jobs::Metadata;
use jobs::store::layer_file;
use service::hex;
use sha2::{Digest, Sha256};

use crate::handlers::finished::{FinishedJob, child_jobs, layer_not_found, layer_number};
use crate::http::answers::NotModified;
use crate::http::blocks::FileName;
use crate::http::caching::{IMMUTABLE, REVALIDATE, not_modified};
use crate::http::error::Error;
use crate::http::extract::Segments;
use crate::http::files::{FileAnswer, FileHeaders, may_redirect};
use crate::http::responses::{FileAnswers, LayerFaults, ResultFaults};
use crate::state::App;

/// One layer of a result
#[utoipa::path(
    get, path = "/api/jobs/{id}/layers/{n}", operation_id = "get_layer", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("n" = String, Path, description = "`0.png` for the lowest layer, then `1.png` and so on"),
    ),
    responses(
        (status = 200, description = "The layer, as large as the picture: sRGB, 8 bit, straight alpha", body = Vec<u8>,
            content_type = "image/png"),
        FileAnswers,
        LayerFaults,
    )
)]
pub(crate) async fn layer(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<FileAnswer, Error> {
    let Some(number) = path.1.strip_suffix(".png") else {
        return Err(Error::not_found("layer_not_found", "layers are called 0.png, 1.png and so on"));
    };
    // The metadata is only read to say how many layers there are.
    let answer = match layer_number(number) {
        Some(number) => open(&app, &finished, &layer_file(number), "image/png", &headers).await?,
        None => None,
    };
    match answer {
        Some(answer) => Ok(answer),
        None => Err(layer_not_found(&finished.metadata().await?)),
    }
}

/// Preview of a result
#[utoipa::path(
    get, path = "/api/jobs/{id}/preview.jpg", operation_id = "get_preview", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "All layers in one small picture", body = Vec<u8>, content_type = "image/jpeg"),
        FileAnswers,
        ResultFaults,
    )
)]
pub(crate) async fn preview(
    State(app): State<App>,
    finished: FinishedJob,
    headers: HeaderMap,
) -> Result<FileAnswer, Error> {
    open(&app, &finished, "preview.jpg", "image/jpeg", &headers).await?.ok_or_else(Error::job_not_found)
}

/// The metadata as it is stored, or with the jobs that split layers again.
pub(crate) enum MetadataAnswer {
    Stored(FileAnswer),
    NotModified(NotModified),
    WithChildren { etag: String, json: Vec<u8> },
}

impl IntoResponse for MetadataAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Stored(file) => file.into_response(),
            Self::NotModified(answer) => answer.into_response(),
            Self::WithChildren { etag, json } => {
                let headers = [
                    (header::CONTENT_TYPE, "application/json".to_owned()),
                    (header::CACHE_CONTROL, REVALIDATE.to_owned()),
                    (header::ETAG, etag),
                ];
                (headers, json).into_response()
            }
        }
    }
}

/// Facts about a result
///
/// The input, all parameters, the engine, the seed, timings, the error of recomposition, and per layer: file,
/// z-index, name, kind, bounding box, coverage, visible share, flags. `children` names the jobs that split layers again.
#[utoipa::path(
    get, path = "/api/jobs/{id}/metadata.json", operation_id = "get_metadata", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The metadata", body = Metadata),
        (status = 304, description = "As in If-None-Match"),
        ResultFaults,
    )
)]
pub(crate) async fn metadata(
    State(app): State<App>,
    finished: FinishedJob,
    headers: HeaderMap,
) -> Result<MetadataAnswer, Error> {
    let stored = app.store.tree_of(&finished.result).await?.ok_or_else(Error::job_not_found)?;
    let children = child_jobs(&stored.tree);
    if children.is_empty() {
        let file = open(&app, &finished, "metadata.json", "application/json", &headers).await?;
        // Revalidated each time, because a layer may be split later.
        let file = file.ok_or_else(Error::job_not_found)?.with_cache_control(REVALIDATE);
        return Ok(MetadataAnswer::Stored(file));
    }
    // Only the list of children changes, so a hash of the list is a hash of the whole.
    let list = serde_json::to_vec(&children).map_err(Error::internal)?;
    let etag = format!("\"{}/metadata.json/{}\"", finished.id, &hex(&Sha256::digest(list))[..16]);
    if not_modified(&headers, &etag) {
        return Ok(MetadataAnswer::NotModified(NotModified { etag, cache_control: None }));
    }
    let metadata = Metadata { children, ..finished.metadata().await? };
    let json = serde_json::to_vec_pretty(&metadata).map_err(Error::internal)?;
    Ok(MetadataAnswer::WithChildren { etag, json })
}

/// A file of a result as an answer; `None` when the result does not have it.
async fn open(
    app: &App,
    finished: &FinishedJob,
    name: &str,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Option<FileAnswer>, Error> {
    if may_redirect(&app.config, headers)
        && let Some(redirect) = FileAnswer::redirect(|valid| finished.result.url(name, valid)).await
    {
        return Ok(Some(redirect));
    }
    let file_name = FileName::Result(finished.result.clone(), name.to_owned());
    let Some(file) = file_name.open().await? else { return Ok(None) };
    // Results never change, so the name identifies the content.
    let about = FileHeaders { content_type, etag: format!("\"{}/{name}\"", finished.id), cache_control: IMMUTABLE };
    FileAnswer::from_file(file_name, file, about, headers).await.map(Some)
}
