//! The cost of an export, estimated before it starts: pixels for its time, bytes for its memory.

use std::collections::{HashMap, HashSet};

use jobs::JobId;
use jobs::tree::{Composition, Leaf, LeafSource, Tree};
use layers::{Document, Effects, Format, Node};

use typeset::{Limits, Run, Text};

use super::target::Target;

/// Bytes of a pixel: of a picture, and of a canvas that layers are put on.
const PICTURE: u64 = 4;
const CANVAS: u64 = 8;
/// Bytes of a pixel that is written as PNG, beside the picture: filtered, then compressed.
const ENCODED: u64 = 8;
/// Bytes of a source's and of a target's pixel while a picture is resized, the pictures themselves included.
const RESIZED_FROM: u64 = 28;
const RESIZED_TO: u64 = 20;
/// Bytes of a pixel while effects are drawn around it: coverage, distances and two sums of premultiplied colours.
const EFFECTS: u64 = 64;

/// Bytes of a pixel of the canvas while the preview of a small one is made; larger ones are reduced first.
const PREVIEWED: u64 = 24;
const SMALL_SIDE: u32 = 4 * layers::PREVIEW_SIDE;

/// Memory of an export beside its pixels.
const OVERHEAD: u64 = 16 << 20;

/// Pixels of all layers together, as a multiple of the largest picture that is allowed.
const WORK: u64 = 32;

/// One export may use these parts of the memory for all exports to keep pictures that it would otherwise make again.
const FILES_PART: u64 = 4;
const LAYERS_PART: u64 = 8;

/// The work of an export, and the memory that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether any pixel of a leaf is needed.
    pub used: Vec<bool>,
    /// Whether decoded files are kept for further leaves cut from them.
    pub keeps_files: bool,
    /// Bytes that layers may take that were made and may be asked for again.
    pub kept_layers: u64,
    /// Pixels that are read, drawn and written.
    pub work: u64,
    /// Most bytes that are held at any time.
    pub memory: u64,
}

/// Why an export is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error(
        "a layer scaled to {width} x {height} pixels is too large: at most {max_pixels} pixels are allowed; scale it less"
    )]
    Layer { width: u32, height: u32, max_pixels: u64 },
    #[error(
        "the export would read, draw and write {pixels} pixels, and at most {most} are allowed; leave layers out or scale \
         them less"
    )]
    Work { pixels: u64, most: u64 },
    #[error(
        "the export would need {needed} MB of memory, and exports may use {most} MB (EXPORT_MEMORY_LIMIT); scale layers \
         less, make fewer groups translucent, or ask the operator of the service for more"
    )]
    Memory { needed: u64, most: u64 },
}

impl Plan {
    /// `tree` is what the leaves of `composition` were taken from; `budget` is the memory for all exports, in bytes.
    pub(super) fn new(composition: &Composition, tree: &Tree, target: Target, budget: u64) -> Self {
        let Composition { document, leaves, .. } = composition;
        let canvas = pixels((document.width, document.height));
        let used = used(composition, target);
        let canvases = canvases(tree);
        let looks: HashMap<usize, (f32, Effects)> =
            document.layers().iter().map(|layer| (layer.source, (layer.turn, layer.effects))).collect();
        let cost = |(number, leaf): (usize, &Leaf)| {
            let source = stored(&leaf.source, &canvases).unwrap_or(canvas);
            let (turn, effects) = looks.get(&number).copied().unwrap_or_default();
            Cost::of(leaf, source, canvas).turned(leaf, turn).with(&effects)
        };
        let costs: Vec<Cost> = leaves
            .iter()
            .enumerate()
            .map(cost)
            .zip(&used)
            .map(|(cost, used)| if *used { cost } else { Cost::default() })
            .collect();
        let needed = needed(document, &costs, canvas, target);
        let spare = budget.saturating_sub(needed);

        let files = files(leaves, &costs, &used);
        let once = files.values().map(|(_, pixels)| pixels).sum::<u64>();
        let each = files.values().map(|(count, pixels)| pixels.saturating_mul(*count)).sum::<u64>();
        let kept_files = once.saturating_mul(PICTURE);
        let keeps_files = each > once && kept_files <= spare.min(budget / FILES_PART);
        let (decoded, kept_files) = if keeps_files { (once, kept_files) } else { (each, 0) };

        let layers = costs.iter().fold(0_u64, |sum, cost| sum.saturating_add(cost.result));
        let letters = costs.iter().fold(0_u64, |sum, cost| sum.saturating_add(cost.letters));
        let most = (budget / LAYERS_PART).min(spare - kept_files);
        let kept_layers = layers.saturating_mul(PICTURE).min(most);
        let drawn = drawn(&document.nodes, canvas, target);
        let memory = needed.saturating_add(kept_files).saturating_add(kept_layers);
        let work = decoded.saturating_add(layers).saturating_add(letters).saturating_add(drawn);
        Self { used, keeps_files, kept_layers, work, memory }
    }

