use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jobs::JobId as Id;
use jobs::edits::LayerEdit;
use jobs::tree::{self, Entry};
use layers::Format;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, ErrorBody};
use crate::export::{self, Target};
use crate::extract::{self, Finished};
use crate::responses::JsonFaults;
use crate::results::{content_disposition, with_children};

/// More entries than any tree of results has.
const MAX_ENTRIES: usize = 1000;

/// What to compose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeRequest {
    /// `png` (the default: what one sees), `psd`, `ora`, `pptx`, `svg` or `zip`.
    format: Option<String>,
    /// Add each layer trimmed to its box to a ZIP.
    #[serde(default)]
    trim: bool,
    /// The layers, the lowest first, with edits in place of those that are stored. Absent: the document as it is stored.
    layers: Option<Vec<ComposeLayer>>,
}

/// A layer of the composition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeLayer {
    /// The layer's number in its result.
    layer: u32,
    /// The job that it is a result of: absent for the one in the address, or one that splits a layer of it.
    #[schema(value_type = Option<uuid::Uuid>)]
    job_id: Option<Id>,
    /// Names of the groups that it is in, the outermost first. Neighbours in the same group become one.
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    edit: LayerEdit,
}

/// Compose a result
///
/// The stack with its edits, as one picture or as a document with layers. Nothing is stored.
#[utoipa::path(
    post, path = "/api/jobs/{id}/compose", operation_id = "compose", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    request_body = ComposeRequest,
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "image/png",
            headers(("Content-Disposition" = String, description = "A file name made from the upload's"))),
        (status = 400, description = "No such format, or the body is no JSON object", body = ErrorBody),
        (status = 404, description = "No such job or layer", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "A field is unknown or out of its range, or the picture is too large for the format", body = ErrorBody),
    )
)]
pub async fn compose(State(app): State<App>, finished: Finished, request: Request) -> Result<Response, Error> {
    let asked: ComposeRequest = extract::json(request).await?;
    let in_flight = app.broker.in_flight();
    let target = target(asked.format.as_deref().unwrap_or("png"), asked.trim)?;
    let stored = app.store.tree(finished.id).await?.ok_or_else(Error::job_not_found)?;
    let composition = match asked.layers {
        None => stored.composition(),
        Some(layers) => {
            let entries = entries(layers, finished.id)?;
            tree::compose(&stored, &entries)?
        }
    };
    let metadata = with_children(&app, finished).await?;
    let name = format!("{}-edited.{}", metadata.title(), target.extension());
    let body = export::body(&app.store, in_flight, composition, metadata, target, app.config.max_pixels).await?;
    let headers = [
        (header::CONTENT_TYPE, target.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, content_disposition(&name)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

fn target(word: &str, trim: bool) -> Result<Target, Error> {
    if word.eq_ignore_ascii_case("png") {
        return Ok(Target::Png);
    }
    let format = word.parse::<Format>().map_err(|_| {
        let shown: String = word.chars().take(20).collect();
        let known = Format::ALL.map(Format::extension).join(", ");
        Error::bad_request("unknown_format", format!("nothing can be composed as \"{shown}\"; formats: png, {known}"))
    })?;
    Ok(Target::Document { format, trim })
}

fn entries(layers: Vec<ComposeLayer>, job: Id) -> Result<Vec<Entry>, Error> {
    if layers.len() > MAX_ENTRIES {
        let message = format!("layers has {} entries, at most {MAX_ENTRIES} are taken", layers.len());
        return Err(Error::unprocessable("too_many_layers", message));
    }
    let entry = |layer: ComposeLayer| {
        layer.edit.validate()?;
        let job_id = layer.job_id.unwrap_or(job);
        Ok(Entry { job_id, layer: layer.layer, groups: layer.groups, edit: layer.edit })
    };
    layers.into_iter().map(entry).collect()
}
