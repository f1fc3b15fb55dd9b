//! Edits as earlier versions stored them: the files of a storage outlive an upgrade.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Edits, LayerEdit};
use crate::JobId;
use crate::document::{Document, Element, LayerRef};

/// The field that was the factor of width and height before layers could be stretched.
const SCALE: &str = "scale";

/// Reads stored edits of any version.
pub(super) fn read(json: &[u8]) -> serde_json::Result<Edits> {
    // Words may have it too, which costs some time and changes nothing.
    let is_earlier = json.windows(SCALE.len() + 2).any(|part| part == b"\"scale\"");
    if !is_earlier {
        return serde_json::from_slice(json);
    }
    let mut stored: Value = serde_json::from_slice(json)?;
    widen(&mut stored);
    serde_json::from_value(stored)
}

/// Gives every edit both factors. The depth is that of JSON which was read.
fn widen(stored: &mut Value) {
    match stored {
        Value::Array(entries) => entries.iter_mut().for_each(widen),
        Value::Object(fields) => {
            if let Some(scale) = fields.remove(SCALE) {
                for field in ["scale_x", "scale_y"] {
                    fields.entry(field).or_insert_with(|| scale.clone());
                }
            }
            fields.values_mut().for_each(widen);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document of a result with these edits of its layers, and its layers in this order, those that are not named above.
pub(super) fn arranged(
    mut document: Document,
    job_id: JobId,
    layers: &BTreeMap<u32, LayerEdit>,
    order: &[u32],
) -> Document {
    let reference = |layer: u32| Some(LayerRef { job_id, layer });
    for (&number, edit) in layers {
        let Some(element) = document.elements.iter_mut().find(|one| one.layer == reference(number)) else { continue };
        element.edit = if element.is_group() {
            let LayerEdit { name, visible, opacity, .. } = edit.clone();
            LayerEdit { name, visible, opacity, ..LayerEdit::default() }
        } else {
            edit.clone()
        };
    }
    if !order.is_empty() {
        let own = |one: &Element| one.layer.filter(|layer| layer.job_id == job_id).map(|layer| layer.layer);
        let rest: Vec<u32> =
            document.elements.iter().filter_map(own).filter(|number| !order.contains(number)).collect();
        for number in order.iter().copied().chain(rest) {
            if let Some(id) = document.elements.iter().find(|one| one.layer == reference(number)).map(|one| one.id) {
                document.place(id, usize::MAX);
            }
        }
    }
    document
}
