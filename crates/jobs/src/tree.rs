//! A document: a result with its edits and with the results that its layers were split into.

pub mod words;

use layers::{Density, Document, DocumentGroup, DocumentLayer, Group, Kind, Label, Node, Recolour, Rect};
use serde::Serialize;
use typeset::{Colour, Text};
use utoipa::ToSchema;

use crate::edits::LayerEdit;
use crate::{JobId, LiveText, Metadata};

/// A result with its layers in stacking order, each with its edits and, where it was split, the tree of its parts. At most
/// [`MAX_DEPTH`] levels deep.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Tree {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// Size of the canvas in pixels.
    pub width: u32,
    pub height: u32,
    /// Incremented by every edit.
    pub revision: u64,
    /// The lowest first.
    pub layers: Vec<TreeLayer>,
    #[serde(skip)]
    pub title: String,
    /// Of the picture on paper.
    #[serde(skip)]
    pub density: Option<Density>,
}

/// One layer of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TreeLayer {
    /// Number in the result, which never changes.
    pub layer: u32,
    /// The present name.
    pub name: String,
    pub kind: Kind,
    /// Its words, as they are now.
    pub text: Option<String>,
    /// The group that it belongs to, together with its neighbours of the same group.
    pub group: Option<Group>,
    /// What it shows in codes, where the engine knows more than the kind.
    pub label: Option<Label>,
    /// As the engine made it.
    pub bounding_box: Option<Rect>,
    pub edit: LayerEdit,
    /// The job that split it.
    pub child: Option<Child>,
    /// As the engine's layer has it: `metadata.json` says the same.
    #[serde(skip)]
    pub live_text: Option<LiveText>,
    /// The engine's name and words, which the layer has again where its edits are taken back.
    #[serde(skip)]
    pub made: (String, Option<String>),
    #[serde(skip)]
    pub file: String,
}

/// The job that split a layer, and its result.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Child {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    /// Where the child's canvas lies on this one.
    pub x: u32,
    pub y: u32,
    /// Absent unless the job has succeeded and its result exists. Without it, and with a tree of a single layer (the layer
    /// could not be split), the layer itself is shown.
    #[schema(no_recursion)]
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

/// The deepest level of splits below a result, and of groups around a layer. Code that walks trees and documents is
/// recursive, so the depth is limited.
pub const MAX_DEPTH: usize = 32;

/// Levels of splits that have named groups. Those of splits alone may be [`MAX_DEPTH`] deep, and a document holds
/// [`Document::MAX_DEPTH`].
const NAMED_DEPTH: usize = 16;

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
    /// The tree with its edits applied, as groups and layers to export.
    pub fn composition(&self) -> Composition {
        let mut leaves = Vec::new();
        let nodes = self.nodes(Transform::ROOT, 0, &[], &mut leaves);
        let document = Document {
            title: self.title.clone(),
            width: self.width,
            height: self.height,
            density: self.density,
            nodes,
        };
        Composition { document, leaves }
    }

    /// The layers and groups of this tree, which lies `depth` splits below the outermost one.
    fn nodes(&self, transform: Transform, depth: usize, recolours: &[Recolour], leaves: &mut Vec<Leaf>) -> Vec<Node> {
        let mut nodes = Vec::new();
        for layer in &self.layers {
            let edit = &layer.edit;
            let mut recolours = recolours.to_vec();
            recolours.extend(Some(edit.recolour()).filter(|recolour| !recolour.is_identity()));
            let area = layer.bounding_box;
            let own = area.map_or(transform, |area| transform.edited(area, edit));
            let node = match layer.parts() {
                Some((child, tree)) => Node::Group(DocumentGroup {
                    name: layer.name.clone(),
                    visible: edit.visible,
                    opacity: edit.opacity,
                    children: tree.nodes(own.moved(child.x as f32, child.y as f32), depth + 1, &recolours, leaves),
                }),
                None => layer.leaf(self.job_id, own, recolours, leaves),
            };
            nodes.push((layer.group.filter(|_| depth < NAMED_DEPTH), node));
        }
        layers::grouped(nodes)
    }

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

    /// The chain of jobs from this result to that of `job`, each of which splits a layer of the one before. Empty for itself.
    fn lineage(&self, job: JobId) -> Option<Vec<JobId>> {
        if self.job_id == job {
            return Some(Vec::new());
        }
        self.layers.iter().filter_map(|layer| layer.child.as_ref()).find_map(|child| {
            let deeper = child.tree.as_ref()?.lineage(job)?;
            Some([vec![child.job_id], deeper].concat())
        })
    }
}

impl TreeLayer {
    /// What takes the layer's place: the parts that it was split into.
    fn parts(&self) -> Option<(&Child, &Tree)> {
        let child = self.child.as_ref()?;
        Some((child, child.tree.as_ref().filter(|tree| tree.has_parts())?))
    }

