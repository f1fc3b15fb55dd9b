//! The document that a result has before anybody edited it, and what becomes of a document when layers are split.

use std::collections::{BTreeSet, HashSet};

use layers::{Kind, Rect};

use super::{Document, Element, LayerRef, layer_in};
use crate::JobId;
use crate::edits::LayerEdit;
use crate::tree::{Child, Tree, TreeLayer};

/// Levels of splits that have named groups. Those of splits alone may be [`crate::tree::MAX_DEPTH`] deep, and a document
/// holds [`Document::MAX_DEPTH`].
const NAMED_DEPTH: usize = 16;

/// Of ids: set for groups that the service makes, whose other bits are those of the lowest element in them.
const GROUP: u64 = 1 << 52;

/// Results have at most 1000 layers; the bits above tell the result.
const LAYER_BITS: u32 = 12;

/// The id of a layer. Equal for the same layer at all times, and so small that JavaScript has it exactly.
fn id_of(root: JobId, layer: LayerRef) -> u64 {
    if layer.job_id == root {
        return u64::from(layer.layer);
    }
    // 40 of the random bits of a version 4 UUID.
    let result = (layer.job_id.as_u128() as u64) & ((1 << 40) - 1);
    (result << LAYER_BITS) | u64::from(layer.layer & ((1 << LAYER_BITS) - 1))
}

impl Document {
    /// The document of a result that nobody edited: neighbours of one kind in groups, the background locked.
    pub fn unedited(tree: &Tree) -> Self {
        Self::unedited_but(tree, &BTreeSet::new())
    }

    /// The same with layers that some jobs split as they were before.
    pub(crate) fn unedited_but(tree: &Tree, whole: &BTreeSet<JobId>) -> Self {
        let mut elements = Vec::new();
        Expansion { root: tree.job_id, whole, elements: &mut elements }.expand(tree, None, (0, true));
        Self { elements }
    }

    /// The document as it is now, with what its layers were split into since it was stored, but by the jobs of `known`: a layer
    /// that is shown though one of them has split it was put back. Layers of results that were deleted are left out.
    pub fn settled(&self, tree: &Tree, known: &BTreeSet<JobId>) -> Self {
        let mut settled = Self::default();
        let jobs: HashSet<JobId> = self.elements.iter().filter_map(|element| Some(element.layer?.job_id)).collect();
        let mut ids: HashSet<u64> = self.elements.iter().map(|element| element.id).collect();
        for element in &self.elements {
            let Some(layer) = element.layer else {
                settled.elements.push(element.clone());
                continue;
            };
            let Some(info) = layer_in(tree, layer) else { continue };
            if element.picture.is_some() {
                // It shows something else than what was split.
                settled.elements.push(element.clone());
                continue;
            }
            let parts = info.parts();
            let child = parts.map(|(child, _)| child.job_id);
            if element.child.is_some() && element.child == child {
                settled.elements.push(element.clone());
                continue;
            }
            let Some((child, parts)) = parts else {
                settled.elements.push(Element { child: None, ..element.clone() });
                continue;
            };
            if element.child.is_none() && known.contains(&child.job_id) {
                settled.elements.push(element.clone());
                continue;
            }
            let mut inside = Vec::new();
            let place = (self.depth(element) + 1, element.locked);
            Expansion { root: tree.job_id, whole: known, elements: &mut inside }.expand(parts, Some(element.id), place);
            let is_new = !jobs.contains(&child.job_id) && inside.iter().all(|part| !ids.contains(&part.id));
            let is_shown =
                jobs.contains(&child.job_id) && self.elements.iter().any(|one| one.parent == Some(element.id));
            if !is_new && !is_shown {
                // The same layer once more: its parts are in the other place.
                settled.elements.push(Element { child: None, ..element.clone() });
                continue;
            }
            settled.elements.push(group_of(element, child.job_id));
            if is_new {
                hand_down(&element.edit, (info, child.job_id), &mut inside, tree);
                ids.extend(inside.iter().map(|part| part.id));
                settled.elements.extend(inside);
            }
        }
        settled.adopt(self);
        settled
    }

    /// How many groups are around an element.
    fn depth(&self, element: &Element) -> usize {
        let mut depth = 0;
        let mut parent = element.parent;
        while let Some(group) = parent.filter(|_| depth <= Self::MAX_DEPTH).and_then(|id| self.element(id)) {
            depth += 1;
            parent = group.parent;
        }
        depth
    }

    /// Elements whose group is gone move into the group around it, if there is one; groups without a layer go.
    fn adopt(&mut self, before: &Self) {
        let groups: HashSet<u64> = self.elements.iter().filter(|one| one.is_group()).map(|one| one.id).collect();
        for element in &mut self.elements {
            let mut steps = 0;
            while let Some(parent) = element.parent.filter(|parent| !groups.contains(parent)) {
                let around = before.element(parent).and_then(|group| group.parent);
                element.parent = around.filter(|_| steps <= Self::MAX_DEPTH);
                steps += 1;
            }
        }
        self.sort();
        // From the innermost, which stand last.
        let mut filled = HashSet::new();
        for element in self.elements.iter().rev() {
            if let Some(parent) = element.parent.filter(|_| !element.is_group() || filled.contains(&element.id)) {
                filled.insert(parent);
            }
        }
        self.elements.retain(|element| !element.is_group() || filled.contains(&element.id));
    }
}

