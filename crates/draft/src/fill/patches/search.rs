//! Which patch is like the one at a pixel.

use super::level::{Bytes, Level, RADIUS};
use crate::morphology::{NOWHERE, nearest};
use crate::plane::Plane;
use crate::random::mix;

/// Where a pixel takes its patch from: centre x and y, and the mean squared difference of a pixel (sum over the
/// channels, each 0 to 1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub x: i32,
    pub y: i32,
    pub cost: f32,
}

pub(super) const NONE: Match = Match { x: -1, y: -1, cost: f32::INFINITY };

/// Difference of 1 for one pixel, in steps of 8 bits.
pub(super) const WHOLE: f32 = 255.0 * 255.0;

const SIDE: usize = 2 * RADIUS + 1;

/// Mean squared difference of two patches, the second of which lies within the picture; gives up above `best`.
#[inline(always)]
fn difference(image: &Bytes, (x, y): (usize, usize), (u, v): (usize, usize), best: f32) -> f32 {
    let (width, height) = (image.width, image.height);
    let (left, right) = (x.min(RADIUS), (width - 1 - x).min(RADIUS));
    let (up, down) = (y.min(RADIUS), (height - 1 - y).min(RADIUS));
    let count = ((left + right + 1) * (up + down + 1)) as f32 * WHOLE;
    // Beyond all sums where there is none yet: the conversion saturates.
    let limit = (best * count) as u32;
    let mut sum = 0;
    for j in 0..=up + down {
        let a = &image.row(y - up + j)[x - left..=x + right];
        let b = &image.row(v - up + j)[u - left..=u + right];
        sum += match (a.first_chunk::<SIDE>(), b.first_chunk::<SIDE>()) {
            // Of known length, the row is a handful of instructions.
            (Some(a), Some(b)) => squares(a, b),
            _ => squares(a, b),
        };
        if sum > limit {
            return f32::INFINITY;
        }
    }
    sum as f32 / count
}

/// Sum of the squared differences of two rows.
#[inline(always)]
pub(super) fn squares(a: &[[u8; 4]], b: &[[u8; 4]]) -> u32 {
    let pairs = a.as_flattened().iter().zip(b.as_flattened());
    pairs
        .map(|(&p, &q)| {
            let apart = i16::from(p) - i16::from(q);
            i32::from(apart) * i32::from(apart)
        })
        .sum::<i32>() as u32
}

/// Positions of a coarser level, scaled; offsets are kept in proportion.
pub(super) fn enlarge(matches: &Plane<Match>, width: usize, height: usize) -> Plane<Match> {
    let (sx, sy) = (width as f32 / matches.width as f32, height as f32 / matches.height as f32);
    Plane::from_fn(width, height, |x, y| {
        let (px, py) =
            (((x as f32 / sx) as usize).min(matches.width - 1), ((y as f32 / sy) as usize).min(matches.height - 1));
        let old = matches.at(px, py);
        let shift = |from: i32, at: usize, scale: f32| ((from - at as i32) as f32 * scale).round() as i32;
        if old.cost.is_infinite() {
            return NONE;
        }
        Match { x: x as i32 + shift(old.x, px, sx), y: y as i32 + shift(old.y, py, sy), cost: f32::INFINITY }
    })
}

/// Computes costs anew; pixels without a usable match get the nearest one.
pub(super) fn measure(level: &Level, matches: &Plane<Match>) -> Plane<Match> {
    let width = level.image.width;
    let lost = |x: usize, y: usize| {
        let here = matches.at(x, y);
        level.touched.at(x, y) && !level.usable(here.x, here.y)
    };
    let any = Plane::from_fn(width, level.image.height, lost).any();
    let beside = any.then(|| nearest(&level.source));
    Plane::from_fn(width, level.image.height, |x, y| {
        if !level.touched.at(x, y) {
            return NONE;
        }
        let mut here = matches.at(x, y);
        if let Some(beside) = beside.as_ref().filter(|_| !level.usable(here.x, here.y)) {
            let place = beside.at(x, y);
            if place == NOWHERE {
                return NONE;
            }
            here =
                Match { x: (place as usize % width) as i32, y: (place as usize / width) as i32, cost: f32::INFINITY };
        }
        let place = (here.x as usize, here.y as usize);
        here.cost = difference(&level.image, (x, y), place, f32::INFINITY) + level.far((x, y), place);
        here
    })
}

/// Takes a match over where it is better.
#[inline(always)]
fn consider(level: &Level, (x, y): (usize, usize), (u, v): (i32, i32), best: &mut Match) {
    if (u, v) != (best.x, best.y) && level.usable(u, v) {
        let place = (u as usize, v as usize);
        let far = level.far((x, y), place);
        if far >= best.cost {
            return;
        }
        let cost = far + difference(&level.image, (x, y), place, best.cost - far);
        if cost < best.cost {
            *best = Match { x: u, y: v, cost };
        }
    }
}

/// One round: each pixel looks at what pixels at the given `offsets` have found, then, if it may wander, around
/// its own match.
pub(super) fn search(
    level: &Level,
    matches: &Plane<Match>,
    offsets: &[(i32, i32)],
    wander: Option<u64>,
) -> Plane<Match> {
    let (width, height) = (level.image.width, level.image.height);
    Plane::from_fn(width, height, |x, y| {
        if !level.touched.at(x, y) {
            return NONE;
        }
        let mut best = matches.at(x, y);
        for &(dx, dy) in offsets {
            let (nx, ny) = (x as i32 + dx, y as i32 + dy);
            let inside = nx >= 0 && ny >= 0 && nx < width as i32 && ny < height as i32;
            if inside && level.touched.at(nx as usize, ny as usize) {
                let other = matches.at(nx as usize, ny as usize);
                consider(level, (x, y), (other.x - dx, other.y - dy), &mut best);
            }
        }
        let Some(salt) = wander else { return best };
        let mut reach = width.max(height) as i64;
        let mut draw = mix((y * width + x) as u64 ^ (salt << 32));
        while reach >= 1 {
            draw = mix(draw.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let span = 2 * reach + 1;
            let (dx, dy) = ((draw & 0xffff_ffff) as i64 % span - reach, (draw >> 32) as i64 % span - reach);
            let place = ((i64::from(best.x) + dx) as i32, (i64::from(best.y) + dy) as i32);
            consider(level, (x, y), place, &mut best);
            reach /= 2;
        }
        best
    })
}
