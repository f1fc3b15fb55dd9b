//! The text drawn again, beside the pixels that it stands for.

use engine::{PixelLine, TextBlock};
use image::RgbaImage;
use layers::Rect;
use typeset::{Bounds, Fonts, render};

/// Soft intersection over union, 0 to 1, of drawn blocks and a picture at `corner` of the canvas, without the boxes of
/// lines that stay pixels. 0 if something cannot be drawn.
pub(crate) fn overlap(
    blocks: &[TextBlock],
    pixels: &RgbaImage,
    corner: (u32, u32),
    without: &[PixelLine],
    fonts: &Fonts,
) -> f32 {
    let (width, height) = pixels.dimensions();
    let mut left: Vec<u8> = pixels.pixels().map(|pixel| pixel.0[3]).collect();
    let picture = Rect { x: corner.0, y: corner.1, width, height };
    for common in without.iter().filter_map(|line| line.bounding_box.intersection(picture)) {
        for y in common.y - corner.1..common.y - corner.1 + common.height {
            let start = (y * width + common.x - corner.0) as usize;
            left[start..start + common.width as usize].fill(0);
        }
    }
    let mut drawn = vec![0_u8; left.len()];
    let place = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
    let bounds = Bounds { x: place(corner.0), y: place(corner.1), width, height };
    for block in blocks {
        let Ok(made) = render(&block.text, fonts, bounds) else { return 0.0 };
        let shift = (made.x - bounds.x, made.y - bounds.y);
        for (x, y, pixel) in made.picture.enumerate_pixels() {
            let index = (place(y) + shift.1) as usize * width as usize + (place(x) + shift.0) as usize;
            if let Some(alpha) = drawn.get_mut(index) {
                *alpha = pixel.0[3].max(*alpha);
            }
        }
    }
    let pairs = || left.iter().zip(&drawn);
    let common: u64 = pairs().map(|(a, b)| u64::from(*a.min(b))).sum();
    let all: u64 = pairs().map(|(a, b)| u64::from(*a.max(b))).sum();
    common as f32 / all.max(1) as f32
}
