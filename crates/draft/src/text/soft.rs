//! Lifted letters with their soft edges. A mask is all or nothing, which makes small letters hard to read.

use std::ops::Range;

use crate::morphology::{dilate, erode};
use crate::plane::{Mask, Plane, Rgb8};
use crate::text::glyphs::Letters;

/// How far from a pixel, in pixels, the colours of the letters and of what is behind them are looked for.
const INK: usize = 2;
const GROUND: usize = 4;
/// Distance of the two colours, in steps of 8-bit values, below which the mask alone decides.
const LEAST_CONTRAST: f32 = 20.0;

/// The letters of a line, black on white: what lies within them is black, what is more than a pixel away from them is
/// white, and each pixel between is as dark as its colour is near the letters'. Pixels of the mask are darker than half,
/// others lighter, so that the shapes are those of the mask.
pub(super) fn softened(picture: &Rgb8, line: &Letters) -> Rgb8 {
    let crop = picture.crop(line.rect);
    let letters = line.plain();
    let (near, inner) = (dilate(&letters, 1), erode(&letters, 1));
    let ground = line.inside.minus(&near);
    let whole = mean(&crop, &ground, [0..crop.width, 0..crop.height]);
    Plane::from_fn(crop.width, crop.height, |x, y| {
        let inside = letters.at(x, y);
        if inner.at(x, y) || !near.at(x, y) {
            return [if inside { 0 } else { 255 }; 3];
        }
        let window = |reach: usize| {
            let [x, y] = [(x, crop.width), (y, crop.height)];
            [x, y].map(|(at, end)| at.saturating_sub(reach)..(at + reach + 1).min(end))
        };
        let behind = mean(&crop, &ground, window(GROUND)).or(whole);
        let share = behind.and_then(|behind| {
            let ink = mean(&crop, &inner, window(INK)).or_else(|| farthest(&crop, &letters, window(INK), behind))?;
            share(crop.at(x, y), ink, behind)
        });
        let light = share.map_or(if inside { 0.0 } else { 255.0 }, |share| 255.0 * (1.0 - share)).round() as u8;
        [if inside { light.min(127) } else { light.max(128) }; 3]
    })
}

/// How far a colour is on the way from what is behind the letters to theirs, 0 to 1; `None` where these two cannot be
/// told.
fn share(colour: [u8; 3], ink: [f32; 3], behind: [f32; 3]) -> Option<f32> {
    let way: [f32; 3] = std::array::from_fn(|c| ink[c] - behind[c]);
    let length: f32 = way.iter().map(|part| part * part).sum();
    let along: f32 = (0..3).map(|c| (f32::from(colour[c]) - behind[c]) * way[c]).sum();
    (length > LEAST_CONTRAST * LEAST_CONTRAST).then(|| (along / length).clamp(0.0, 1.0))
}

/// The pixels of a mask in a window: across, down.
fn pixels<'a>(
    picture: &'a Rgb8,
    mask: &'a Mask,
    [across, down]: [Range<usize>; 2],
) -> impl Iterator<Item = [f32; 3]> + 'a {
    let places = down.flat_map(move |y| across.clone().map(move |x| (x, y)));
    places.filter(|&(x, y)| mask.at(x, y)).map(|(x, y)| picture.at(x, y).map(f32::from))
}

/// Their mean colour; `None` without any.
fn mean(picture: &Rgb8, mask: &Mask, window: [Range<usize>; 2]) -> Option<[f32; 3]> {
    let mut count = 0.0;
    let sum = pixels(picture, mask, window).fold([0.0; 3], |sum, colour| {
        count += 1.0;
        std::array::from_fn(|c| sum[c] + colour[c])
    });
    (count > 0.0).then(|| sum.map(|sum| sum / count))
}

/// Of them, the colour that is farthest from what is behind: strokes of one or two pixels are nowhere wholly of their
/// colour.
fn farthest(picture: &Rgb8, mask: &Mask, window: [Range<usize>; 2], behind: [f32; 3]) -> Option<[f32; 3]> {
    let away = |colour: &[f32; 3]| (0..3).map(|c| (colour[c] - behind[c]).powi(2)).sum::<f32>();
    pixels(picture, mask, window).max_by(|a, b| away(a).total_cmp(&away(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slanted stroke with soft edges, light blue on a ground that gets darker to the right.
    #[test]
    fn edges_are_as_soft_as_in_the_picture() {
        let share = |x: usize, y: usize| (3.2 - (x as f32 - 20.0 - y as f32 / 3.0).abs()).clamp(0.0, 1.0);
        let ground = |x: usize| [90.0 - x as f32, 60.0, 30.0];
        let picture = Plane::from_fn(60, 40, |x, y| {
            let (own, share) = ([190.0, 210.0, 250.0], share(x, y));
            std::array::from_fn(|c| (ground(x)[c] + share * (own[c] - ground(x)[c])).round() as u8)
        });
        let line = Letters {
            inside: Plane::new(60, 40, true),
            ..Letters::sample(Plane::from_fn(60, 40, |x, y| share(x, y) >= 0.5))
        };
        let soft = softened(&picture, &line);
        for y in 0..40 {
            for x in 0..60 {
                let (found, wanted) = (1.0 - f32::from(soft.at(x, y)[0]) / 255.0, share(x, y));
                assert!((found - wanted).abs() < 0.06, "{found} for {wanted} at {x}, {y}");
                assert_eq!(soft.at(x, y)[0] < 128, line.mask.at(x, y), "the mask's shape at {x}, {y}");
            }
        }
    }

    #[test]
    fn without_contrast_the_mask_decides() {
        let line = Letters {
            inside: Plane::new(30, 20, true),
            ..Letters::sample(Plane::from_fn(30, 20, |x, y| (5..25).contains(&x) && (8..12).contains(&y)))
        };
        let soft = softened(&Plane::new(30, 20, [77; 3]), &line);
        assert_eq!(soft, line.mask.map(|letter| [if letter { 0 } else { 255 }; 3]));
    }
}
