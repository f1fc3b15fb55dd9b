//! Words on things: the writing on a sign or a shirt belongs to the sign or the shirt.

use crate::colour::distance_squared;
use crate::colour::oklab_plane;
use crate::fill::quadratic::{Quadratic, Sample};
use crate::morphology::erode;
use crate::plane::Rgb8;
use crate::text::glyphs::Letters;

/// Tilt in radians from which a line does not lie in the picture as designers place it; what they turn, they turn on a
/// smooth background.
const TILTED: f32 = 0.045;
/// Oklab residual of a pixel from the smooth colour of the letters that print does not have.
const WORN: f32 = 0.05;
/// Share of such pixels from which letters are worn, lit or woven.
const MOST_WORN: f32 = 0.25;
/// Oklab distance up to which another line has the same style.
const SAME_STYLE: f32 = 0.1;

/// Which lines are words on things: tilted, in a colour that no other line has, and with texture in the letters or
/// behind them. What stands straight is the poster's own, whatever is behind it.
pub(crate) fn on_things(image: &Rgb8, lines: &[Letters]) -> Vec<bool> {
    let alone = |k: usize| {
        let same = |other: &Letters| distance_squared(other.colour, lines[k].colour) < SAME_STYLE * SAME_STYLE;
        !lines.iter().enumerate().any(|(j, other)| j != k && same(other))
    };
    let on_thing = |k: usize| tilt(lines[k].along) > TILTED && alone(k) && (!lines[k].smooth || worn(image, &lines[k]));
    (0..lines.len()).map(on_thing).collect()
}

/// Angle to the nearest axis of the picture, in radians.
fn tilt([x, y]: [f32; 2]) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    libm::atan2f(a.min(b), a.max(b))
}

/// Whether the letters have a texture of their own.
fn worn(image: &Rgb8, line: &Letters) -> bool {
    let lab = oklab_plane(&image.crop(line.rect));
    let core = erode(&line.mask, 2);
    let step = (core.count() / 3000).max(1);
    let samples: Vec<Sample> = (0..core.data.len())
        .filter(|&i| core.data[i])
        .step_by(step)
        .map(|i| Sample { x: (i % core.width) as f32, y: (i / core.width) as f32, colour: lab.data[i] })
        .collect();
    samples.len() > 60
        && Quadratic::fit(&samples, 0.02, 5).is_some_and(|model| 1.0 - model.inliers(&samples, WORN) > MOST_WORN)
}
