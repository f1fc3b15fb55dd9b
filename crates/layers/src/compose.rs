//! Compositing a document, and what it takes.

use image::RgbaImage;

use crate::PREVIEW_SIDE;
use crate::canvas::{Canvas, PIXEL_BYTES};
use crate::document::{ComposeError, Document, DocumentGroup, DocumentLayer, Node, PixelSource, effective_opacity};
use crate::turn::Loaded;

/// The composite of a document that is not too deep. Pixels that nobody sees are not loaded.
pub(crate) fn compose(document: &Document, source: &dyn PixelSource) -> Result<RgbaImage, ComposeError> {
    let mut canvas = Canvas::new(document.width, document.height);
    let mut walk = Walk::<ComposeError> { document, source, each: None };
    walk.nodes(&document.nodes, Some(&mut canvas))?;
    Ok(canvas.into_picture()?)
}

/// [`compose`], and `each` gets every layer on the way, hidden ones too, the lowest first. So each is loaded once.
pub(crate) fn compose_each<'d, E: From<ComposeError>>(
    document: &'d Document,
    source: &dyn PixelSource,
    mut each: impl FnMut(&'d DocumentLayer, Loaded) -> Result<(), E>,
) -> Result<RgbaImage, E> {
    let mut canvas = Canvas::new(document.width, document.height);
    let mut walk = Walk { document, source, each: Some(&mut each) };
    walk.nodes(&document.nodes, Some(&mut canvas))?;
    Ok(canvas.into_picture().map_err(ComposeError::from)?)
}

/// What gets every layer that was drawn.
type Each<'w, 'd, E> = &'w mut dyn FnMut(&'d DocumentLayer, Loaded) -> Result<(), E>;

struct Walk<'w, 'd, E> {
    document: &'d Document,
    source: &'w dyn PixelSource,
    each: Option<Each<'w, 'd, E>>,
}

impl<'d, E: From<ComposeError>> Walk<'_, 'd, E> {
    /// `canvas` is none where nothing is seen. Recursion ends at the depth that was checked before.
    fn nodes(&mut self, nodes: &'d [Node], mut canvas: Option<&mut Canvas>) -> Result<(), E> {
        for node in nodes {
            match node {
                Node::Layer(layer) => self.layer(layer, canvas.as_deref_mut())?,
                Node::Group(group) => self.group(group, canvas.as_deref_mut())?,
            }
        }
        Ok(())
    }

    fn layer(&mut self, layer: &'d DocumentLayer, canvas: Option<&mut Canvas>) -> Result<(), E> {
        let canvas = canvas.filter(|_| layer.visible);
        if canvas.is_none() && self.each.is_none() {
            return Ok(());
        }
        let loaded = Loaded::of(layer, self.source).map_err(ComposeError::from)?;
        if let Some(canvas) = canvas {
            let drawn =
                canvas.draw(&loaded.pixels, (loaded.x, loaded.y), (effective_opacity(layer.opacity), layer.blend));
            drawn.map_err(ComposeError::from)?;
        }
        match &mut self.each {
            Some(each) => each(layer, loaded),
            None => Ok(()),
        }
    }

    fn group(&mut self, group: &'d DocumentGroup, canvas: Option<&mut Canvas>) -> Result<(), E> {
        let opacity = effective_opacity(group.opacity);
        match canvas.filter(|_| group.visible && opacity > 0.0) {
            None if self.each.is_none() => Ok(()),
            None => self.nodes(&group.children, None),
            // `over` is associative: an opaque group needs no canvas of its own, and layers of other modes mix with what is
            // below it.
            Some(canvas) if !group.is_isolated() => self.nodes(&group.children, Some(canvas)),
            Some(canvas) => {
                let mut own = Canvas::new(self.document.width, self.document.height);
                self.nodes(&group.children, Some(&mut own))?;
                canvas.draw_canvas(own, (opacity, group.blend));
                Ok(())
            }
        }
    }
}

/// See [`Document::compose_memory`].
pub(crate) fn memory(document: &Document, layer_pixels: u64) -> u64 {
    let pixels = u64::from(document.width).saturating_mul(document.height.into());
    // Previews of pictures too small to be reduced first are resized in 16 bits, with a copy of everything.
    let small = document.width.max(document.height) < 4 * PREVIEW_SIDE;
    let preview = if small { pixels.saturating_mul(24) } else { 0 };
    let canvases = canvases(&document.nodes, &mut false);
    let canvas = pixels.saturating_mul(canvases.saturating_mul(PIXEL_BYTES).saturating_add(4));
    canvas.saturating_add(layer_pixels.saturating_mul(6)).max(preview)
}

/// How many canvases exist at once while `nodes` are drawn on one; `drawn` says whether that one does already.
fn canvases(nodes: &[Node], drawn: &mut bool) -> u64 {
    let mut most = u64::from(*drawn);
    for node in nodes {
        most = most.max(match node {
            Node::Layer(layer) => {
                *drawn |= layer.visible;
                u64::from(*drawn)
            }
            Node::Group(group) if !group.visible || effective_opacity(group.opacity) <= 0.0 => u64::from(*drawn),
            Node::Group(group) if !group.is_isolated() => canvases(&group.children, drawn),
            Node::Group(group) => {
                let own = canvases(&group.children, &mut false);
                let below = u64::from(*drawn);
                *drawn |= own > 0;
                below + own
            }
        });
    }
    most
}

#[cfg(test)]
mod tests;
