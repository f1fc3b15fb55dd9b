//! Words on things: the writing on a sign or a shirt belongs to the sign or the shirt.

use crate::colour::distance_squared;
use crate::colour::oklab_plane;
use crate::fill::quadratic::{Quadratic, Sample};
use crate::morphology::{dilate, erode};
use crate::plane::{Mask, Rgb8};
use crate::text::glyphs::Letters;

/// Tilt in radians from which a line does not lie in the picture as designers place it; what they turn, they turn on a
/// smooth background.
const TILTED: f32 = 0.045;
/// Oklab residual of a pixel from the smooth colour of the letters that print does not have.
const WORN: f32 = 0.05;
/// Share of such pixels from which letters are worn, lit or woven.
const MOST_WORN: f32 = 0.25;
/// Step of a channel to the next pixel that flat colours and gradients do not make, and the share of such pixels from
/// which there is texture.
const GRAIN: u8 = 2;
const MOST_GRAIN: f32 = 0.35;
/// Oklab distance up to which another line has the same style.
const SAME_STYLE: f32 = 0.1;

/// Which lines are words on things: tilted, in a colour that no other line has, and with texture in the letters or
/// behind them. What stands straight is the poster's own, whatever is behind it.
pub(crate) fn on_things(image: &Rgb8, lines: &[Letters]) -> Vec<bool> {
    let alone = |k: usize| {
        let same = |other: &Letters| distance_squared(other.colour, lines[k].colour) < SAME_STYLE * SAME_STYLE;
        !lines.iter().enumerate().any(|(j, other)| j != k && same(other))
    };
    let on_thing = |k: usize| {
        !lines[k].bent
            && tilt(lines[k].along) > TILTED
            && alone(k)
            && (worn(image, &lines[k]) || on_texture(image, &lines[k]))
    };
    (0..lines.len()).map(on_thing).collect()
}

/// Angle to the nearest axis of the picture, in radians.
fn tilt([x, y]: [f32; 2]) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    libm::atan2f(a.min(b), a.max(b))
}

/// Share of pixels under `mask`, a part of the line's rectangle, that flat colours and gradients do not have.
fn rough_share(image: &Rgb8, line: &Letters, mask: &Mask) -> f32 {
    let part = image.crop(line.rect);
    let (mut rough, mut all) = (0usize, 0usize);
    for y in 1..part.height {
        for x in (1..part.width).filter(|&x| mask.at(x, y)) {
            let step = |other: [u8; 3]| (0..3).map(|c| part.at(x, y)[c].abs_diff(other[c])).max().unwrap_or(0);
            rough += usize::from(step(part.at(x - 1, y)).max(step(part.at(x, y - 1))) > GRAIN);
            all += 1;
        }
    }
    rough as f32 / all.max(1) as f32
}

/// Whether there is texture around the letters.
fn on_texture(image: &Rgb8, line: &Letters) -> bool {
    rough_share(image, line, &dilate(&line.mask, 3).not()) > MOST_GRAIN
}

/// Whether the letters have a texture of their own. An outline or a second colour is none.
fn worn(image: &Rgb8, line: &Letters) -> bool {
    let lab = oklab_plane(&image.crop(line.rect));
    let core = erode(&line.plain(), 2);
    let step = (core.count() / 3000).max(1);
    let samples: Vec<Sample> = (0..core.data.len())
        .filter(|&i| core.data[i])
        .step_by(step)
        .map(|i| Sample { x: (i % core.width) as f32, y: (i / core.width) as f32, colour: lab.data[i] })
        .collect();
    samples.len() > 60
        && rough_share(image, line, &core) > MOST_GRAIN
        && Quadratic::fit(&samples, 0.02, 5).is_some_and(|model| 1.0 - model.inliers(&samples, WORN) > MOST_WORN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::{Plane, Rect};

    fn line(along: [f32; 2], colour: [f32; 3], rect: Rect) -> Letters {
        let mask = Plane::from_fn(rect.width(), rect.height(), |x, y| x % 16 < 6 && (6..24).contains(&y));
        let read = Letters { text: "word".to_owned(), certain: true, sure: 0.9, ..Letters::sample(mask) };
        Letters { rect, size: 30.0, along, colour, smooth: false, ..read }
    }

    #[test]
    fn tilted_words_of_their_own_colour_on_texture_stay_on_the_thing() {
        let mut random = crate::random::Random::new(3);
        let data = (0..200 * 100).map(|_| [120 + random.below(40) as u8, 90, 60]).collect();
        let wood = Plane { width: 200, height: 100, data };
        let at = |y0: usize| Rect { x0: 20, y0, x1: 180, y1: y0 + 30 };
        let (tilted, level) = ([libm::cosf(0.1), libm::sinf(0.1)], [1.0, 0.0]);
        let (dark, light) = ([0.2, 0.0, 0.0], [0.9, 0.0, 0.0]);
        let judged = |lines: &[Letters]| on_things(&wood, lines);
        assert_eq!(judged(&[line(tilted, dark, at(5)), line(level, light, at(50))]), [true, false]);
        assert_eq!(judged(&[line(tilted, dark, at(5)), line(level, dark, at(50))]), [false, false], "one style");
        let flat = Plane::new(200, 100, [120, 90, 60]);
        assert_eq!(on_things(&flat, &[line(tilted, dark, at(5))]), [false], "a sticker");
    }
}
