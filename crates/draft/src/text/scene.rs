//! Words on things: the writing on a sign or a shirt belongs to the sign or the shirt.

use crate::colour::distance_squared;
use crate::colour::oklab_plane;
use crate::fill::quadratic::{Quadratic, Sample};
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

/// Which lines are words on things: at least three of these hold, the first or the second among them: it is tilted,
/// there is texture in its letters, there is texture behind it, and no other line has its colour.
pub(crate) fn on_things(image: &Rgb8, lines: &[Letters]) -> Vec<bool> {
    let alone = |k: usize| {
        let same = |other: &Letters| distance_squared(other.colour, lines[k].colour) < SAME_STYLE * SAME_STYLE;
        !lines.iter().enumerate().any(|(j, other)| j != k && same(other))
    };
    (0..lines.len())
        .map(|k| {
            let (tilted, worn) = (lines[k].tilt > TILTED, worn(image, &lines[k]));
            let evidence = [tilted, worn, !lines[k].smooth, alone(k)];
            (tilted || worn) && evidence.iter().filter(|&&holds| holds).count() >= 3
        })
        .collect()
}

/// Whether the letters have a texture of their own.
fn worn(image: &Rgb8, line: &Letters) -> bool {
    let lab = oklab_plane(&image.crop(line.rect));
    let core = crate::morphology::erode(&line.mask, 2);
    let step = (core.count() / 3000).max(1);
    let samples: Vec<Sample> = (0..core.data.len())
        .filter(|&i| core.data[i])
        .step_by(step)
        .map(|i| Sample { x: (i % core.width) as f32, y: (i / core.width) as f32, colour: lab.data[i] })
        .collect();
    samples.len() > 60
        && Quadratic::fit(&samples, 0.02, 5).is_some_and(|model| 1.0 - model.inliers(&samples, WORN) > MOST_WORN)
}
