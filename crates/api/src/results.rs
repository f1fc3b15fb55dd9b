use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use jobs::tree::{Composition, Tree};
use jobs::{ChildJob, JobId as Id, Metadata};
use layers::Format;
use serde::Deserialize;
use service::hex;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::app::App;
use crate::archive;
use crate::blocks::FileName;
use crate::caller::Client;
use crate::error::{Error, ErrorBody};
use crate::export::{self, Export, Target};
use crate::extract::{Finished, Query, Segments};
use crate::files::{self, About, CACHE_IMMUTABLE, not_modified};
use crate::responses::StorageFaults;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DownloadQuery {
    /// `zip` (the default), `psd`, `ora`, `pptx` or `svg`.
    #[param(value_type = Option<Format>)]
    format: Option<String>,
    /// Add each layer trimmed to its box to a ZIP, with a manifest of the offsets. The other formats always trim.
    #[serde(default)]
    trim: bool,
}

/// Download a result
///
/// As a ZIP, all files of the result: `layer_0.png` (the lowest) and so on, `metadata.json`, `preview.jpg`. As PSD,
/// ORA, PPTX or SVG, one document with the layers named and placed. A layer that was split again is a group of its
/// parts (in a ZIP: their files, and the tree in `manifest.json`). Edits are left out: `compose` gives those.
#[utoipa::path(
    get, path = "/api/download/{id}", operation_id = "download_result", tag = "results",
    params(("id" = Uuid, Path, description = "The job"), DownloadQuery),
    responses(
        (status = 200, description = "The file",
            content(
                (Vec<u8> = "application/zip"),
                (Vec<u8> = "image/vnd.adobe.photoshop"),
                (Vec<u8> = "image/openraster"),
                (Vec<u8> = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
                (Vec<u8> = "image/svg+xml"),
            ),
            headers(("Content-Disposition" = String, description = "A file name made from the upload's"))),
        (status = 304, description = "As in If-None-Match"),
        (status = 400, description = "No such format", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
        (status = 422, description = "The picture is too large for the format", body = ErrorBody),
        (status = 429, description = "This client has too many exports that are not over", body = ErrorBody),
        StorageFaults,
    )
)]
pub async fn download(
    State(app): State<App>,
    finished: Finished,
    Query(query): Query<DownloadQuery>,
    Client(client): Client,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let word = query.format.as_deref().unwrap_or("zip");
    let format: Format = word.parse().map_err(|_| {
        let shown: String = word.chars().take(20).collect();
        let known = Format::ALL.map(Format::extension).join(", ");
        Error::bad_request("unknown_format", format!("results cannot be downloaded as \"{shown}\"; formats: {known}"))
    })?;
    let Finished { id, mut metadata } = finished;
    let tree = app.store.unedited_tree(id).await?.ok_or_else(Error::job_not_found)?;
    metadata.children = children(&tree);
    let target = Target::Document { format, trim: query.trim };
    let composition = tree.composition();
    let etag = export_tag(&composition, &metadata.children, target);
    let no_cache = "private, no-cache".to_owned();
    if not_modified(&headers, &etag) {
        let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, no_cache)];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (
            header::CONTENT_DISPOSITION,
            content_disposition(&format!("{}-layers.{}", metadata.title(), format.extension())),
        ),
        (header::CACHE_CONTROL, no_cache),
        (header::ETAG, etag),
    ];
    let body = if method == Method::HEAD {
        // Nothing is written for it, so its length is not known either.
        Body::from_stream(stream::empty::<io::Result<Bytes>>())
    } else if format == Format::Zip && !query.trim && metadata.children.is_empty() {
        // What is stored already goes out as it is, without waiting for anything to be written.
        archive::body(&app.store, id, &metadata).await?
    } else {
        let in_flight = app.broker.in_flight();
        let export = Export { tree, composition, metadata, target, is_original: true, in_flight };
        export::body(&app, &client, export).await?
    };
    Ok((headers, body).into_response())
}

/// A result never changes, so what is exported of it changes with its splits and with how the service writes it. Weak:
/// another version of the service may write other bytes.
fn export_tag(composition: &Composition, children: &[ChildJob], target: Target) -> String {
    let shown = format!("{} {composition:?} {children:?} {target:?}", env!("CARGO_PKG_VERSION"));
    format!("W/\"{}\"", &hex(&Sha256::digest(shown))[..32])
}

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
        (status = 206, description = "The part that Range asks for"),
        (status = 304, description = "As in If-None-Match"),
        (status = 307, description = "Where the storage itself gives it (`DOWNLOAD_REDIRECT`)"),
        (status = 416, description = "Range asks for none of its bytes", body = ErrorBody),
        (status = 404, description = "No such job or layer", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
    )
)]
pub async fn layer(
    State(app): State<App>,
    finished: Finished,
    Segments(path): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Some(number) = path.1.strip_suffix(".png") else {
        return Err(Error::not_found("layer_not_found", "layers are called 0.png, 1.png and so on"));
    };
    open(&app, finished.id, &finished.layer(number)?.file, "image/png", &headers).await
}

