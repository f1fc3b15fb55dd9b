//! The part of an element under a mask, cut out of what the element shows.

use draft::{Edge, LiftError, Lifted};
use image::{GrayImage, RgbaImage};
use layers::{Document, DocumentLayer, Node};
use tokio_util::sync::CancellationToken;

use super::stopped;
use crate::export::OpenLeaves;
use crate::http::error::Error;

/// Share of an element's pixels up to which what is left of it is nothing: it was all that was meant.
const NOTHING_LEFT: f32 = 0.02;

/// What became of an element.
pub(crate) enum Cut {
    /// A part of it, and the rest; both lie where `at` says on the document's canvas, the part within the rest.
    Part { lifted: Lifted, at: (i32, i32) },
    /// All of it is the part already.
    Whole,
}

/// Cuts the part under `mask`, as large as the canvas, out of the layer `source`. Blocks.
pub(crate) fn cut(
    leaves: &OpenLeaves,
    document: &Document,
    source: usize,
    (mask, edge): (&GrayImage, Edge),
    stop: &CancellationToken,
) -> Result<Cut, Error> {
    let layer = layer_of(&document.nodes, source).ok_or_else(|| Error::internal("a leaf without a layer"))?;
    let pixels = leaves.layer(source)?;
    if pixels.width() == 0 || pixels.height() == 0 {
        return Err(nothing());
    }
    let at = (layer.x, layer.y);
    let own = on_layer(mask, &pixels, at);
    let lifted = draft::lift(&pixels, &own, edge, &|| stop.is_cancelled()).map_err(|error| match error {
        LiftError::Stopped => stopped(),
        LiftError::Nothing => nothing(),
        LiftError::Size { .. } => Error::internal(error),
    })?;
    let seen = |picture: &RgbaImage| picture.pixels().filter(|pixel| pixel[3] >= 128).count() as f32;
    if !lifted.completed && seen(&lifted.rest) <= NOTHING_LEFT * seen(&pixels) {
        return Ok(Cut::Whole);
    }
    Ok(Cut::Part { lifted, at })
}

/// Of an element that has nothing where the mask is.
pub(crate) fn nothing() -> Error {
    let message = "the element has no pixels there, or is hidden; choose another place or another element";
    Error::unprocessable("nothing_there", message)
}

pub(crate) fn layer_of(nodes: &[Node], source: usize) -> Option<&DocumentLayer> {
    nodes.iter().find_map(|node| match node {
        Node::Layer(layer) => (layer.source == source).then_some(layer),
        Node::Group(group) => layer_of(&group.children, source),
    })
}

/// A mask of the canvas on the pixels of a layer that lies `at` a place of it.
pub(crate) fn on_layer(mask: &GrayImage, pixels: &RgbaImage, at: (i32, i32)) -> GrayImage {
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let place = |inside: u32, origin: i32| u32::try_from(i64::from(inside) + i64::from(origin)).ok();
        let value = place(x, at.0).zip(place(y, at.1)).and_then(|(x, y)| mask.get_pixel_checked(x, y));
        value.copied().unwrap_or(image::Luma([0]))
    })
}