    /// Refuses exports beyond the limits. `max_pixels` is the size of the largest picture that is allowed.
    pub(super) fn check(&self, leaves: &[Leaf], max_pixels: u64, budget: u64) -> Result<(), LimitError> {
        let sizes = leaves.iter().zip(&self.used).filter(|(_, used)| **used).filter_map(|(leaf, _)| leaf.size);
        if let Some((width, height)) = sizes.clone().find(|size| pixels(*size) > max_pixels) {
            return Err(LimitError::Layer { width, height, max_pixels });
        }
        let most = max_pixels.saturating_mul(WORK);
        if self.work > most {
            return Err(LimitError::Work { pixels: self.work, most });
        }
        if self.memory > budget {
            return Err(LimitError::Memory { needed: self.memory.div_ceil(1_000_000), most: budget / 1_000_000 });
        }
        Ok(())
    }
}

/// Pixels of one leaf.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Of the stored picture.
    source: u64,
    /// Of the part that is cut out.
    cut: u64,
    result: u64,
    is_resized: bool,
    /// That letters are painted on.
    letters: u64,
    /// Of the picture that is turned, beside the result.
    upright: u64,
    /// Of the picture around which effects are drawn, these included.
    effects: u64,
    /// Of the canvas on which words were drawn that are stretched.
    stretched: u64,
}

impl Cost {
    /// `source` pixels has the stored picture, `canvas` the outermost one.
    fn of(leaf: &Leaf, source: u64, canvas: u64) -> Self {
        let cut = leaf.area.map_or(source, |area| pixels((area.width, area.height)));
        let result = leaf.size.map_or(cut, pixels);
        let plain = Self { source, cut, result, is_resized: leaf.size.is_some(), ..Self::default() };
        let Some(retyped) = &leaf.retyped else { return plain };
        let letters = retyped.texts.iter().map(|text| painted(text, canvas)).fold(0, u64::saturating_add);
        let pixels = if retyped.kept.is_empty() { Self::default() } else { plain };
        let stretched = if retyped.stretch.is_some() { canvas } else { 0 };
        // The pixels that stay are put on a canvas, and what is stretched on a second one.
        let result = canvas.saturating_add(pixels.result).saturating_add(stretched);
        Self { result, letters, stretched, ..pixels }.turned(leaf, retyped.turn)
    }

    /// The same for a leaf whose pixels are turned by `degrees`.
    fn turned(self, leaf: &Leaf, degrees: f32) -> Self {
        let Some((width, height)) = leaf.drawn_size().filter(|_| degrees != 0.0) else { return self };
        let covers = layers::turned_box(width, height, degrees);
        Self { result: self.result.max(pixels((covers.width, covers.height))), upright: self.result, ..self }
    }

    /// The same with effects. Pixels are about as many across as down.
    fn with(self, effects: &Effects) -> Self {
        if effects.is_none() || self.result == 0 {
            return self;
        }
        let [left, above, right, below] = effects.margins().map(u64::from);
        let side = self.result.isqrt().saturating_add(1);
        let rim = (left + right).saturating_mul(4 * side).saturating_add((above + below).saturating_mul(4 * side));
        let around = self.result.saturating_add(rim).saturating_add((left + right).saturating_mul(above + below));
        Self { result: around, effects: around, ..self }
    }

