//! A result with the results that its layers were split into, and its layers as leaves of an export.

mod placing;
pub mod words;

pub use self::placing::Placing;
use std::collections::BTreeSet;

use layers::{Density, Document, DocumentLayer, Group, Kind, Node, Recolour, Rect};
use typeset::{Colour, Text};

use crate::document::{Picture, PictureId};
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

/// Where the pixels of a leaf are stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LeafSource {
    /// In a file of a job's result, as large as that result's canvas.
    Layer { job_id: JobId, file: String },
    /// Among the pictures of the document.
    Picture(PictureId),
}

/// The pixels of one layer of a [`Composition`]; the index in `leaves` is the layer's `source`.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    pub source: LeafSource,
    /// The part of the image to cut out; absent: all of it.
    pub area: Option<Rect>,
    /// The size to scale it to.
    pub size: Option<(u32, u32)>,
    /// Colour changes, applied in order.
    pub recolours: Vec<Recolour>,
    /// Words that are drawn in place of pixels. Then the layer is as large as the outermost canvas.
    pub retyped: Option<Retyped>,
}

impl Leaf {
    /// Width and height of its pixels; `None` if it is as large as the canvas of its result.
    pub fn drawn_size(&self) -> Option<(u32, u32)> {
        let picture = match self.source {
            LeafSource::Picture(id) => Some(id.size()),
            LeafSource::Layer { .. } => None,
        };
        self.size.or(self.area.map(|area| (area.width, area.height))).or(picture)
    }
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
    /// Where the pixels that stay lie on the outermost canvas, after they are cut out, scaled and turned.
    pub at: (i32, i32),
    /// Degrees clockwise by which these pixels are turned about their middle.
    pub turn: f32,
    /// Present where rows and columns are scaled differently: words and pixels are drawn as they were, where they were, and
    /// what is drawn is placed.
    pub stretch: Option<Placing>,
}

/// How large an export is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// Pixels of the export for each one of the document, 1 to [`Output::MAX_SCALE`] in both directions.
    pub scale: u32,
    /// How densely its pixels lie on paper; as the document's do if absent.
    pub density: Option<Density>,
}

impl Output {
    /// The largest scale.
    pub const MAX_SCALE: u32 = 2;
}

impl Default for Output {
    fn default() -> Self {
        Self { scale: 1, density: None }
    }
}

/// A tree, ready to export.
#[derive(Debug, Clone, PartialEq)]
pub struct Composition {
    pub document: Document,
    pub leaves: Vec<Leaf>,
    /// The element of the document that each leaf is of.
    pub elements: Vec<u64>,
}

/// The deepest level of splits below a result, Code that walks trees is recursive, so
/// the depth is limited.
pub const MAX_DEPTH: usize = 32;

impl Tree {
    /// Whether there is more than one layer in the end. A split that found a single part changes nothing.
    fn has_parts(&self) -> bool {
        self.layers.len() > 1 || self.layers.iter().any(|layer| layer.parts().is_some())
    }

