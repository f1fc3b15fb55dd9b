//! A result with the results that its layers were split into, and its layers as leaves of an export.

pub mod words;

use layers::{Density, Document, DocumentLayer, Group, Kind, Node, Recolour, Rect};
use typeset::{Colour, Text};

use crate::edits::LayerEdit;
use crate::{JobId, LiveText, Metadata};

/// A result with its layers, the lowest first, and where they were split, the trees of their parts: as the engines made
/// them. At most [`MAX_DEPTH`] levels deep.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub job_id: JobId,
    /// Size of the canvas in pixels.
    pub width: u32,
    pub height: u32,
    /// The lowest first.
    pub layers: Vec<TreeLayer>,
    pub title: String,
    /// Of the picture on paper.
    pub density: Option<Density>,
}

/// One layer of a [`Tree`].
#[derive(Debug, Clone, PartialEq)]
pub struct TreeLayer {
    /// Number in the result.
    pub layer: u32,
    pub name: String,
    pub kind: Kind,
    pub text: Option<String>,
    /// The group that it belongs to, together with its neighbours of the same group.
    pub group: Option<Group>,
    pub bounding_box: Option<Rect>,
    /// The job that split it.
    pub child: Option<Child>,
    pub live_text: Option<LiveText>,
    pub file: String,
}

/// The job that split a layer, and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    pub job_id: JobId,
    /// Where the child's canvas lies on this one.
    pub x: u32,
    pub y: u32,
    /// Absent unless the job has succeeded and its result exists. Without it, and with a tree of a single layer (the layer
    /// could not be split), the layer itself is shown.
    pub tree: Option<Tree>,
}

/// The pixels of one layer of a [`Composition`]; the index in `leaves` is the layer's `source`.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    pub job_id: JobId,
    /// File name in the job's result.
    pub file: String,
    /// The part of the image to cut out; absent: all of it.
    pub area: Option<Rect>,
    /// The size to scale it to.
    pub size: Option<(u32, u32)>,
    /// Colour changes, applied in order.
    pub recolours: Vec<Recolour>,
    /// Words that are drawn in place of pixels. Then the layer is as large as the outermost canvas.
    pub retyped: Option<Retyped>,
}

/// Words in place of a part of a layer's pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Retyped {
    /// The words, on the outermost canvas; lines that stay pixels are empty.
    pub texts: Vec<Text>,
    /// Where these words were, in boxes on the canvas of the layer's result. A pixel goes if it is nearer to one of them
    /// than to those of `kept`.
    pub replaced: Vec<Rect>,
    /// Where the words are that stay pixels. Empty: none of the pixels stays.
    pub kept: Vec<Rect>,
    /// Where the pixels that stay lie on the outermost canvas, after they are cut out and scaled.
    pub at: (i32, i32),
}

/// A tree, ready to export.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    pub document: Document,
    pub leaves: Vec<Leaf>,
}

/// The deepest level of splits below a result, Code that walks trees is recursive, so
/// the depth is limited.
pub const MAX_DEPTH: usize = 32;

/// How a canvas lies on the outermost one: scaled, then moved.
#[derive(Debug, Clone, Copy)]
struct Transform {
    scale: f32,
    x: f32,
    y: f32,
}

impl Transform {
    const ROOT: Self = Self { scale: 1.0, x: 0.0, y: 0.0 };

    fn moved(self, x: f32, y: f32) -> Self {
        Self { x: self.x + self.scale * x, y: self.y + self.scale * y, ..self }
    }

    /// The transform of a layer on this canvas that covers `area` and is scaled about its centre.
    fn edited(self, area: Rect, edit: &LayerEdit) -> Self {
        let middle = |start: u32, length: u32| start as f32 + length as f32 / 2.0;
        let (x, y) = (middle(area.x, area.width), middle(area.y, area.height));
        let moved = self.moved(x * (1.0 - edit.scale) + edit.x as f32, y * (1.0 - edit.scale) + edit.y as f32);
        Self { scale: self.scale * edit.scale, ..moved }
    }

