use image::RgbaImage;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use typeset::Text;

use crate::canvas::CanvasTooLarge;
use crate::compose;
use crate::{Blend, Density, Effects, Group, Kind, LayerStack};

/// A canvas with a tree of layers, without their pixels: what an editor shows and an export writes.
///
/// Groups may be nested [`Document::MAX_DEPTH`] deep. A deeper document can be built and dropped, but is neither
/// composed, exported nor serialized; cloning, comparing and printing one may use up the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// For people; the name of the picture.
    pub title: String,
    /// Width of the canvas in pixels.
    pub width: u32,
    /// Height of the canvas in pixels.
    pub height: u32,
    /// How densely the pixels lie on paper; exports are as large in print. 72 or 96 pixels per inch, as their format has it,
    /// where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density: Option<Density>,
    /// The lowest first.
    #[serde(serialize_with = "serialize_nodes")]
    pub nodes: Vec<Node>,
}

/// A layer or a group of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Node {
    /// A layer.
    Layer(DocumentLayer),
    /// Layers and groups that are shown, moved and exported together.
    Group(DocumentGroup),
}

/// One layer of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentLayer {
    /// For people; not unique.
    pub name: String,
    /// What the layer shows.
    pub kind: Kind,
    /// The words of a text layer.
    pub text: Option<String>,
    /// Whether the layer is drawn. Exports that can keep hidden layers do.
    pub visible: bool,
    /// 0 to 1. Values outside count as the nearer end, NaN as 1.
    #[serde(serialize_with = "serialize_opacity")]
    pub opacity: f32,
    /// How its colours mix with those below it. PPTX has `Normal` alone.
    #[serde(default, skip_serializing_if = "Blend::is_normal")]
    pub blend: Blend,
    /// Distance of the pixels' left edge from the canvas's, in pixels; may be negative.
    pub x: i32,
    /// Distance of the pixels' top edge from the canvas's, in pixels; may be negative.
    pub y: i32,
    /// Degrees clockwise by which the pixels are turned about their middle. What is not a number counts as 0.
    #[serde(default, skip_serializing_if = "is_upright")]
    pub turn: f32,
    /// What is drawn behind the pixels once they are turned.
    #[serde(default, skip_serializing_if = "Effects::is_none")]
    pub effects: Effects,
    /// The number that [`PixelSource::load`] gets.
    pub source: usize,
    /// The words as live text, in px of the canvas, for formats that can hold it: blocks that together say all that the
    /// layer says. Empty for layers that stay pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live_text: Vec<Text>,
}

/// A group: composited on its own, then put over what is below with its opacity. One that is opaque and mixes as
/// [`Blend::Normal`] is no more than its children: they mix with what is below the group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentGroup {
    /// For people; not unique.
    pub name: String,
    /// Whether the group is drawn.
    pub visible: bool,
    /// 0 to 1. Values outside count as the nearer end, NaN as 1.
    #[serde(serialize_with = "serialize_opacity")]
    pub opacity: f32,
    /// How its colours mix with those below it. PPTX has `Normal` alone.
    #[serde(default, skip_serializing_if = "Blend::is_normal")]
    pub blend: Blend,
    /// The lowest first.
    #[serde(serialize_with = "serialize_nodes")]
    pub children: Vec<Node>,
}

impl DocumentGroup {
    /// Whether its children are composited on a canvas of their own.
    pub fn is_isolated(&self) -> bool {
        effective_opacity(self.opacity) < 1.0 || !self.blend.is_normal()
    }

    /// Whether layers in it mix with what is below it: those of other groups that are composited on their own do not.
    pub(crate) fn lets_through(&self) -> bool {
        let mut left = vec![self];
        while let Some(group) = left.pop() {
            if group.is_isolated() {
                continue;
            }
            for node in &group.children {
                match node {
                    Node::Layer(layer) if !layer.blend.is_normal() => return true,
                    Node::Group(inner) if !inner.blend.is_normal() => return true,
                    Node::Group(inner) => left.push(inner),
                    Node::Layer(_) => {}
                }
            }
        }
        false
    }
}

/// Iterative: groups may be nested deeper than the call stack allows.
impl Drop for DocumentGroup {
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.children);
        while let Some(mut node) = rest.pop() {
            if let Node::Group(group) = &mut node {
                rest.append(&mut group.children);
            }
        }
    }
}

/// The pixels of a layer could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("the pixels of a layer could not be loaded: {0}")]
pub struct SourceError(pub Box<dyn std::error::Error + Send + Sync>);

/// A document with groups that are nested deeper than [`Document::MAX_DEPTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("groups are nested more than {limit} deep")]
pub struct TooDeep {
    /// The most that is possible.
    pub limit: usize,
}

/// A document could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The pixels of a layer could not be loaded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Groups are nested too deep.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
    /// The canvas does not fit into memory.
    #[error(transparent)]
    CanvasTooLarge(#[from] CanvasTooLarge),
}

/// Provides the pixels of a document's layers one at a time, so that not all have to be in memory.
pub trait PixelSource {
    /// The pixels of layer `source` ([`DocumentLayer::source`]): sRGB, 8 bit, straight alpha, of any size. May be called
    /// more than once for the same layer.
    ///
    /// # Errors
    /// When they cannot be read.
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError>;
}

impl PixelSource for LayerStack {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let layer = self.layers().get(source);
        layer.map(|layer| layer.pixels.clone()).ok_or_else(|| {
            SourceError(format!("the stack has {} layers, number {source} was asked for", self.layers().len()).into())
        })
    }
}