/// The group that takes a layer's place.
fn group_of(element: &Element, child: JobId) -> Element {
    let LayerEdit { name, visible, opacity, blend, .. } = element.edit.clone();
    let edit = LayerEdit { name, visible, opacity, blend, ..LayerEdit::default() };
    Element { child: Some(child), locked: false, edit, ..element.clone() }
}

/// Gives the parts of a layer the place, size, turn and colours that it had.
fn hand_down(edit: &LayerEdit, (info, child): (&TreeLayer, JobId), parts: &mut [Element], tree: &Tree) {
    let origin = |job: JobId| tree.find(job).map(|(_, origin)| origin);
    let Some((area, corner)) = info.bounding_box.zip(origin(child)) else { return };
    // The parts' canvas is the layer's box.
    let middle = |(x, y): (u32, u32), area: Rect| {
        let at = |start: u32, inside: u32, length: u32| (start + inside) as f32 + length as f32 / 2.0;
        (at(x, area.x, area.width), at(y, area.y, area.height))
    };
    let centre = middle(corner, Rect { x: 0, y: 0, ..area });
    for part in parts.iter_mut().filter(|part| !part.is_group()) {
        let Some(layer) = part.layer else { continue };
        let own = origin(layer.job_id).zip(layer_in(tree, layer).and_then(|info| info.bounding_box));
        let (x, y) = own.map_or(centre, |(origin, area)| middle(origin, area));
        let (dx, dy) = (f64::from(x - centre.0), f64::from(y - centre.1));
        let (sin, cos) = f64::from(edit.rotation).to_radians().sin_cos();
        let (across, down) = (dx * f64::from(edit.scale_x), dy * f64::from(edit.scale_y));
        let (to_x, to_y) = (across * cos - down * sin, across * sin + down * cos);
        let moved = |by: i32, further: f64| {
            by.saturating_add(further.round() as i32).clamp(-LayerEdit::MAX_OFFSET, LayerEdit::MAX_OFFSET)
        };
        part.edit.x = moved(edit.x, to_x - dx);
        part.edit.y = moved(edit.y, to_y - dy);
        part.edit.scale_x = edit.scale_x;
        part.edit.scale_y = edit.scale_y;
        part.edit.rotation = edit.rotation;
        part.edit.hue = edit.hue;
        part.edit.saturation = edit.saturation;
        part.edit.lightness = edit.lightness;
    }
}

/// Elements for a tree.
struct Expansion<'a> {
    root: JobId,
    /// Jobs whose parts are not shown.
    whole: &'a BTreeSet<JobId>,
    elements: &'a mut Vec<Element>,
}

impl Expansion<'_> {
    /// Adds what is in `tree`, which has `depth` groups around it; a background is locked if it `locks`.
    fn expand(&mut self, tree: &Tree, parent: Option<u64>, (depth, locks): (usize, bool)) {
        let mut rest = tree.layers.as_slice();
        while let Some(first) = rest.first() {
            let group = first.group.filter(|_| depth < NAMED_DEPTH);
            let count = rest.iter().take_while(|layer| group.is_some() && layer.group == group).count().max(1);
            let (run, after) = rest.split_at(count);
            rest = after;
            let Some(group) = group.filter(|_| count > 1) else {
                run.iter().for_each(|layer| self.add(tree, layer, parent, (depth, locks)));
                continue;
            };
            let id = GROUP | run.iter().map(|layer| self.id(tree, layer)).min().unwrap_or_default();
            let edit = LayerEdit::default();
            let made = Element { parent, group: Some(group), edit, ..Element::group(id, "") };
            self.elements.push(made);
            run.iter().for_each(|layer| self.add(tree, layer, Some(id), (depth + 1, locks)));
        }
    }

    fn id(&self, tree: &Tree, layer: &TreeLayer) -> u64 {
        id_of(self.root, LayerRef { job_id: tree.job_id, layer: layer.layer })
    }

    /// A layer, or the group of what it was split into.
    fn add(&mut self, tree: &Tree, layer: &TreeLayer, parent: Option<u64>, (depth, locks): (usize, bool)) {
        let reference = LayerRef { job_id: tree.job_id, layer: layer.layer };
        let locked = locks && layer.kind == Kind::Background;
        let element = Element { parent, locked, ..Element::layer(self.id(tree, layer), reference) };
        match layer.parts().filter(|(child, _)| !self.whole.contains(&child.job_id)) {
            None => self.elements.push(element),
            Some((Child { job_id, .. }, parts)) => {
                let id = element.id;
                self.elements.push(Element { child: Some(*job_id), locked: false, ..element });
                self.expand(parts, Some(id), (depth + 1, locked));
            }
        }
    }
}
