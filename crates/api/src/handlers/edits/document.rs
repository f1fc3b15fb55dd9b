//! The document: a result with the edits of its layers.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use jobs::edits::{Blend, Edits, LayerEdit, whole};
use jobs::tree::{Tree, words};
use jobs::{LayerInfo, TextEdits};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::text_patch::TextPatch;
use crate::handlers::finished::{FinishedJob, find_layer};
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{self, Segments};
use crate::http::responses::{JsonFaults, LayerFaults, ResultFaults, StorageFaults};
use crate::state::App;

/// Changes of a layer; absent fields stay as they are.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LayerPatch {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    visible: Option<bool>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    opacity: Option<f32>,
    blend: Option<Blend>,
    /// How far the layer is moved right, in pixels from where the engine put it.
    #[schema(minimum = -100_000, maximum = 100_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    x: Option<i32>,
    /// The same downwards.
    #[schema(minimum = -100_000, maximum = 100_000)]
    #[serde(default, deserialize_with = "whole::optional")]
    y: Option<i32>,
    /// Size as a factor, about the middle of the layer's box.
    #[schema(minimum = 0.01, maximum = 16)]
    scale: Option<f32>,
    /// Turn of the hue in degrees, as CSS `hue-rotate()`.
    #[schema(minimum = -360, maximum = 360)]
    hue: Option<f32>,
    /// Factor, as CSS `saturate()`.
    #[schema(minimum = 0, maximum = 4)]
    saturation: Option<f32>,
    /// Factor, as CSS `brightness()`.
    #[schema(minimum = 0, maximum = 4)]
    lightness: Option<f32>,
    /// Other words, which are drawn in place of the layer's pixels: the words alone, line by line, in the style that they
    /// have; or blocks with their number in `live_text.blocks`, each as words or as text with its style. `null` brings
    /// the pixels back.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<TextPatch>)]
    text: Option<Option<TextPatch>>,
    /// Its new place in the stack, 0 for the lowest; more than there are layers is the highest.
    #[serde(default, deserialize_with = "whole::optional")]
    order: Option<u32>,
}

impl LayerPatch {
    /// `edit` of `layer` with these changes.
    fn applied(&self, edit: LayerEdit, layer: &LayerInfo) -> Result<LayerEdit, Error> {
        let text = match &self.text {
            None => edit.text,
            Some(None) => TextEdits::new(),
            Some(Some(patch)) => patch.applied(&edit.text, layer)?,
        };
        words::check_blocks(layer.z_index, layer.live_text.as_ref(), &text)?;
        let edit = LayerEdit {
            text,
            name: self.name.clone().or(edit.name),
            visible: self.visible.unwrap_or(edit.visible),
            opacity: self.opacity.unwrap_or(edit.opacity),
            blend: self.blend.unwrap_or(edit.blend),
            x: self.x.unwrap_or(edit.x),
            y: self.y.unwrap_or(edit.y),
            scale: self.scale.unwrap_or(edit.scale),
            hue: self.hue.unwrap_or(edit.hue),
            saturation: self.saturation.unwrap_or(edit.saturation),
            lightness: self.lightness.unwrap_or(edit.lightness),
        };
        edit.validate()?;
        Ok(edit)
    }
}

/// Tells `null` from a field that is absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Edit a layer
///
/// Changes how a layer is shown, in `document` and `compose`. The result itself, its files and `download` stay as they
/// are. The number is that of the layer in the result and does not change with its place. A layer that was split again
/// is edited as a group; its parts are edited as layers of the child's job.
#[utoipa::path(
    patch, path = "/api/jobs/{id}/layers/{n}", operation_id = "edit_layer", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("n" = String, Path, description = "The layer's number, 0 for the lowest of the result"),
    ),
    request_body = LayerPatch,
    responses(
        (status = 200, description = "The document after the change", body = Tree),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        LayerFaults,
        JsonFaults,
        StorageFaults,
        (status = 422, description = "A field is unknown or out of its range", body = ErrorBody),
    )
)]
pub(crate) async fn patch(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
    request: Request,
) -> Result<NoStore<Json<Tree>>, Error> {
    let patch: LayerPatch = extract::json(request).await?;
    let metadata = finished.metadata().await?;
    let layer = find_layer(&metadata, &path.1)?.clone();
    let number = layer.z_index;
    let stored = finished.result.edits().await?.layers.remove(&number).unwrap_or_default();
    patch.applied(stored, &layer)?;
    let count = u32::try_from(metadata.layers.len()).unwrap_or(u32::MAX);
    let change = move |edits: &mut Edits| {
        let before = edits.layers.remove(&number).unwrap_or_default();
        // What others changed since it was checked cannot make it wrong: blocks and ranges are the same.
        let edit = patch.applied(before.clone(), &layer).unwrap_or(before);
        if edit != LayerEdit::default() {
            edits.layers.insert(number, edit);
        }
        if let Some(place) = patch.order {
            edits.place(number, place, count);
        }
    };
    app.store.change_edits(finished.id, change).await?.ok_or_else(Error::job_not_found)?;
    read_document(&app, &finished).await
}

/// The edited document
///
/// The layers in their order, each with its edits and, where it was split again, the document of that job inside it.
#[utoipa::path(
    get, path = "/api/jobs/{id}/document", operation_id = "get_document", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The document", body = Tree),
        ResultFaults,
    )
)]
pub(crate) async fn document(State(app): State<App>, finished: FinishedJob) -> Result<NoStore<Json<Tree>>, Error> {
    read_document(&app, &finished).await
}

/// Take all edits back
///
/// Every layer is shown as the engine made it. Layers that were split again stay split.
#[utoipa::path(
    delete, path = "/api/jobs/{id}/document", operation_id = "reset_document", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 204, description = "Done"),
        ResultFaults,
        StorageFaults,
    )
)]
pub(crate) async fn reset(State(app): State<App>, finished: FinishedJob) -> Result<StatusCode, Error> {
    let change = |edits: &mut Edits| {
        edits.layers.clear();
        edits.order.clear();
    };
    app.store.change_edits(finished.id, change).await?.ok_or_else(Error::job_not_found)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn read_document(app: &App, finished: &FinishedJob) -> Result<NoStore<Json<Tree>>, Error> {
    let stored = app.store.tree_of(&finished.result).await?.ok_or_else(Error::job_not_found)?;
    Ok(NoStore(Json(stored.tree)))
}