    fn leaf(&self, job_id: JobId, own: Transform, recolours: Vec<Recolour>, leaves: &mut Vec<Leaf>) -> Node {
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
        let edits = &self.edit.text;
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
            name: self.name.clone(),
            kind: self.kind,
            text: self.text.clone(),
            visible: self.edit.visible,
            opacity: self.edit.opacity,
            x: at.0,
            y: at.1,
            source: leaves.len() - 1,
            live_text,
        })
    }

    /// This layer of `job` alone with other edits. `origin`: where the job's canvas lies on the target canvas.
    pub fn with_edit(&self, job: JobId, origin: (u32, u32), edit: &LayerEdit, leaves: &mut Vec<Leaf>) -> Node {
        let (made_name, read) = &self.made;
        let name = self.edit.name.as_ref().unwrap_or(made_name);
        let name = words::shown_name(name, self.live_text.as_ref(), edit);
        let text = words::shown_words(read.as_deref(), self.live_text.as_ref(), &edit.text);
        let layer = Self { name, text, edit: edit.clone(), child: None, ..self.clone() };
        let canvas = Transform::ROOT.moved(origin.0 as f32, origin.1 as f32);
        let own = self.bounding_box.map_or(canvas, |area| canvas.edited(area, edit));
        let recolours = Some(edit.recolour()).filter(|recolour| !recolour.is_identity()).into_iter().collect();
        layer.leaf(job, own, recolours, leaves)
    }
}

/// A layer for [`compose`]: any layer in the tree, with edits in place of the stored ones.
#[derive(Debug, Clone, PartialEq)]
pub struct ComposedLayer {
    /// The job of the layer's result.
    pub job_id: JobId,
    pub layer: u32,
    /// The groups around it, the outermost first.
    pub groups: Vec<ComposedGroup>,
    pub edit: LayerEdit,
}

/// A group of a [`ComposedLayer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposedGroup {
    pub name: String,
    /// Tells groups of one name apart. Without it they are told apart by the layer that was split.
    pub id: Option<u32>,
}

impl From<String> for ComposedGroup {
    fn from(name: String) -> Self {
        Self { name, id: None }
    }
}

/// What two neighbours must have in common to share a group.
#[derive(Debug, PartialEq, Eq)]
enum GroupKey {
    Id(u32),
    /// The job that split the layer.
    Split(Option<JobId>),
}

/// Why layers cannot be composed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    #[error("layer {layer} of job {job_id} is not part of this result")]
    UnknownLayer { job_id: JobId, layer: u32 },
    #[error("layer {layer} has no block {block} of text: it has {count}, numbered from 0, as in its live_text")]
    UnknownBlock { layer: u32, block: u32, count: usize },
    #[error("groups has {0} entries, but a layer can be in at most {MAX_DEPTH} groups; remove some")]
    TooDeep(usize),
}

/// A composition of the given layers, the lowest first. Neighbours share a group when its name is the same and so is its
/// number or, where it has none, the layer that they were split from.
///
/// # Errors
/// When a layer or a block of its text is not in the tree, or a layer is in more than [`MAX_DEPTH`] groups.
pub fn compose(tree: &Tree, layers: &[ComposedLayer]) -> Result<Composition, ComposeError> {
    let mut leaves = Vec::new();
    let mut nodes = Vec::new();
    let mut open: Vec<(&String, GroupKey)> = Vec::new();
    for composed in layers {
        if composed.groups.len() > MAX_DEPTH {
            return Err(ComposeError::TooDeep(composed.groups.len()));
        }
        let unknown = ComposeError::UnknownLayer { job_id: composed.job_id, layer: composed.layer };
        let (owner, origin) = tree.find(composed.job_id).ok_or_else(|| unknown.clone())?;
        let layer = owner.layers.iter().find(|layer| layer.layer == composed.layer).ok_or(unknown)?;
        words::check_blocks(layer.layer, layer.live_text.as_ref(), &composed.edit.text)?;
        let node = layer.with_edit(composed.job_id, origin, &composed.edit, &mut leaves);
        let lineage = tree.lineage(composed.job_id).unwrap_or_default();
        let key = |depth: usize, group: &ComposedGroup| match group.id {
            Some(id) => GroupKey::Id(id),
            None => GroupKey::Split(lineage.get(depth).copied()),
        };
        let groups: Vec<_> =
            composed.groups.iter().enumerate().map(|(depth, group)| (&group.name, key(depth, group))).collect();
        let shared = open.iter().zip(&groups).take_while(|(before, now)| before == now).count();
        put(&mut nodes, &composed.groups, shared, node);
        open = groups;
    }
    let document =
        Document { title: tree.title.clone(), width: tree.width, height: tree.height, density: tree.density, nodes };
    Ok(Composition { document, leaves })
}

/// Adds a node inside `groups`, at most [`MAX_DEPTH`]. The outermost `shared` of them are those of the last node.
fn put(nodes: &mut Vec<Node>, groups: &[ComposedGroup], shared: usize, node: Node) {
    let Some((outermost, inner)) = groups.split_first() else { return nodes.push(node) };
    if shared == 0 {
        let group = DocumentGroup { name: outermost.name.clone(), visible: true, opacity: 1.0, children: Vec::new() };
        nodes.push(Node::Group(group));
    }
    if let Some(Node::Group(group)) = nodes.last_mut() {
        put(&mut group.children, inner, shared.saturating_sub(1), node);
    }
}

impl Metadata {
    /// Size of the layers in pixels.
    pub fn canvas(&self) -> (u32, u32) {
        self.canvas.map_or((self.input.width, self.input.height), |canvas| (canvas.width, canvas.height))
    }
}
