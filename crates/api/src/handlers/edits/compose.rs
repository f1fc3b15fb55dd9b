//! A result composed with edits, as one file. Nothing is stored.

use std::sync::Arc;

use axum::extract::{Request, State};
use jobs::Metadata;
use jobs::document::{Document, Element};
use jobs::edits::whole;
use jobs::store::StoredDocument;
use layers::{ShapeMode, TextMode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::{MAX_DOCUMENT, document_of};
use super::pictures::check_pictures;
use crate::auth::caller::Caller;
use crate::export::target::{self, Target};
use crate::export::{self, Export};
use crate::handlers::finished::{FinishedJob, child_jobs};
use crate::http::answers::Attachment;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, LayerFaults, StorageFaults};
use crate::state::App;

/// A composition.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComposeRequest {
    /// `png` (the default: one picture of what is visible), `psd`, `ora`, `pptx`, `svg` or `zip`.
    #[schema(pattern = "^(png|psd|ora|pptx|svg|zip)$")]
    format: Option<String>,
    /// Add each layer trimmed to its box to a ZIP; cut a PNG to what is visible.
    #[serde(default)]
    trim: bool,
    /// Name the files of a ZIP after the layers.
    #[serde(default)]
    names: bool,
    /// Pixels for each one of the document in both directions: 1 (the default) or 2. Words and shapes are drawn anew, pixels are
    /// resampled.
    #[schema(minimum = 1, maximum = 2)]
    #[serde(default, deserialize_with = "whole::optional")]
    scale: Option<u32>,
    /// Pixels per inch to write into the file, 1 to 30000; as the upload had it, if absent. Slides are as large as that makes
    /// them.
    #[schema(minimum = 1, maximum = 30_000)]
    dpi: Option<f64>,
    /// How PPTX and SVG write words: as text (`live`), as pixels, or as text with the pixels hidden beside it (`both`).
    #[serde(default)]
    text: TextMode,
    /// How PPTX, SVG and PSD write layers that are one flat shape: as shapes (`native`, the default) where these are within
    /// 4/255 of the pixels inside and within 1 px along the contour, or as `pixels`.
    #[serde(default)]
    shapes: ShapeMode,
    /// The document as it is (`seen`, the default) or as if nobody had edited it (`original`).
    #[serde(default, rename = "as")]
    view: DocumentView,
    /// A document in place of the stored one, as `PUT /api/jobs/{id}/document` takes it.
    #[schema(max_items = 2000)]
    elements: Option<Vec<Element>>,
}

/// Which document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DocumentView {
    /// As it is.
    #[default]
    Seen,
    /// As if nobody had edited it; split layers stay split.
    Original,
}

impl DocumentView {
    pub(crate) fn of(self, shown: &StoredDocument) -> Document {
        match self {
            Self::Seen => shown.document.clone(),
            Self::Original => Document::unedited(shown.tree()),
        }
    }
}

/// Compose a result
///
/// The document as one picture or as a document with layers. Nothing is stored.
#[utoipa::path(
    post, path = "/api/jobs/{id}/compose", operation_id = "compose", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    request_body = ComposeRequest,
    responses(
        (status = 200, description = "The file",
            content(
                (Vec<u8> = "image/png"),
                (Vec<u8> = "application/zip"),
                (Vec<u8> = "image/vnd.adobe.photoshop"),
                (Vec<u8> = "image/openraster"),
                (Vec<u8> = "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
                (Vec<u8> = "image/svg+xml"),
            ),
            headers(("Content-Disposition" = String, description = "A file name made from the upload's"))),
        (status = 400, description = "No such format, or the body is not a JSON object", body = ErrorBody),
        LayerFaults,
        JsonFaults,
        (status = 422, description = "A field is unknown or out of its range, or the picture is too large for the format or for the service", body = ErrorBody),
        (status = 429, description = "This client has too many unfinished exports", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn compose(
    State(app): State<App>,
    finished: FinishedJob,
    caller: Caller,
    request: Request,
) -> Result<Attachment, Error> {
    let request: ComposeRequest = extract::json_up_to(request, MAX_DOCUMENT).await?;
    let in_flight = app.broker.in_flight();
    let format = request.format.as_deref().unwrap_or("png");
    let target = Target::parse(format, (request.trim, request.names), request.text, request.shapes)?;
    let output = target::output(request.scale, request.dpi)?;
    let shown = document_of(&app, &finished).await?;
    let tree = shown.tree();
    let composition = match request.elements {
        None => request.view.of(&shown).composition(tree, &output),
        Some(elements) => {
            check_pictures(&app, &shown, &elements).await?;
            Document { elements }.checked(tree)?.composition(tree, &output)
        }
    };
    let metadata = Metadata { children: child_jobs(tree), ..finished.metadata().await? };
    let file_name = format!("{}-edited.{}", metadata.title(), target.extension());
    let export = Export {
        stored: shown.stored,
        composition,
        metadata,
        target,
        is_original: false,
        in_flight,
        typefaces: Arc::clone(&app.typefaces),
    };
    let body = export::body(&app, caller.client(), export).await?;
    Ok(Attachment { content_type: target.media_type(), file_name, cache_control: "no-store", etag: None, body })
}
