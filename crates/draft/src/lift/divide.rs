//! The written pixels of a part and of the rest.

use image::{Rgba, RgbaImage};

use super::{INSIDE, Window};
use crate::exact::{TOLERANCE, difference, lay};
use crate::plane::{Plane, Rgb8};

/// What was found of a part.
pub(super) struct Parts {
    /// Its opacity.
    pub alpha: Plane<u8>,
    /// The layer without it; `None` where nothing is behind it.
    pub below: Option<Rgb8>,
}

/// The part, where it lies, and the layer without it; `None` if there is no part.
pub(super) fn divide(
    layer: &RgbaImage,
    window: &Window,
    parts: &Parts,
) -> Option<(RgbaImage, layers::Rect, RgbaImage)> {
    let bounds = parts.alpha.map(|alpha| alpha > 0).bounds()?;
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let (x, y) = (side(window.rect.x0 + bounds.x0), side(window.rect.y0 + bounds.y0));
    let rect = layers::Rect { x, y, width: side(bounds.width()), height: side(bounds.height()) };
    let mut part = RgbaImage::new(rect.width, rect.height);
    let mut rest = layer.clone();
    for (u, v, part) in part.enumerate_pixels_mut() {
        let at = (bounds.x0 + u as usize, bounds.y0 + v as usize);
        let alpha = parts.alpha.at(at.0, at.1);
        if alpha == 0 {
            continue;
        }
        let rest = rest.get_pixel_mut(x + u, y + v);
        let below = parts.below.as_ref().map(|below| below.at(at.0, at.1));
        (*part, *rest) = pixel(*rest, alpha, below);
    }
    Some((part, rect, rest))
}

/// A pixel of the part and of the rest, of which the first over the second is `whole`.
fn pixel(whole: Rgba<u8>, alpha: u8, below: Option<[u8; 3]>) -> (Rgba<u8>, Rgba<u8>) {
    let none = Rgba([0; 4]);
    let Rgba([r, g, b, opacity]) = whole;
    let (Some(below), 255) = (below, opacity) else {
        // Two opacities that multiply to a third are none of 8 bits.
        return if alpha >= INSIDE { (whole, none) } else { (none, whole) };
    };
    let target = [r, g, b].map(f32::from);
    let (solved, reached) = lay(target, below.map(f32::from), alpha);
    let part = if difference(reached, target) <= TOLERANCE { Rgba(solved) } else { whole };
    let [r, g, b] = below;
    (part, Rgba([r, g, b, 255]))
}