    /// Most bytes held while it is loaded.
    fn memory(&self) -> u64 {
        // The file beside its pixels, at worst as large as they are; then what is cut out of them.
        let decoding = (2 * PICTURE).saturating_mul(self.source);
        let cutting = PICTURE.saturating_mul(self.source.saturating_add(self.cut));
        let resizing = RESIZED_FROM.saturating_mul(self.cut).saturating_add(RESIZED_TO.saturating_mul(self.result));
        // One byte of a letter's pixel, and the drawn words before they are put on the canvas.
        let typing = match self.letters {
            0 => 0,
            letters => letters.min(Limits::PAINTED_PIXELS).saturating_add((2 * PICTURE).saturating_mul(self.result)),
        };
        let turning = PICTURE.saturating_mul(self.upright.saturating_add(self.result));
        // Stretched words are at most as large as the canvas.
        let stretching = (RESIZED_FROM + RESIZED_TO + 2 * PICTURE).saturating_mul(self.stretched);
        let drawing = EFFECTS
            .saturating_mul(self.effects)
            .max(typing)
            .max(if self.upright > 0 { turning } else { 0 })
            .max(stretching);
        decoding.max(cutting).max(if self.is_resized { resizing } else { 0 }).max(drawing)
    }
}

/// About how many pixels the letters of a text cover, each counted once for its fill, outline and shadow: a letter is less
/// than two em wide and three high.
fn painted(text: &Text, canvas: u64) -> u64 {
    let run = |run: &Run| {
        let style = &run.style;
        let shadow = style.shadow.map_or(0.0, |shadow| shadow.blur * 1.5 + shadow.dx.abs().max(shadow.dy.abs()));
        let reach = 2.0 * (style.outline.map_or(0.0, |outline| outline.width) + shadow);
        let letters = run.text.chars().count() as f32;
        let width = letters * (2.0 * style.size + style.letter_spacing.abs()) + reach;
        let height = 3.0 * style.size + reach;
        // A turned line covers more than its own size.
        let area = if text.angle % 90.0 == 0.0 { width * height } else { (width + height).powi(2) / 2.0 };
        let paints = 1 + 2 * u64::from(style.outline.is_some()) + 2 * u64::from(style.shadow.is_some());
        (area as u64).min(canvas).saturating_mul(paints)
    };
    text.lines.iter().flat_map(|line| &line.runs).map(run).fold(0, u64::saturating_add)
}

fn pixels((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Pixels of a stored picture; `None` for a layer of a result that is not in `canvases`.
fn stored(source: &LeafSource, canvases: &HashMap<JobId, u64>) -> Option<u64> {
    match source {
        LeafSource::Layer { job_id, .. } => canvases.get(job_id).copied(),
        LeafSource::Picture(id) => Some(pixels(id.size())),
    }
}

/// Pixels of the canvas of each result in a tree.
fn canvases(tree: &Tree) -> HashMap<JobId, u64> {
    let mut found = HashMap::new();
    let mut left = vec![tree];
    while let Some(tree) = left.pop() {
        found.insert(tree.job_id, pixels((tree.width, tree.height)));
        left.extend(tree.layers.iter().filter_map(|layer| layer.child.as_ref()?.tree.as_ref()));
    }
    found
}

/// By stored file: how many different leaves are made from it, and its pixels.
fn files<'a>(leaves: &'a [Leaf], costs: &[Cost], used: &[bool]) -> HashMap<&'a LeafSource, (u64, u64)> {
    let mut files = HashMap::new();
    // Of a layer that is all edited words, nothing is read.
    let read = leaves.iter().zip(costs).zip(used).filter(|((_, cost), used)| **used && cost.source > 0);
    for ((leaf, cost), _) in read {
        let (count, _) = files.entry(&leaf.source).or_insert((0, cost.source));
        *count += 1;
    }
    files
}

