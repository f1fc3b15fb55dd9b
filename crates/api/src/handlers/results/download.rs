//! A whole result as one file.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use jobs::document::Document;
use jobs::tree::Composition;
use jobs::{ChildJob, Metadata};
use layers::{ShapeMode, TextMode};
use serde::Deserialize;
use service::hex;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::auth::caller::Caller;
use crate::export::archive;
use crate::export::target::{self, Target};
use crate::export::{self, Export};
use crate::handlers::edits::compose::DocumentView;
use crate::handlers::edits::document::document_of;
use crate::handlers::finished::{FinishedJob, child_jobs};
use crate::http::answers::{Attachment, NotModified};
use crate::http::caching::{REVALIDATE, not_modified};
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::Query;
use crate::http::responses::{ResultFaults, StorageFaults};
use crate::state::App;

/// The file, unless the client has it already.
pub(crate) enum DownloadAnswer {
    File(Attachment),
    NotModified(NotModified),
}

impl IntoResponse for DownloadAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::File(file) => file.into_response(),
            Self::NotModified(answer) => answer.into_response(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DownloadQuery {
    /// `zip` (the default), `png`, `psd`, `ora`, `pptx` or `svg`.
    #[param(pattern = "^(png|psd|ora|pptx|svg|zip)$")]
    format: Option<String>,
    /// Add each layer, trimmed to its bounding box, to a ZIP, with a manifest of the offsets; cut a PNG to what is visible. Other
    /// formats always trim.
    #[serde(default)]
    trim: bool,
    /// Name the files of a ZIP after the layers.
    #[serde(default)]
    names: bool,
    /// Pixels for each one of the document in both directions: 1 (the default) or 2.
    #[param(minimum = 1, maximum = 2)]
    scale: Option<u32>,
    /// Pixels per inch to write into the file, 1 to 30000; as the upload had it, if absent.
    #[param(minimum = 1, maximum = 30_000)]
    dpi: Option<f64>,
    /// Only this layer or group of the document, by the id of its element, shown over nothing.
    element: Option<u64>,
    /// How PPTX and SVG write words: as text (`live`), as pixels, or as text with the pixels hidden beside it (`both`, the
    /// default). PSD has type layers unless it is `pixels`.
    #[serde(default)]
    text: TextMode,
    /// How PPTX, SVG and PSD write layers that are one flat shape: as shapes (`native`, the default) where these are within
    /// 4/255 of the pixels inside and within 1 px along the contour, or as `pixels`.
    #[serde(default)]
    shapes: ShapeMode,
    /// The document as it is (`seen`, the default) or as if nobody had edited it (`original`).
    #[serde(default, rename = "as")]
    #[param(rename = "as", inline)]
    view: DocumentView,
}

/// Download a result
///
/// As a ZIP, all files of the result: `layer_0.png` (the lowest) and so on, `metadata.json`, `preview.jpg`. As PSD,
/// ORA, PPTX or SVG, one document with the layers named and placed. A layer that was split again is a group of its
/// parts (in a ZIP: their files, and the tree in `manifest.json`). Edits are in it, unless it is asked for as `original`.
#[utoipa::path(
    get, path = "/api/download/{id}", operation_id = "download_result", tag = "results",
    params(("id" = Uuid, Path, description = "The job"), DownloadQuery),
    responses(
        (status = 200, description = "The file",
            content(
                (Vec<u8> = "application/zip"),
                (Vec<u8> = "image/png"),
                (Vec<u8> = "image/vnd.adobe.photoshop"),
                (Vec<u8> = "image/openraster"),
                (Vec<u8> = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
                (Vec<u8> = "image/svg+xml"),
            ),
            headers(("Content-Disposition" = String, description = "A file name made from the upload's"))),
        (status = 304, description = "As in If-None-Match"),
        (status = 400, description = "No such format", body = ErrorBody),
        ResultFaults,
        (status = 422, description = "The picture is too large for the format, or a parameter is out of its range", body = ErrorBody),
        (status = 429, description = "This client has too many unfinished exports", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn download(
    State(app): State<App>,
    finished: FinishedJob,
    Query(query): Query<DownloadQuery>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
) -> Result<DownloadAnswer, Error> {
    let format = query.format.as_deref().unwrap_or("zip");
    let target = Target::parse(format, (query.trim, query.names), query.text, query.shapes)?;
    let output = target::output(query.scale, query.dpi)?;
    let shown = document_of(&app, &finished).await?;
    let tree = shown.tree();
    let metadata = Metadata { children: child_jobs(tree), ..finished.metadata().await? };
    let mut document = query.view.of(&shown);
    let mut title = format!("{}-layers", metadata.title());
    if let Some(id) = query.element {
        document = document.only(id).ok_or_else(|| unknown_element(id))?;
        title = document.element(id).map_or(title, |element| layers::file_name(&element.name(tree)));
    }
    let is_original = document == Document::unedited(tree) && output.scale == 1;
    let is_stored = target.is_plain_zip() && is_original && output.density.is_none() && metadata.children.is_empty();
    let composition = document.composition(tree, &output);
    let etag = export_tag(&composition, &metadata.children, target);
    if not_modified(&headers, &etag) {
        return Ok(DownloadAnswer::NotModified(NotModified { etag, cache_control: Some(REVALIDATE) }));
    }
    let file_name = format!("{title}.{}", target.extension());
    let body = if method == Method::HEAD {
        // Nothing is written for HEAD, so the length is unknown too.
        Body::from_stream(stream::empty::<io::Result<Bytes>>())
    } else if is_stored {
        // The files are stored as they are sent, so this download waits for no turn.
        archive::body(&finished.result, &metadata).await?
    } else {
        let in_flight = app.broker.in_flight();
        let export = Export {
            stored: shown.stored,
            composition,
            metadata,
            target,
            is_original,
            in_flight,
            typefaces: Arc::clone(&app.typefaces),
        };
        export::body(&app, caller.client(), export).await?
    };
    let content_type = target.media_type();
    Ok(DownloadAnswer::File(Attachment { content_type, file_name, cache_control: REVALIDATE, etag: Some(etag), body }))
}

fn unknown_element(id: u64) -> Error {
    let message = format!("the document has no element {id}; GET /api/jobs/{{id}}/document lists them");
    Error::not_found("element_not_found", message)
}

/// A result never changes, so an export of it changes only with its document, its splits and the service's version. Weak: another
/// version may write other bytes.
fn export_tag(composition: &Composition, children: &[ChildJob], target: Target) -> String {
    let shown = format!("{} {composition:?} {children:?} {target:?}", env!("CARGO_PKG_VERSION"));
    format!("W/\"{}\"", &hex(&Sha256::digest(shown))[..32])
}
