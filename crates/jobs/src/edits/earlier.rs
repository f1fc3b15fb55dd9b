//! Edits as they were stored before results had documents: the files of a storage outlive an upgrade.

use std::collections::BTreeMap;

use super::LayerEdit;
use crate::JobId;
use crate::document::{Document, Element, LayerRef};

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
