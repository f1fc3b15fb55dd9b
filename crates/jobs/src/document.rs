//! The document of a result: its layers as people arranged them, in groups, each with its edits.
//!
//! It belongs to the outermost result. What its layers were split into is part of it, too.

mod arrange;
mod check;
mod composition;
mod history;
mod lifted;
mod picture;

use engine::TextEdits;
use layers::Group;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::check::DocumentError;
pub use self::history::{Step, Version};
pub use self::lifted::LiftedPart;
pub use self::picture::{NotAnId, Picture, PictureId};
use crate::JobId;
use crate::edits::LayerEdit;
use crate::tree::{Tree, TreeLayer};

/// What a person sees of a result: elements, those side by side from the lowest to the highest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document {
    /// A group stands before what is in it.
    pub elements: Vec<Element>,
}

/// A layer or a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// Its number, which never changes and is no other element's: 0 to 2^53 - 1. Layers of the result itself have their
    /// own.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub id: u64,
    /// The group that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The layer that it shows or, for a group with `child`, that was split. Absent for other groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerRef>,
    /// A picture of the document's own that the element shows, in place of its layer's pixels or without a layer. It has no
    /// words that can be edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// The job that split the layer. The element is a group then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub child: Option<JobId>,
    /// What is together in a group that the service made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Not to be moved by accident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// How it is shown. Of a group only name, visibility, opacity and blend mode: the rest is its layers'.
    #[serde(default)]
    pub edit: LayerEdit,
}

/// A layer of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerRef {
    /// The job whose result has it.
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// Its number in that result.
    pub layer: u32,
}

impl Element {
    /// A layer as the engine made it.
    pub fn layer(id: u64, layer: LayerRef) -> Self {
        Self {
            id,
            parent: None,
            layer: Some(layer),
            picture: None,
            child: None,
            group: None,
            locked: false,
            edit: LayerEdit::default(),
        }
    }

    /// A group with a name.
    pub fn group(id: u64, name: &str) -> Self {
        let edit = LayerEdit { name: Some(name.to_owned()), ..LayerEdit::default() };
        Self { id, parent: None, layer: None, picture: None, child: None, group: None, locked: false, edit }
    }

    /// A picture of the document's own, with a name.
    pub fn picture(id: u64, picture: Picture, name: &str) -> Self {
        Self { picture: Some(picture), ..Self::group(id, name) }
    }

    /// Whether other elements can be in it.
    pub fn is_group(&self) -> bool {
        self.child.is_some() || (self.layer.is_none() && self.picture.is_none())
    }
}

impl Document {
    /// The most elements of a document.
    pub const MAX_ELEMENTS: usize = 2000;
    /// The most lines and runs of words in a document.
    pub const MAX_TEXT_RUNS: usize = 10_000;
    /// The most groups around an element.
    pub const MAX_DEPTH: usize = 50;

    /// The element with a number.
    pub fn element(&self, id: u64) -> Option<&Element> {
        self.elements.iter().find(|element| element.id == id)
    }

    /// The lowest element that shows a layer, or the group of what the layer was split into.
    pub fn of_layer(&self, layer: LayerRef) -> Option<&Element> {
        self.elements.iter().find(|element| element.layer == Some(layer))
    }

    /// What is right inside a group, or inside none, the lowest first.
    pub fn children(&self, parent: Option<u64>) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(move |element| element.parent == parent)
    }

    /// The part of the document that stands in the place of a split layer.
    pub fn inside(&self, group: u64) -> Self {
        let mut inside = vec![group];
        let mut elements = Vec::new();
        // A group stands before what is in it.
        for element in &self.elements {
            if let Some(parent) = element.parent.filter(|parent| inside.contains(parent)) {
                inside.push(element.id);
                elements.push(Element { parent: Some(parent).filter(|parent| *parent != group), ..element.clone() });
            }
        }
        Self { elements }
    }

    /// The layers that show words which every format has as pixels.
    pub fn pixel_words(&self, tree: &Tree) -> Vec<u64> {
        let is_pixels = |element: &&Element| {
            let info = element
                .layer
                .filter(|_| !element.is_group() && element.picture.is_none())
                .and_then(|layer| layer_in(tree, layer));
            info.is_some_and(|info| {
                (info.text.is_some() || !element.edit.text.is_empty()) && info.words(&element.edit).is_empty()
            })
        };
        self.elements.iter().filter(is_pixels).map(|element| element.id).collect()
    }

    /// A layer or group by itself, shown, over nothing. None if it is not there.
    pub fn only(&self, id: u64) -> Option<Self> {
        let root = self.element(id)?;
        let edit = LayerEdit { visible: true, blend: layers::Blend::Normal, ..root.edit.clone() };
        let mut elements = vec![Element { parent: None, edit, ..root.clone() }];
        let inside = self.inside(id).elements.into_iter();
        elements.extend(inside.map(|element| Element { parent: element.parent.or(Some(id)), ..element }));
        Some(Self { elements })
    }

    /// Moves an element to `place` among those beside it, 0 for the lowest.
    pub fn place(&mut self, id: u64, place: usize) {
        let Some(parent) = self.element(id).map(|element| element.parent) else { return };
        let mut order: Vec<u64> =
            self.children(parent).map(|element| element.id).filter(|other| *other != id).collect();
        order.insert(place.min(order.len()), id);
        // Only elements with this parent change places with each other; what is in them follows in `sorted`.
        let mut placed: Vec<Element> = order.iter().filter_map(|id| self.element(*id).cloned()).collect();
        placed.extend(self.elements.iter().filter(|element| element.parent != parent).cloned());
        self.elements = placed;
        self.sort();
    }

    /// Puts each group before what is in it, and all that is in it behind; those side by side keep their order. Elements
    /// whose group is not there, or that are in themselves, are dropped.
    pub(crate) fn sort(&mut self) {
        let mut by_parent: std::collections::HashMap<Option<u64>, Vec<Element>> = Default::default();
        for element in self.elements.drain(..) {
            by_parent.entry(element.parent).or_default().push(element);
        }
        let mut open: Vec<Element> = by_parent.remove(&None).unwrap_or_default().into_iter().rev().collect();
        while let Some(element) = open.pop() {
            if element.is_group() {
                open.extend(by_parent.remove(&Some(element.id)).unwrap_or_default().into_iter().rev());
            }
            self.elements.push(element);
        }
    }

    /// The words that are edited in a layer.
    pub fn words_of(&self, layer: LayerRef) -> Option<&TextEdits> {
        self.of_layer(layer).map(|element| &element.edit.text)
    }
}

/// The layer of a tree.
fn layer_in(tree: &Tree, layer: LayerRef) -> Option<&TreeLayer> {
    let (owner, _) = tree.find(layer.job_id)?;
    owner.layers.iter().find(|one| one.layer == layer.layer)
}
