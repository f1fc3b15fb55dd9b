//! Bringing a coarse mask to the edges of the full picture.

use rayon::prelude::*;

use crate::colour::unit_plane;
use crate::filter::{guided, resize_gray};
use crate::plane::{Mask, Rect, Rgb8};

/// Side of the square tiles in pixels: edges are thin, so with small tiles most of a picture is skipped.
const TILE: usize = 32;
const RADIUS: usize = 4;
const EPSILON: f32 = 1e-4;

/// Grows a mask to the size of `image` and snaps it to the image's edges with
/// the guided filter. Tiles without an edge of the mask are left out.
pub(crate) fn refine(image: &Rgb8, coarse: &Mask) -> Mask {
    let (width, height) = (image.width, image.height);
    let soft = resize_gray(&coarse.map(|m| if m { 1.0 } else { 0.0 }), width, height);
    let mut tiles = Vec::new();
    for y0 in (0..height).step_by(TILE) {
        for x0 in (0..width).step_by(TILE) {
            tiles.push(Rect { x0, y0, x1: (x0 + TILE).min(width), y1: (y0 + TILE).min(height) });
        }
    }
    let refined: Vec<(Rect, Mask)> = tiles
        .into_par_iter()
        .filter_map(|tile| {
            let rect = tile.padded(2 * RADIUS, width, height);
            let part = soft.crop(rect);
            if part.data.iter().all(|&v| v == part.data[0]) {
                return None;
            }
            let snapped = guided(&unit_plane(&image.crop(rect)), &part, RADIUS, EPSILON);
            let (x, y) = (tile.x0 - rect.x0, tile.y0 - rect.y0);
            let inner = Rect { x0: x, y0: y, x1: x + tile.width(), y1: y + tile.height() };
            Some((tile, snapped.crop(inner).map(|v| v > 0.5)))
        })
        .collect();
    let mut out = soft.map(|v| v > 0.5);
    for (tile, mask) in refined {
        out.put(tile, &mask);
    }
    out
}
