//! Letters without what is painted around them, where their face is not known yet.

use image::{GrayImage, Luma, RgbaImage};

use super::fill::median;
use super::halo::{SAME, distances};
use crate::text::Colour;

/// Opaque enough to tell its own colour.
const OPAQUE: u8 = 128;
/// The share of the pixels at the edge that another colour than the letters' must have to be an outline or a shadow.
const SHARE: usize = 5; // one in so many

/// The coverage of a line's letters, 0 to 255, without its outline and shadow: the mask that
/// [`identify`](crate::identify) needs.
///
/// `pixels` is the line as it was lifted: sRGB, straight alpha. Letters have the colour of the pixels that are deepest
/// within the ink; where the pixels at its edge have another, that is what lies around the letters, and each pixel
/// belongs to them by the share of their colour in its own. Without another colour this is the alpha.
pub fn ink(pixels: &RgbaImage) -> GrayImage {
    let alpha = GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| Luma([pixels.get_pixel(x, y).0[3]]));
    let Some((letters, around)) = colours(pixels, &alpha) else { return alpha };
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
        let (own, other) = (distance([red, green, blue], letters), distance([red, green, blue], around));
        // Gradients and noise move a colour away from the letters' own: what is clearly closer to it counts in full.
        let share = ((other / (own + other).max(1.0) - 0.2) / 0.6).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        Luma([(f32::from(alpha) * share).round() as u8])
    })
}

/// The colours of letters and of what lies around them, if there is such a thing.
fn colours(pixels: &RgbaImage, alpha: &GrayImage) -> Option<(Colour, Colour)> {
    // From the edge inwards: distances from what is not ink.
    let outside = GrayImage::from_fn(alpha.width(), alpha.height(), |x, y| {
        Luma([if alpha.get_pixel(x, y).0[0] >= OPAQUE { 0 } else { 255 }])
    });
    let depth = distances(&outside);
    let mut depths: Vec<f32> = depth.iter().copied().filter(|depth| *depth > 0.0 && *depth < f32::MAX).collect();
    if depths.is_empty() {
        return None;
    }
    // The deepest eighth: the middle of the strokes.
    let nth = depths.len() - depths.len() / 8 - 1;
    let deep = *depths.select_nth_unstable_by(nth, f32::total_cmp).1;
    let colour = |from: f32, to: f32| {
        pixels.pixels().zip(&depth).filter(move |(_, depth)| **depth >= from && **depth <= to).map(|(pixel, _)| pixel.0)
    };
    let letters = Colour { alpha: 255, ..median(colour(deep, f32::MAX)) };
    let differs = |pixel: &[u8; 4]| distance([pixel[0], pixel[1], pixel[2]], letters) > f32::from(2 * SAME);
    let around = |pixels: Vec<[u8; 4]>| {
        let different: Vec<[u8; 4]> = pixels.iter().copied().filter(differs).collect();
        let enough = different.len() >= 12 && different.len() * SHARE >= pixels.len();
        enough.then(|| Colour { alpha: 255, ..median(different.into_iter()) })
    };
    // The outermost opaque pixels; or the translucent ones beyond: a soft shadow.
    let edge = around(colour(1.0, 2.5).collect());
    let soft =
        || around(pixels.pixels().map(|pixel| pixel.0).filter(|pixel| (12..OPAQUE).contains(&pixel[3])).collect());
    Some((letters, edge.or_else(soft)?))
}

/// The largest difference of a channel, of 255.
fn distance(pixel: [u8; 3], colour: Colour) -> f32 {
    let channels = pixel.into_iter().zip([colour.red, colour.green, colour.blue]);
    channels.map(|(a, b)| f32::from(a.abs_diff(b))).fold(0.0, f32::max)
}
