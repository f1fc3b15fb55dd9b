use image::RgbaImage;
use serde::{Deserialize, Serialize};

use crate::canvas::Canvas;
use crate::{Kind, LayerStack};

/// A canvas with a tree of layers, without their pixels: what an editor shows and an export writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// For people; the name of the picture.
    pub title: String,
    /// Size of the canvas in pixels.
    pub width: u32,
    pub height: u32,
    /// The lowest first.
    pub nodes: Vec<Node>,
}

/// A layer or a group of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Node {
    Layer(DocumentLayer),
    Group(DocumentGroup),
}

/// One layer of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentLayer {
    pub name: String,
    pub kind: Kind,
    /// The words of a text layer.
    pub text: Option<String>,
    pub visible: bool,
    /// 0 to 1.
    pub opacity: f32,
    /// Where the top left corner of the pixels lies on the canvas; may be outside.
    pub x: i32,
    pub y: i32,
    /// What [`PixelSource::load`] is asked for.
    pub source: usize,
}

/// A group: composited on its own, then put over what is below with its opacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentGroup {
    pub name: String,
    pub visible: bool,
    /// 0 to 1.
    pub opacity: f32,
    /// The lowest first.
    pub children: Vec<Node>,
}

/// Pixels could not be had; the text says of what and why.
#[derive(Debug, thiserror::Error)]
#[error("the pixels of a layer could not be loaded: {0}")]
pub struct SourceError(pub std::boxed::Box<dyn std::error::Error + Send + Sync>);

/// Gives out the pixels of a document's layers, so that only one of them need be in memory.
pub trait PixelSource {
    /// sRGB, 8 bit, straight alpha, of any size. Asked more than once for the same layer.
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
    /// The layers of a stack, all visible, without groups. The stack itself is the source of its pixels.
    pub fn from_stack(title: impl Into<String>, stack: &LayerStack) -> Self {
        let nodes = stack.layers().iter().enumerate().map(|(source, layer)| {
            Node::Layer(DocumentLayer {
                name: layer.name.clone(),
                kind: layer.kind,
                text: layer.text.clone(),
                visible: true,
                opacity: 1.0,
                x: 0,
                y: 0,
                source,
            })
        });
        Self { title: title.into(), width: stack.width(), height: stack.height(), nodes: nodes.collect() }
    }

    /// All layers, the lowest first, those inside groups too.
    pub fn layers(&self) -> Vec<&DocumentLayer> {
        fn collect<'a>(nodes: &'a [Node], out: &mut Vec<&'a DocumentLayer>) {
            for node in nodes {
                match node {
                    Node::Layer(layer) => out.push(layer),
                    Node::Group(group) => collect(&group.children, out),
                }
            }
        }
        let mut out = Vec::new();
        collect(&self.nodes, &mut out);
        out
    }

    /// The composite of what is visible, straight alpha. Holds one layer and
    /// the canvas with 16 bits per channel, and one more canvas for every
    /// group with an opacity below 1 around it.
    ///
    /// # Errors
    /// When the pixels of a layer cannot be loaded.
    pub fn compose(&self, source: &dyn PixelSource) -> Result<RgbaImage, SourceError> {
        let mut canvas = Canvas::new(self.width, self.height);
        draw(&mut canvas, &self.nodes, source)?;
        Ok(canvas.into_picture())
    }
}

fn draw(canvas: &mut Canvas, nodes: &[Node], source: &dyn PixelSource) -> Result<(), SourceError> {
    for node in nodes {
        match node {
            Node::Layer(layer) if layer.visible => {
                canvas.draw(&source.load(layer.source)?, (layer.x, layer.y), layer.opacity);
            }
            // `over` is associative: an opaque group needs no canvas of its own.
            Node::Group(group) if group.visible && group.opacity >= 1.0 => draw(canvas, &group.children, source)?,
            Node::Group(group) if group.visible => {
                let mut own = Canvas::new(canvas.width(), canvas.height());
                draw(&mut own, &group.children, source)?;
                canvas.draw_canvas(&own, group.opacity);
            }
            _ => {}
        }
    }
    Ok(())
}