    /// The jobs that split a layer into parts, at all levels.
    pub(crate) fn splits(&self) -> BTreeSet<JobId> {
        let mut found = BTreeSet::new();
        let mut left = vec![self];
        while let Some(tree) = left.pop() {
            for (child, parts) in tree.layers.iter().filter_map(TreeLayer::parts) {
                found.insert(child.job_id);
                left.push(parts);
            }
        }
        found
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

    /// The words that formats have as words in place of the layer's pixels, as they are before the layer is placed. None where
    /// they do not look like the pixels, and where the layer is stretched or has effects: they would be drawn without.
    pub(crate) fn words(&self, edit: &LayerEdit) -> Vec<Text> {
        match &self.live_text {
            _ if edit.scale_x != edit.scale_y || !edit.effects.is_none() => Vec::new(),
            Some(live) => live.stand_in(&edit.text),
            None => edit.text.values().cloned().collect(),
        }
    }

    /// This layer of a job, whose canvas lies at a place on the document's, with edits.
    pub(crate) fn leaf(
        &self,
        (job_id, origin): (JobId, (u32, u32)),
        edit: &LayerEdit,
        output: &Output,
        leaves: &mut Vec<Leaf>,
    ) -> Node {
        let corner = (origin.0.into(), origin.1.into());
        let own = self.bounding_box.map(|area| (area, Placing::new(area, corner, edit).enlarged(output.scale)));
        let recolours = recolours(edit);
        let edits = &edit.text;
        let is_stretched = edit.scale_x != edit.scale_y;
        let (mut at, mut area, mut size, mut turn) = ((0, 0), None, None, 0.0);
        if let Some((full, placing)) = own.filter(|(_, placing)| !placing.is_identity()) {
            area = Some(full);
            if is_stretched && !edits.is_empty() {
                at = ((full.x + origin.0) as i32, (full.y + origin.1) as i32);
            } else {
                let (position, scaled) = placing.apply(full);
                (at, turn) = (position, placing.turn);
                size = Some(scaled).filter(|scaled| *scaled != (full.width, full.height));
            }
        }
        let placed = |text: Text| {
            let text = match own {
                Some((_, placing)) => placing.text(text, origin),
                None => text.transformed(1.0, origin.0 as f32, origin.1 as f32),
            };
            text.recoloured(|colour| {
                let Colour { red, green, blue, alpha } = colour;
                let [red, green, blue] = recolours.iter().fold([red, green, blue], |one, change| change.of(one));
                Colour { red, green, blue, alpha }
            })
        };
        let edits = &edit.text;
        let live_text = self.words(edit).into_iter().map(placed).collect();
        let retyped = (!edits.is_empty()).then(|| {
            let words::Replacement { texts, replaced, kept } = words::replacement(self.live_text.as_ref(), edits);
            if kept.is_empty() {
                (area, size) = (None, None);
            }
            let texts = texts.into_iter().map(placed).collect();
            let stretch = own.map(|(_, placing)| placing.within_canvas(origin)).filter(|_| is_stretched);
            let (at, turn) = (std::mem::take(&mut at), std::mem::take(&mut turn));
            Retyped { texts, replaced, kept, at, turn, stretch }
        });
        let source = LeafSource::Layer { job_id, file: self.file.clone() };
        leaves.push(Leaf { source, area, size, recolours: recolours.clone(), retyped });
        Node::Layer(DocumentLayer {
            name: words::shown_name(&self.name, self.live_text.as_ref(), edit),
            kind: self.kind,
            text: words::shown_words(self.text.as_deref(), self.live_text.as_ref(), edits),
            visible: edit.visible,
            opacity: edit.opacity,
            blend: edit.blend,
            x: at.0,
            y: at.1,
            turn,
            effects: edit.effects.enlarged(output.scale),
            source: leaves.len() - 1,
            live_text,
        })
    }
}

impl Picture {
    /// This picture with edits.
    pub(crate) fn leaf(
        &self,
        (name, kind): (String, Kind),
        edit: &LayerEdit,
        output: &Output,
        leaves: &mut Vec<Leaf>,
    ) -> Node {
        let placing = Placing::new(self.area(), (self.x.into(), self.y.into()), edit).enlarged(output.scale);
        let (at, size) = placing.apply(self.area());
        let size = Some(size).filter(|size| *size != self.id.size());
        let (source, recolours) = (LeafSource::Picture(self.id), recolours(edit));
        leaves.push(Leaf { source, area: None, size, recolours, retyped: None });
        Node::Layer(DocumentLayer {
            name,
            kind,
            text: None,
            visible: edit.visible,
            opacity: edit.opacity,
            blend: edit.blend,
            x: at.0,
            y: at.1,
            turn: placing.turn,
            effects: edit.effects.enlarged(output.scale),
            source: leaves.len() - 1,
            live_text: Vec::new(),
        })
    }
}

/// The colour changes of an edit, if there are any.
fn recolours(edit: &LayerEdit) -> Vec<Recolour> {
    Some(edit.recolour()).filter(|recolour| !recolour.is_identity()).into_iter().collect()
}

impl Metadata {
    /// Size of the layers in pixels.
    pub fn canvas(&self) -> (u32, u32) {
        self.canvas.map_or((self.input.width, self.input.height), |canvas| (canvas.width, canvas.height))
    }
}
