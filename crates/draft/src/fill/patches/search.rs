//! Which patch is like the one at a pixel.

use rayon::prelude::*;

use super::level::{Bytes, Level, RADIUS};
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Mask, Plane};
use crate::random::mix;

/// Where a pixel takes its patch from: centre x and y, and the mean squared difference of a pixel (sum over the
/// channels, each 0 to 1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub x: i32,
    pub y: i32,
    pub cost: f32,
}

pub(super) const NONE: Match = Match { x: 0, y: 0, cost: f32::INFINITY };

/// Difference of 1 for one pixel, in steps of 8 bits.
const WHOLE: f32 = 255.0 * 255.0;

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
fn squares(a: &[[u8; 4]], b: &[[u8; 4]]) -> u32 {
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
        Match { x: x as i32 + shift(old.x, px, sx), y: y as i32 + shift(old.y, py, sy), cost: f32::INFINITY }
    })
}

/// Computes costs anew; pixels without a usable match draw one.
pub(super) fn measure(level: &Level, matches: &Plane<Match>, round: u64) -> Plane<Match> {
    let places = &level.places;
    let width = level.image.width;
    Plane::from_fn(width, level.image.height, |x, y| {
        if !level.touched.at(x, y) {
            return NONE;
        }
        let mut here = matches.at(x, y);
        if !level.usable(here.x, here.y) {
            let draw = mix((y * width + x) as u64 ^ (round << 40)) as usize % places.len();
            let place = places[draw] as usize;
            here = Match { x: (place % width) as i32, y: (place / width) as i32, cost: f32::INFINITY };
        }
        here.cost = difference(&level.image, (x, y), (here.x as usize, here.y as usize), f32::INFINITY);
        here
    })
}

/// Takes a match over where it is better.
#[inline(always)]
fn consider(level: &Level, (x, y): (usize, usize), (u, v): (i32, i32), best: &mut Match) {
    if (u, v) != (best.x, best.y) && level.usable(u, v) {
        let cost = difference(&level.image, (x, y), (u as usize, v as usize), best.cost);
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

/// Exhaustive start on the smallest level, from the rim of the hole inwards: a
/// smooth start would let the search collapse to mush.
pub(super) fn peel(level: &mut Level, monitor: &Monitor) -> Result<Plane<Match>, Stopped> {
    let (width, height) = (level.image.width, level.image.height);
    let mut known = level.hole.not();
    let mut matches = level.hole.same_size(NONE);
    let places: Vec<(usize, usize)> = level.places.iter().map(|&i| (i as usize % width, i as usize / width)).collect();
    loop {
        monitor.check()?;
        let rim: Vec<(usize, usize)> = (0..width * height)
            .filter(|&i| !known.data[i])
            .map(|i| (i % width, i / width))
            .filter(|&(x, y)| {
                let rows = y.saturating_sub(1)..(y + 2).min(height);
                rows.flat_map(|v| (x.saturating_sub(1)..(x + 2).min(width)).map(move |u| (u, v)))
                    .filter(|&(u, v)| known.at(u, v))
                    .count()
                    >= 2
            })
            .collect();
        if rim.is_empty() {
            break;
        }
        let found: Vec<Match> = rim.par_iter().map(|&(x, y)| best_of_all(level, &known, &places, x, y)).collect();
        for (&(x, y), m) in rim.iter().zip(&found) {
            level.image.set(x, y, level.image.at(m.x as usize, m.y as usize));
            matches.set(x, y, *m);
        }
        rim.iter().for_each(|&(x, y)| known.set(x, y, true));
    }
    Ok(matches)
}

fn best_of_all(level: &Level, known: &Mask, places: &[(usize, usize)], x: usize, y: usize) -> Match {
    let (width, height) = (level.image.width, level.image.height);
    // Where the known pixels of the patch lie from its middle, and their colours.
    let mut patch: Vec<(i32, [u8; 4])> = Vec::new();
    for v in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(height) {
        for u in x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(width) {
            if known.at(u, v) {
                let offset = (v as i32 - y as i32) * width as i32 + u as i32 - x as i32;
                patch.push((offset, level.image.at(u, v)));
            }
        }
    }
    let count = patch.len().max(1) as f32 * WHOLE;
    let (mut best, mut least) = (NONE, u32::MAX);
    for &(u, v) in places {
        // A mild preference for what is near, above all at the same height.
        let away = 1.5 * v.abs_diff(y) as f32 + 0.5 * u.abs_diff(x) as f32;
        let mut sum = (2e-3 * away / height as f32 * count) as u32;
        let middle = (v * width + u) as i32;
        for pixels in patch.chunks(8) {
            for &(offset, colour) in pixels {
                sum += squares(&[colour], &[level.image.data[(middle + offset) as usize]]);
            }
            if sum >= least {
                break;
            }
        }
        if sum < least {
            least = sum;
            best = Match { x: u as i32, y: v as i32, cost: sum as f32 / count };
        }
    }
    best
}
