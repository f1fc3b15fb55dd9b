use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jobs::JobId as Id;
use jobs::edits::LayerEdit;
use jobs::tree::{self, ComposedLayer};
use layers::Format;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Client;
use crate::error::{Error, ErrorBody};
use crate::export::{self, Export, Target};
use crate::extract::{self, Finished};
use crate::responses::{JsonFaults, StorageFaults};
use crate::results::{content_disposition, with_children};

/// More entries than any tree of results has.
const MAX_ENTRIES: usize = 1000;

/// As deep as layers can be split.
const MAX_GROUPS: usize = 32;

/// Characters of the name of a layer or a group, and of all names of a composition together.
const MAX_NAME: usize = 200;
const MAX_NAMES: usize = 200_000;

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
    #[schema(max_items = 1000)]
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
    /// Names of the groups that it is in, the outermost first. Neighbours in the same group become one. Names have
    /// 1 to 200 characters, none of them a control character; all names together have at most 200000.
    #[serde(default)]
    #[schema(max_items = 32)]
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
        (status = 400, description = "No such format, or the body is no JSON object", body = ErrorBody),
        (status = 404, description = "No such job or layer", body = ErrorBody),
        (status = 409, description = "The job has no result: it is not finished, failed or was cancelled", body = ErrorBody),
        (status = 415, description = "The body is not JSON", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "A field is unknown or out of its range, or the picture is too large for the format or for the service", body = ErrorBody),
        (status = 429, description = "This client has too many exports that are not over", body = ErrorBody),
        StorageFaults,
    )
)]
pub async fn compose(
    State(app): State<App>,
    finished: Finished,
    Client(client): Client,
    request: Request,
) -> Result<Response, Error> {
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
    let export = Export { tree: stored, composition, metadata, target, is_original: false, in_flight };
    let body = export::body(&app, &client, export).await?;
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

fn entries(layers: Vec<ComposeLayer>, job: Id) -> Result<Vec<ComposedLayer>, Error> {
    if layers.len() > MAX_ENTRIES {
        let message = format!("layers has {} entries, at most {MAX_ENTRIES} are taken; leave some out", layers.len());
        return Err(Error::unprocessable("too_many_layers", message));
    }
    check_names(&layers)?;
    let entry = |layer: ComposeLayer| {
        layer.edit.validate()?;
        let job_id = layer.job_id.unwrap_or(job);
        Ok(ComposedLayer { job_id, layer: layer.layer, groups: layer.groups, edit: layer.edit })
    };
    layers.into_iter().map(entry).collect()
}

/// Bounds how deep and how long the names of layers and groups are, before anything is made of them.
fn check_names(layers: &[ComposeLayer]) -> Result<(), Error> {
    let mut total = 0;
    for (at, layer) in layers.iter().enumerate() {
        if layer.groups.len() > MAX_GROUPS {
            let count = layer.groups.len();
            let message = format!(
                "layers[{at}].groups has {count} names, at most {MAX_GROUPS} are taken; put the layer into fewer groups"
            );
            return Err(Error::unprocessable("too_many_groups", message));
        }
        for (field, name) in layer
            .groups
            .iter()
            .map(|name| ("groups", name))
            .chain(layer.edit.name.iter().map(|name| ("edit.name", name)))
        {
            let length = name.chars().take(MAX_NAME + 1).count();
            if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
                let message = format!(
                    "layers[{at}].{field} has a name that is not taken: names have 1 to {MAX_NAME} characters, none of \
                     them a control character such as a line break; shorten or clean it"
                );
                return Err(Error::unprocessable("invalid_parameter", message));
            }
            total += length;
        }
    }
    if total > MAX_NAMES {
        let message = format!(
            "the names of layers and groups have {total} characters, at most {MAX_NAMES} are taken; shorten them"
        );
        return Err(Error::unprocessable("names_too_long", message));
    }
    Ok(())
}