impl Document {
    /// How deep groups may be nested. JSON of such a document stays within the 128 levels that `serde_json` reads.
    pub const MAX_DEPTH: usize = 60;

    /// The layers of a stack, all visible, in [`grouped`] groups. The stack itself is the source of its pixels.
    pub fn from_stack(title: impl Into<String>, stack: &LayerStack) -> Self {
        // A place on a canvas of more than 2^31 pixels a side: no such canvas fits into memory.
        let place = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
        let nodes = stack.layers().iter().enumerate().map(|(source, layer)| {
            let node = Node::Layer(DocumentLayer {
                name: layer.name.clone(),
                kind: layer.kind,
                text: layer.text.clone(),
                visible: true,
                opacity: 1.0,
                blend: Blend::Normal,
                x: place(layer.x),
                y: place(layer.y),
                turn: 0.0,
                effects: Effects::default(),
                source,
                live_text: Vec::new(),
            });
            (layer.group, node)
        });
        let (width, height) = (stack.width(), stack.height());
        Self { title: title.into(), width, height, density: None, nodes: grouped(nodes) }
    }

    /// All layers, the lowest first, those inside groups too.
    pub fn layers(&self) -> Vec<&DocumentLayer> {
        let mut out = Vec::new();
        let mut open = vec![self.nodes.iter()];
        while let Some(nodes) = open.last_mut() {
            match nodes.next() {
                Some(Node::Layer(layer)) => out.push(layer),
                Some(Node::Group(group)) => open.push(group.children.iter()),
                None => _ = open.pop(),
            }
        }
        out
    }

    /// Whether the document can be composed, exported and serialized.
    ///
    /// # Errors
    /// When groups are nested more than [`Document::MAX_DEPTH`] deep.
    pub fn check_depth(&self) -> Result<(), TooDeep> {
        check_depth(&self.nodes)
    }

    /// The composite of what is visible, straight alpha. [`Document::compose_memory`] says what it takes.
    ///
    /// # Errors
    /// When the pixels of a layer cannot be loaded, groups are nested more than [`Document::MAX_DEPTH`] deep, or the
    /// canvas does not fit into memory.
    pub fn compose(&self, source: &dyn PixelSource) -> Result<RgbaImage, ComposeError> {
        self.check_depth()?;
        compose::compose(self, source)
    }

    /// The most bytes that [`Document::compose`] and every export hold at once, pixels of layers included, the
    /// buffers of [`PixelSource::load`] and the written file not. `layer_pixels` is the number of pixels of the
    /// largest layer that the source gives out.
    ///
    /// Up to 8 MB come on top while an export looks for the shape of a layer.
    ///
    /// It is 8 bytes a pixel of the canvas, and as much again for every group with an opacity below 1 or another blend mode than `Normal` that is drawn
    /// over something else inside such a group; 4 bytes a pixel of the canvas for the finished picture; 6 bytes a
    /// pixel of the largest layer for it and one of its channels compressed; and at least
    /// 24 bytes a pixel of a canvas below 4096 pixels a side, for its preview. 0 for a document that is nested too deep, which is
    /// refused before memory is taken.
    pub fn compose_memory(&self, layer_pixels: u64) -> u64 {
        if self.check_depth().is_err() {
            return 0;
        }
        compose::memory(self, layer_pixels)
    }
}

/// Puts neighbours of the same group into a group node of its name, the lowest first. A layer that has no such neighbour
/// stays by itself: a folder around a single layer would only be in the way.
pub fn grouped(layers: impl IntoIterator<Item = (Option<Group>, Node)>) -> Vec<Node> {
    let mut runs: Vec<(Option<Group>, Vec<Node>)> = Vec::new();
    for (group, node) in layers {
        match runs.last_mut() {
            Some((last, run)) if *last == group => run.push(node),
            _ => runs.push((group, vec![node])),
        }
    }
    let mut nodes = Vec::new();
    for (group, run) in runs {
        match group.filter(|_| run.len() > 1) {
            None => nodes.extend(run),
            Some(group) => nodes.push(Node::Group(DocumentGroup {
                name: group.name().to_owned(),
                visible: true,
                opacity: 1.0,
                blend: Blend::Normal,
                children: run,
            })),
        }
    }
    nodes
}

/// The opacity that is used: 0 to 1, whatever was set.
pub(crate) fn effective_opacity(opacity: f32) -> f32 {
    if opacity.is_nan() { 1.0 } else { opacity.clamp(0.0, 1.0) }
}

fn check_depth(nodes: &[Node]) -> Result<(), TooDeep> {
    let mut open = vec![nodes.iter()];
    while let Some(nodes) = open.last_mut() {
        match nodes.next() {
            Some(Node::Layer(_)) => {}
            Some(Node::Group(_)) if open.len() > Document::MAX_DEPTH => {
                return Err(TooDeep { limit: Document::MAX_DEPTH });
            }
            Some(Node::Group(group)) => open.push(group.children.iter()),
            None => _ = open.pop(),
        }
    }
    Ok(())
}

/// Serializing recurses, so the depth is checked before.
fn serialize_nodes<S: Serializer>(nodes: &[Node], serializer: S) -> Result<S::Ok, S::Error> {
    check_depth(nodes).map_err(S::Error::custom)?;
    nodes.serialize(serializer)
}

/// JSON has no NaN.
fn is_upright(turn: &f32) -> bool {
    *turn == 0.0 || !turn.is_finite()
}

/// JSON has no NaN.
fn serialize_opacity<S: Serializer>(opacity: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    effective_opacity(*opacity).serialize(serializer)
}

#[cfg(test)]
mod tests;
