//! One layer of the document, edited by number.

use axum::extract::{Request, State};
use jobs::document::{Element, LayerRef};
use jobs::edits::{Edits, LayerEdit, whole};
use jobs::tree::{Tree, words};
use jobs::{LayerInfo, TextEdits};
use layers::{Blend, Effects};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::document::{DocumentAnswer, DocumentInfo, change_document, document_of};
use super::text_patch::TextPatch;
use crate::handlers::finished::{FinishedJob, find_layer};
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{self, Segments};
use crate::http::responses::{JsonFaults, LayerFaults, StorageFaults};
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
    /// Width as a factor, about the middle of the layer's box.
    #[schema(minimum = 0.01, maximum = 16)]
    scale_x: Option<f32>,
    /// Height as a factor.
    #[schema(minimum = 0.01, maximum = 16)]
    scale_y: Option<f32>,
    /// Degrees clockwise by which the layer is turned about the middle of its box, after it was scaled.
    #[schema(minimum = -360, maximum = 360)]
    rotation: Option<f32>,
    /// An outline and a shadow; `{}` for none.
    effects: Option<Effects>,
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
    /// Its new place among the layers and groups beside it, 0 for the lowest; more than there are is the highest.
    #[serde(default, deserialize_with = "whole::optional")]
    order: Option<u32>,
}

impl LayerPatch {
    /// Whether it changes what the parts of a split layer have each for themselves.
    fn changes_parts(&self) -> bool {
        let Self { x, y, scale_x, scale_y, rotation, effects, hue, saturation, lightness, text, .. } = self;
        [x, y].into_iter().any(Option::is_some)
            || [scale_x, scale_y, rotation, hue, saturation, lightness].into_iter().any(Option::is_some)
            || effects.is_some()
            || text.is_some()
    }

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
            scale_x: self.scale_x.unwrap_or(edit.scale_x),
            scale_y: self.scale_y.unwrap_or(edit.scale_y),
            rotation: self.rotation.unwrap_or(edit.rotation),
            effects: self.effects.unwrap_or(edit.effects),
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
/// Changes how a layer is shown in the document, and with it what `compose`, `download` and the page show. The result
/// itself and its files stay as they are. The number is that of the layer in the result and does not change with its
/// place. A layer that was split again is a group: it has a name, visibility, opacity and a place; its parts are edited as
/// layers of the job that split it.
#[utoipa::path(
    patch, path = "/api/jobs/{id}/layers/{n}", operation_id = "edit_layer", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("n" = String, Path, description = "The layer's number, 0 for the lowest of the result"),
    ),
    request_body = LayerPatch,
    responses(
        (status = 200, description = "The document after the change", body = DocumentInfo),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        LayerFaults,
        JsonFaults,
        StorageFaults,
        (status = 422, description = "A field is unknown or out of its range, or the layer was split", body = ErrorBody),
    )
)]
pub(crate) async fn patch(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
    request: Request,
) -> Result<DocumentAnswer, Error> {
    let patch: LayerPatch = extract::json(request).await?;
    let metadata = finished.metadata().await?;
    let layer = find_layer(&metadata, &path.1)?.clone();
    let reference = LayerRef { job_id: finished.id, layer: layer.z_index };
    let stored = document_of(&app, &finished).await?;
    let change = move |edits: &mut Edits, tree: &Tree| {
        let shown = edits.take_splits(tree);
        let mut document = shown.clone();
        let element = document.elements.iter_mut().find(|element| element.layer == Some(reference));
        let element = element.ok_or_else(|| deleted(reference.layer))?;
        edit_element(element, &patch, &layer)?;
        let id = element.id;
        if let Some(place) = patch.order {
            document.place(id, place as usize);
        }
        edits.put(&shown, document, false);
        Ok(())
    };
    change_document(&app, stored, None, change).await
}

fn edit_element(element: &mut Element, patch: &LayerPatch, layer: &LayerInfo) -> Result<(), Error> {
    if element.is_group() && patch.changes_parts() {
        let message = format!(
            "layer {} was split: it is a group now, with a name, visibility, opacity and order; edit its parts, which are \
             layers of job {}",
            layer.z_index,
            element.child.unwrap_or_default()
        );
        return Err(Error::unprocessable("layer_is_split", message));
    }
    if element.picture.is_some() && patch.text.as_ref().is_some_and(Option::is_some) {
        let message = format!(
            "layer {} shows a picture in place of its pixels and has no words; undo that first, or reset the layer",
            layer.z_index
        );
        return Err(Error::unprocessable("layer_is_picture", message).about("text"));
    }
    element.edit = patch.applied(element.edit.clone(), layer)?;
    Ok(())
}

fn deleted(layer: u32) -> Error {
    let message = format!("layer {layer} was deleted from the document; undo that, or put it back with PUT");
    Error::not_found("layer_deleted", message)
}