/// Preview of a result
#[utoipa::path(
    get, path = "/api/jobs/{id}/preview.jpg", operation_id = "get_preview", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "All layers in one small picture", body = Vec<u8>, content_type = "image/jpeg"),
        (status = 206, description = "The part that Range asks for"),
        (status = 304, description = "As in If-None-Match"),
        (status = 307, description = "Where the storage itself gives it (`DOWNLOAD_REDIRECT`)"),
        (status = 416, description = "Range asks for none of its bytes", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
    )
)]
pub async fn preview(State(app): State<App>, finished: Finished, headers: HeaderMap) -> Result<Response, Error> {
    open(&app, finished.id, "preview.jpg", "image/jpeg", &headers).await
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
        (status = 404, description = "No such job", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
    )
)]
pub async fn metadata(State(app): State<App>, finished: Finished, headers: HeaderMap) -> Result<Response, Error> {
    let id = finished.id;
    let metadata = with_children(&app, finished).await?;
    let no_cache = HeaderValue::from_static("private, no-cache");
    if metadata.children.is_empty() {
        // As it is stored, but asked for again: children may come.
        let mut response = open(&app, id, "metadata.json", "application/json", &headers).await?;
        response.headers_mut().insert(header::CACHE_CONTROL, no_cache);
        return Ok(response);
    }
    let json = serde_json::to_vec_pretty(&metadata).map_err(Error::internal)?;
    // All but the list of children never changes, so the list is as good as a hash of it.
    let children = serde_json::to_vec(&metadata.children).map_err(Error::internal)?;
    let etag = format!("\"{id}/metadata.json/{}\"", &hex(&Sha256::digest(children))[..16]);
    if not_modified(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, no_cache),
        (header::ETAG, HeaderValue::from_str(&etag).map_err(Error::internal)?),
    ];
    Ok((headers, json).into_response())
}

/// The metadata of a result with the jobs that split its layers again.
pub async fn with_children(app: &App, finished: Finished) -> Result<Metadata, Error> {
    let Finished { id, mut metadata } = finished;
    metadata.children = app.store.unedited_tree(id).await?.as_ref().map(children).unwrap_or_default();
    Ok(metadata)
}

fn children(tree: &Tree) -> Vec<ChildJob> {
    let child = |layer: &jobs::tree::TreeLayer| {
        let child = layer.child.as_ref()?;
        let children = child.tree.as_ref().map(children).unwrap_or_default();
        Some(ChildJob { layer: layer.layer, job_id: child.job_id, children })
    };
    tree.layers.iter().filter_map(child).collect()
}

/// A file of a result as an answer.
async fn open(
    app: &App,
    id: Id,
    name: &str,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    if files::may_redirect(app, headers)
        && let Some(redirect) = files::redirect(|valid| app.store.result_url(id, name, valid)).await
    {
        return Ok(redirect);
    }
    let file_name = FileName::Result(id, name.to_owned());
    let file = file_name.open(&app.store).await?.ok_or_else(Error::job_not_found)?;
    // Results never change, so their name is as good as a hash of them.
    let about = About { content_type, etag: format!("\"{id}/{name}\""), cache_control: CACHE_IMMUTABLE };
    files::answer(&app.store, file_name, file, about, headers).await
}

/// `Content-Disposition` for a file name in any language: a plain form for old
/// clients and the real one in UTF-8 (RFC 6266, RFC 8187).
pub fn content_disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        // attr-char of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_survive_the_header() {
        for (name, expected) in [
            ("poster-layers.zip", "attachment; filename=\"poster-layers.zip\"; filename*=UTF-8''poster-layers.zip"),
            (
                "포스터 \"1\".zip",
                "attachment; filename=\"___ _1_.zip\"; filename*=UTF-8''%ED%8F%AC%EC%8A%A4%ED%84%B0%20%221%22.zip",
            ),
            ("a\r\nb;c.zip", "attachment; filename=\"a__b_c.zip\"; filename*=UTF-8''a%0D%0Ab%3Bc.zip"),
        ] {
            assert_eq!(content_disposition(name), expected);
        }
    }
}