/// Which leaves are needed. A picture needs none that is hidden or lies outside the canvas; documents keep those too.
fn used(composition: &Composition, target: Target) -> Vec<bool> {
    if !matches!(target, Target::Png { .. }) {
        return vec![true; composition.leaves.len()];
    }
    let document = &composition.document;
    let mut seen = HashSet::new();
    let mut left: Vec<&Node> = document.nodes.iter().collect();
    while let Some(node) = left.pop() {
        match node {
            Node::Layer(layer) if layer.visible && layer.opacity > 0.0 => {
                let leaf = composition.leaves.get(layer.source);
                let leaf = leaf.filter(|leaf| leaf.retyped.is_none());
                let size = leaf.and_then(Leaf::drawn_size);
                let (width, height) = size.unwrap_or((document.width, document.height));
                let covers = layers::turned_box(width, height, layer.turn);
                let overlaps = |at: i32, length: u32, side: u32| {
                    i64::from(at) < i64::from(side) && i64::from(at) + i64::from(length) > 0
                };
                let [left, above, right, below] = layer.effects.margins();
                let start = |at: i32, by: i32, margin: u32| at.saturating_add(by).saturating_sub(margin as i32);
                let (x, y) = (start(layer.x, covers.x, left), start(layer.y, covers.y, above));
                let (width, height) = (covers.width + left + right, covers.height + above + below);
                if overlaps(x, width, document.width) && overlaps(y, height, document.height) {
                    seen.insert(layer.source);
                }
            }
            Node::Group(group) if group.visible => left.extend(&group.children),
            _ => {}
        }
    }
    (0..composition.leaves.len()).map(|source| seen.contains(&source)).collect()
}

/// Canvases that are drawn on at the same time for groups, beside the outermost.
fn group_canvases(nodes: &[Node]) -> u64 {
    let of = |node: &Node| match node {
        Node::Group(group) if group.visible => u64::from(group.is_isolated()) + group_canvases(&group.children),
        _ => 0,
    };
    nodes.iter().map(of).max().unwrap_or(0)
}

/// Pixels that are drawn or written in the size of the canvas, beside the layers' own.
fn drawn(nodes: &[Node], canvas: u64, target: Target) -> u64 {
    fn count(nodes: &[Node], is_zip: bool) -> u64 {
        let of = |node: &Node| match node {
            // A ZIP has every layer as large as the canvas.
            Node::Layer(_) => u64::from(is_zip),
            Node::Group(group) => u64::from(group.visible && group.is_isolated()) + count(&group.children, is_zip),
        };
        nodes.iter().map(of).sum()
    }
    let is_zip = matches!(target, Target::Document { format: Format::Zip, .. });
    canvas.saturating_mul(count(nodes, is_zip))
}

/// Most bytes held at any time, without the pictures that are kept.
fn needed(document: &Document, costs: &[Cost], canvas: u64, target: Target) -> u64 {
    let largest = |of: &dyn Fn(&Cost) -> u64| costs.iter().map(of).max().unwrap_or(0);
    let loading = largest(&Cost::memory);
    let canvases = CANVAS.saturating_mul(canvas).saturating_mul(1 + group_canvases(&document.nodes));
    let composing = canvases.saturating_add(loading).max((CANVAS + PICTURE).saturating_mul(canvas));
    let most = match target {
        Target::Png { .. } => composing.max((PICTURE + ENCODED).saturating_mul(canvas)),
        Target::Document { format, .. } => {
            let is_small = document.width.max(document.height) < SMALL_SIDE;
            let preview = if is_small { PREVIEWED.saturating_mul(canvas) } else { 0 };
            composing.max(preview).max(writing(format, canvas, loading, largest(&|cost| cost.result)))
        }
    };
    most.saturating_add(OVERHEAD)
}

/// Most bytes held while the layers of a document are written; the largest of them has `layer` pixels and needs
/// `loading` bytes to be loaded.
fn writing(format: Format, canvas: u64, loading: u64, layer: u64) -> u64 {
    // The layer, then what is trimmed of it, which is written.
    let trimmed = (PICTURE + PICTURE).max(PICTURE + ENCODED).saturating_mul(layer);
    let written = loading.max(trimmed);
    match format {
        // The composite is kept for the end of the file.
        Format::Psd => written.saturating_add(PICTURE.saturating_mul(canvas)),
        // Each layer is drawn on a canvas of its own.
        Format::Zip => {
            let drawn = (CANVAS + PICTURE).max(PICTURE + ENCODED).saturating_mul(canvas);
            written.max(drawn.saturating_add(PICTURE.saturating_mul(layer)))
        }
        Format::Ora | Format::Pptx | Format::Svg => written,
    }
}

#[cfg(test)]
mod tests;