    /// Position and size of `area` on the outermost canvas.
    fn apply(self, area: Rect) -> ((i32, i32), (u32, u32)) {
        let at = |start: u32, origin: f32| (origin + self.scale * start as f32).round() as i32;
        let side = |length: u32| ((self.scale * length as f32).round() as u32).max(1);
        ((at(area.x, self.x), at(area.y, self.y)), (side(area.width), side(area.height)))
    }
}

impl Tree {
    /// Whether there is more than one layer in the end. A split that found a single part changes nothing.
    fn has_parts(&self) -> bool {
        self.layers.len() > 1 || self.layers.iter().any(|layer| layer.parts().is_some())
    }

    /// The tree of `job`, which may be this one, and the position of its canvas on this one.
    pub fn find(&self, job: JobId) -> Option<(&Tree, (u32, u32))> {
        if self.job_id == job {
            return Some((self, (0, 0)));
        }
        self.layers.iter().filter_map(|layer| layer.child.as_ref()).find_map(|child| {
            let (tree, (x, y)) = child.tree.as_ref()?.find(job)?;
            Some((tree, (child.x.saturating_add(x), child.y.saturating_add(y))))
        })
    }
}

impl TreeLayer {
    /// What takes the layer's place: the parts that it was split into.
    pub(crate) fn parts(&self) -> Option<(&Child, &Tree)> {
        let child = self.child.as_ref()?;
        Some((child, child.tree.as_ref().filter(|tree| tree.has_parts())?))
    }

    /// This layer of `job_id`, whose canvas lies at `origin`, with edits.
    pub(crate) fn leaf(&self, job_id: JobId, origin: (u32, u32), edit: &LayerEdit, leaves: &mut Vec<Leaf>) -> Node {
        let canvas = Transform::ROOT.moved(origin.0 as f32, origin.1 as f32);
        let own = self.bounding_box.map_or(canvas, |area| canvas.edited(area, edit));
        let recolours: Vec<_> = Some(edit.recolour()).filter(|recolour| !recolour.is_identity()).into_iter().collect();
        let (mut at, mut area, mut size) = ((0, 0), None, None);
        let is_moved = own.scale != 1.0 || own.x != 0.0 || own.y != 0.0;
        if let Some(full) = self.bounding_box.filter(|_| is_moved) {
            let (position, scaled) = own.apply(full);
            (at, area) = (position, Some(full));
            size = Some(scaled).filter(|scaled| *scaled != (full.width, full.height));
        }
        let placed = |text: Text| {
            let text = text.transformed(own.scale, own.x, own.y);
            text.recoloured(|colour| {
                let Colour { red, green, blue, alpha } = colour;
                let [red, green, blue] = recolours.iter().fold([red, green, blue], |one, change| change.of(one));
                Colour { red, green, blue, alpha }
            })
        };
        let edits = &edit.text;
        let live_text = match &self.live_text {
            Some(live) => live.stand_in(edits),
            None => edits.values().cloned().collect(),
        };
        let live_text = live_text.into_iter().map(placed).collect();
        let retyped = (!edits.is_empty()).then(|| {
            let words::Replacement { texts, replaced, kept } = words::replacement(self.live_text.as_ref(), edits);
            if kept.is_empty() {
                (area, size) = (None, None);
            }
            Retyped { texts: texts.into_iter().map(placed).collect(), replaced, kept, at: std::mem::take(&mut at) }
        });
        leaves.push(Leaf { job_id, file: self.file.clone(), area, size, recolours: recolours.clone(), retyped });
        Node::Layer(DocumentLayer {
            name: words::shown_name(&self.name, self.live_text.as_ref(), edit),
            kind: self.kind,
            text: words::shown_words(self.text.as_deref(), self.live_text.as_ref(), edits),
            visible: edit.visible,
            opacity: edit.opacity,
            blend: edit.blend,
            x: at.0,
            y: at.1,
            source: leaves.len() - 1,
            live_text,
        })
    }
}

impl Metadata {
    /// Size of the layers in pixels.
    pub fn canvas(&self) -> (u32, u32) {
        self.canvas.map_or((self.input.width, self.input.height), |canvas| (canvas.width, canvas.height))
    }
}
