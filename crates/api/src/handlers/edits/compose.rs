//! A result composed with edits, as one file. Nothing is stored.

use std::sync::Arc;

use axum::extract::{Request, State};
use jobs::edits::{LayerEdit, whole};
use jobs::tree::{self, ComposedGroup, ComposedLayer};
use jobs::{JobId as Id, Metadata};
use layers::{ShapeMode, TextMode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::caller::Caller;
use crate::export::target::Target;
use crate::export::{self, Export};
use crate::handlers::finished::{FinishedJob, child_jobs};
use crate::http::answers::Attachment;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, LayerFaults, StorageFaults};
use crate::state::App;

/// More entries than any document has layers.
const MAX_ENTRIES: usize = 1000;

/// The depth to which layers can be split.
const MAX_GROUPS: usize = 32;

/// Characters of the name of a layer or a group, and of all names of a composition together.
const MAX_NAME: usize = 200;
const MAX_NAMES: usize = 200_000;

/// A composition.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComposeRequest {
    /// `png` (the default: one picture of what is visible), `psd`, `ora`, `pptx`, `svg` or `zip`.
    #[schema(pattern = "^(png|psd|ora|pptx|svg|zip)$")]
    format: Option<String>,
    /// Add each layer trimmed to its box to a ZIP.
    #[serde(default)]
    trim: bool,
    /// How PPTX and SVG write words: as text (`live`), as pixels, or as text with the pixels hidden beside it (`both`).
    #[serde(default)]
    text: TextMode,
    /// How PPTX, SVG and PSD write layers that are one flat shape: as shapes (`native`, the default) where these are within
    /// 4/255 of the pixels inside and within 1 px along the contour, or as `pixels`.
    #[serde(default)]
    shapes: ShapeMode,
    /// The layers, the lowest first, with edits in place of the stored ones. Absent: the document as it is stored.
    #[schema(max_items = 1000)]
    layers: Option<Vec<ComposeLayer>>,
}

/// A layer of the composition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComposeLayer {
    /// The layer's number in its result.
    #[serde(deserialize_with = "whole::number")]
    layer: u32,
    /// The job whose result has the layer: absent for the job in the address, or a job that split a layer of it.
    #[schema(value_type = Option<uuid::Uuid>)]
    job_id: Option<Id>,
    /// The groups that the layer is in, the outermost first. Neighbours with the same groups are put together.
    /// Names have 1 to 200 characters without control characters; all names together have at most 200000.
    #[serde(default)]
    #[schema(max_items = 32)]
    groups: Vec<ComposeGroup>,
    #[serde(default)]
    edit: LayerEdit,
}

/// A group: its name, or a name and a number that tells it from other groups of that name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a group is a name, or an object with name and id (an integer from 0 to 4294967295)")]
pub(crate) enum ComposeGroup {
    Name(String),
    Numbered(NumberedGroup),
}

/// A group with a number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberedGroup {
    name: String,
    #[serde(deserialize_with = "whole::number")]
    id: u32,
}

impl ComposeGroup {
    fn name(&self) -> &String {
        match self {
            Self::Name(name) | Self::Numbered(NumberedGroup { name, .. }) => name,
        }
    }
}

impl From<ComposeGroup> for ComposedGroup {
    fn from(group: ComposeGroup) -> Self {
        match group {
            ComposeGroup::Name(name) => name.into(),
            ComposeGroup::Numbered(NumberedGroup { name, id }) => Self { name, id: Some(id) },
        }
    }
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
    let request: ComposeRequest = extract::json(request).await?;
    let in_flight = app.broker.in_flight();
    let target = Target::parse(request.format.as_deref().unwrap_or("png"), request.trim, request.text, request.shapes)?;
    let stored = app.store.tree_of(&finished.result).await?.ok_or_else(Error::job_not_found)?;
    let composition = match request.layers {
        None => stored.tree.composition(),
        Some(layers) => {
            let entries = entries(layers, finished.id)?;
            tree::compose(&stored.tree, &entries)?
        }
    };
    let metadata = Metadata { children: child_jobs(&stored.tree), ..finished.metadata().await? };
    let file_name = format!("{}-edited.{}", metadata.title(), target.extension());
    let export = Export {
        stored,
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

fn entries(layers: Vec<ComposeLayer>, job: Id) -> Result<Vec<ComposedLayer>, Error> {
    if layers.len() > MAX_ENTRIES {
        let message =
            format!("layers has {} entries, and at most {MAX_ENTRIES} are allowed; leave some out", layers.len());
        return Err(Error::unprocessable("too_many_layers", message));
    }
    check_names(&layers)?;
    let entry = |layer: ComposeLayer| {
        layer.edit.validate()?;
        let job_id = layer.job_id.unwrap_or(job);
        let groups = layer.groups.into_iter().map(ComposedGroup::from).collect();
        Ok(ComposedLayer { job_id, layer: layer.layer, groups, edit: layer.edit })
    };
    layers.into_iter().map(entry).collect()
}

/// Bounds the depth of groups and the length of names before anything is composed.
fn check_names(layers: &[ComposeLayer]) -> Result<(), Error> {
    let mut total = 0;
    for (at, layer) in layers.iter().enumerate() {
        if layer.groups.len() > MAX_GROUPS {
            let count = layer.groups.len();
            let message = format!(
                "layers[{at}].groups has {count} names, and at most {MAX_GROUPS} are allowed; put the layer into fewer groups"
            );
            return Err(Error::unprocessable("too_many_groups", message));
        }
        for (field, name) in layer
            .groups
            .iter()
            .map(|group| ("groups", group.name()))
            .chain(layer.edit.name.iter().map(|name| ("edit.name", name)))
        {
            let length = name.chars().take(MAX_NAME + 1).count();
            if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
                let message = format!(
                    "layers[{at}].{field} is not a valid name: names have 1 to {MAX_NAME} characters without control \
                     characters such as line breaks"
                );
                return Err(Error::unprocessable("invalid_parameter", message));
            }
            total += length;
        }
    }
    if total > MAX_NAMES {
        let message = format!(
            "the names of layers and groups have {total} characters, and at most {MAX_NAMES} are allowed; shorten them"
        );
        return Err(Error::unprocessable("names_too_long", message));
    }
    Ok(())
}
