//! What becomes of a document when a part of one of its layers is lifted off it.

use layers::{Blend, Label};

use super::{Document, Element, Picture};
use crate::edits::LayerEdit;
use crate::tree::Tree;

/// A part of what an element shows, and the rest of it. Both are as they are seen on the document's canvas: with the
/// element's place, size, colours and words, but without its opacity and blend mode.
#[derive(Debug, Clone, PartialEq)]
pub struct LiftedPart {
    pub part: Picture,
    pub rest: Picture,
    /// The part's name; absent: what its label says.
    pub name: Option<String>,
}

impl Document {
    /// Bits of an id that no layer of a result has.
    const OWN: u64 = 4095;

    /// An id that no element has.
    pub fn fresh_id(&self) -> u64 {
        loop {
            let id = rand::random_range(0..1_u64 << 39) * (Self::OWN + 1) + Self::OWN;
            if self.element(id).is_none() {
                return id;
            }
        }
    }

    /// The document with a part lifted off what an element shows: the part is a new element right above it. Where the
    /// element is translucent or mixes with what is below it, a group of the two takes its place and does so instead, so
    /// that the composite stays as it is. `None` when there is no such element, or it is a group. The second is the part's
    /// id.
    pub fn with_lifted(&self, source: u64, lifted: LiftedPart, tree: &Tree) -> Option<(Self, u64)> {
        let element = self.element(source).filter(|element| !element.is_group())?;
        let LiftedPart { part, rest, name } = lifted;
        let LayerEdit { visible, opacity, blend, .. } = element.edit;
        let is_plain = opacity == 1.0 && blend == Blend::Normal;
        let group = (!is_plain).then(|| {
            let edit = LayerEdit { name: Some(element.name(tree)), visible, opacity, blend, ..LayerEdit::default() };
            Element { parent: element.parent, edit, ..Element::group(self.fresh_id(), "") }
        });
        let parent = group.as_ref().map_or(element.parent, |group| Some(group.id));
        let shown = LayerEdit { visible: visible || !is_plain, ..LayerEdit::default() };
        let below = element.showing(rest, tree);
        let edit = LayerEdit { name: below.edit.name.clone(), ..shown.clone() };
        let below = Element { parent, edit, ..below };
        let id = self.fresh_id();
        let part = Picture { label: part.label.map(|label| self.numbered(label, tree)), ..part };
        let above = Element { parent, edit: LayerEdit { name, ..shown }, ..Element::picture(id, part, "") };
        let mut changed = Self::default();
        for one in &self.elements {
            if one.id == source {
                changed.elements.extend(group.clone());
                changed.elements.extend([below.clone(), above.clone()]);
            } else {
                changed.elements.push(one.clone());
            }
        }
        changed.sort();
        Some((changed, id))
    }

    /// The document with elements that show pictures, as [`LiftedPart`] has them.
    pub fn showing(&self, changes: &[(u64, Picture)], tree: &Tree) -> Self {
        let shown = |element: &Element| {
            let change = changes.iter().find(|(id, _)| *id == element.id);
            change.map_or_else(|| element.clone(), |(_, picture)| element.showing(picture.clone(), tree))
        };
        Self { elements: self.elements.iter().map(shown).collect() }
    }

    /// A label that no other layer of the document has: "yellow circle 2" where there is a yellow circle.
    fn numbered(&self, label: Label, tree: &Tree) -> Label {
        let plain = Label { number: None, ..label };
        let names: Vec<String> = self.elements.iter().map(|element| element.name(tree)).collect();
        let is_taken = |label: &Label| names.contains(&label.to_string());
        let numbers = std::iter::once(None).chain((2..).map(Some));
        let labels = numbers.map(|number| Label { number, ..plain.clone() });
        labels.take(self.elements.len() + 1).find(|label| !is_taken(label)).unwrap_or(plain)
    }
}

impl Element {
    /// The element with a picture of all that it shows but its opacity and blend mode. What it is, it stays.
    fn showing(&self, picture: Picture, tree: &Tree) -> Self {
        let before = self.picture.as_ref();
        let (kind, label) = before.map_or((picture.kind, picture.label), |before| (before.kind, before.label.clone()));
        let LayerEdit { visible, opacity, blend, .. } = self.edit;
        // Words that were typed are pixels now, and the name that they gave stays.
        let name = if self.edit.text.is_empty() { self.edit.name.clone() } else { Some(self.name(tree)) };
        let edit = LayerEdit { name, visible, opacity, blend, ..LayerEdit::default() };
        Self { picture: Some(Picture { kind, label, ..picture }), edit, ..self.clone() }
    }
}
