//! Completion of textured ground by similar patches from elsewhere (PatchMatch,
//! Barnes et al. 2009; voting after Wexler et al. 2007), coarse to fine.
//!
//! The search runs in rounds that read the round before, so that all pixels of a
//! round go in parallel and the result does not depend on the number of threads.

use rayon::prelude::*;

use crate::fill::membrane::membrane;
use crate::filter::{resize_area, resize_linear};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::distance_to;
use crate::numeric::{exp, quantile};
use crate::plane::{Colour, Gray, Mask, Plane, for_rows};
use crate::random::mix;

/// Half the side of a patch.
const RADIUS: usize = 3;
/// Long side at which the search ends; the rest is copied along its result.
const MOST_SIDE: f32 = 420.0;
/// Long side at which the exhaustive start runs, at most.
const START_SIDE: f32 = 64.0;

/// Where each pixel takes its patch from: centre x and y, and the mean squared difference.
#[derive(Debug, Clone, Copy)]
struct Match {
    x: i32,
    y: i32,
    cost: f32,
}

const NONE: Match = Match { x: 0, y: 0, cost: f32::INFINITY };

/// Colours in four values, the last of which is 0: differences of four are one instruction.
type Fours = Plane<[f32; 4]>;

/// One size of the pyramid.
struct Level {
    image: Fours,
    hole: Mask,
    /// Pixels whose whole patch may be copied.
    source: Mask,
    /// Where these are.
    places: Vec<u32>,
    /// Pixels whose patch touches the hole.
    touched: Mask,
}

/// Fills `hole`; never takes a patch that touches `forbidden`.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub fn fill(image: &Colour, hole: &Mask, forbidden: &Mask, monitor: &Monitor) -> Result<Colour, Stopped> {
    let bad = hole.or(forbidden);
    let (width, height) = (hole.width, hole.height);
    let long = width.max(height) as f32;
    let mut scale = (MOST_SIDE / long).min(1.0);
    let mut scales = vec![scale];
    while scale * long > START_SIDE {
        scale *= 0.5;
        scales.push(scale);
    }
    let mut found: Option<(Fours, Plane<Match>)> = None;
    for (index, &scale) in scales.iter().rev().enumerate() {
        monitor.check()?;
        let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
        let level = Level::new(image, hole, &bad, side(width), side(height));
        if level.places.len() < 50 {
            continue;
        }
        found = Some(refine(level, found, index, monitor)?);
    }
    // Where there is next to nothing to copy from.
    let Some((filled, matches)) = found else { return Ok(choose(image, &membrane(image, &bad.not(), 4), hole)) };
    let last = scales[0];
    if last >= 1.0 {
        return Ok(choose(image, &threes(&filled), hole));
    }
    monitor.check()?;
    finish(image, hole, &bad, (&filled, &matches), monitor)
}

fn fours(image: &Colour) -> Fours {
    image.map(|[r, g, b]| [r, g, b, 0.0])
}

fn threes(image: &Fours) -> Colour {
    image.map(|[r, g, b, _]| [r, g, b])
}

fn choose<const C: usize>(image: &Plane<[f32; C]>, filled: &Plane<[f32; C]>, hole: &Mask) -> Plane<[f32; C]> {
    image.zip(filled, |a, b| (a, b)).zip(hole, |(a, b), inside| if inside { b } else { a })
}

impl Level {
    fn new(image: &Colour, hole: &Mask, bad: &Mask, width: usize, height: usize) -> Self {
        let known = image.zip(hole, |[r, g, b], inside| if inside { [0.0; 4] } else { [r, g, b, 1.0] });
        let shrunk =
            if (width, height) == (image.width, image.height) { known } else { resize_area(&known, width, height) };
        let colours = shrunk.map(|[r, g, b, w]| [r, g, b, 0.0].map(|v| v / w.max(1e-4)));
        let cover = |mask: &Mask| {
            let soft = mask.map(|m| [if m { 1.0f32 } else { 0.0 }]);
            if (width, height) == (mask.width, mask.height) {
                mask.clone()
            } else {
                resize_area(&soft, width, height).map(|v| v[0] > 0.01)
            }
        };
        let (hole, bad) = (cover(hole), cover(bad));
        Level::of(colours, hole, &bad)
    }

    fn of(image: Fours, hole: Mask, bad: &Mask) -> Self {
        let source = sources(bad);
        let places = (0..source.data.len() as u32).filter(|&i| source.data[i as usize]).collect();
        Level { image, source, places, touched: square(&hole), hole }
    }
}

/// Pixels whose patch lies within the picture and off `bad`.
fn sources(bad: &Mask) -> Mask {
    let near = square(bad);
    let (width, height) = (bad.width, bad.height);
    Plane::from_fn(width, height, |x, y| {
        let inside = x >= RADIUS && y >= RADIUS && x + RADIUS < width && y + RADIUS < height;
        inside && !near.at(x, y)
    })
}

/// Grown by a patch.
fn square(mask: &Mask) -> Mask {
    let mut rows = mask.clone();
    for_rows(&mut rows.data, mask.width, |y, target| {
        let row = mask.row(y);
        for shift in 1..=RADIUS.min(row.len()) {
            target[shift..].iter_mut().zip(row).for_each(|(t, &set)| *t |= set);
            target.iter_mut().zip(&row[shift..]).for_each(|(t, &set)| *t |= set);
        }
    });
    let mut out = mask.same_size(false);
    for_rows(&mut out.data, mask.width, |y, target| {
        for source in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(mask.height) {
            target.iter_mut().zip(rows.row(source)).for_each(|(t, &set)| *t |= set);
        }
    });
    out
}

/// Mean squared difference of two patches; gives up above `best`.
fn difference(image: &Fours, x: usize, y: usize, u: usize, v: usize, best: f32) -> f32 {
    let (width, height) = (image.width, image.height);
    let (left, right) = (x.min(RADIUS), (width - 1 - x).min(RADIUS));
    let (up, down) = (y.min(RADIUS), (height - 1 - y).min(RADIUS));
    let count = ((left + right + 1) * (up + down + 1)) as f32;
    let limit = best * count;
    let (mut sum, mut squares) = (0.0, [0.0f32; 4]);
    for j in 0..=up + down {
        let a = &image.row(y - up + j)[x - left..=x + right];
        let b = &image.row(v - up + j)[u - left..=u + right];
        for (p, q) in a.iter().zip(b) {
            for c in 0..4 {
                squares[c] += (p[c] - q[c]) * (p[c] - q[c]);
            }
        }
        sum = squares[0] + squares[1] + squares[2];
        if sum > limit {
            return f32::INFINITY;
        }
    }
    sum / count
}

/// Brings the solution of a coarser level to this one and improves it.
fn refine(
    mut level: Level,
    coarser: Option<(Fours, Plane<Match>)>,
    index: usize,
    monitor: &Monitor,
) -> Result<(Fours, Plane<Match>), Stopped> {
    let mut matches = match coarser {
        None => peel(&mut level, monitor)?,
        Some((image, matches)) => {
            let (width, height) = (level.image.width, level.image.height);
            level.image = choose(&level.image, &resize_linear(&image, width, height), &level.hole);
            enlarge(&matches, width, height)
        }
    };
    let depth = distance_to(&level.hole.not());
    let trust = depth.map(|d| exp(-0.262 * d));
    let (rounds, passes) = [(8, 3), (5, 3), (3, 2), (3, 2)][index.min(3)];
    for round in 0..rounds {
        monitor.check()?;
        matches = measure(&level, &matches, round);
        for pass in 0..passes {
            matches = search(&level, &matches, (index * 100 + round as usize * 10 + pass) as u64);
        }
        vote(&mut level, &matches, &trust, RADIUS, 0.75);
    }
    Ok((level.image, matches))
}

/// Positions of a coarser level, scaled; offsets are kept in proportion.
fn enlarge(matches: &Plane<Match>, width: usize, height: usize) -> Plane<Match> {
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
fn measure(level: &Level, matches: &Plane<Match>, round: u64) -> Plane<Match> {
    let places = &level.places;
    let width = level.image.width;
    Plane::from_fn(width, level.image.height, |x, y| {
        if !level.touched.at(x, y) {
            return NONE;
        }
        let mut here = matches.at(x, y);
        if !usable(level, here.x, here.y) {
            let draw = mix((y * width + x) as u64 ^ (round << 40)) as usize % places.len();
            let place = places[draw] as usize;
            here = Match { x: (place % width) as i32, y: (place / width) as i32, cost: f32::INFINITY };
        }
        here.cost = difference(&level.image, x, y, here.x as usize, here.y as usize, f32::INFINITY);
        here
    })
}

fn usable(level: &Level, x: i32, y: i32) -> bool {
    x >= 0
        && y >= 0
        && (x as usize) < level.image.width
        && (y as usize) < level.image.height
        && level.source.at(x as usize, y as usize)
}

/// One round: each pixel looks at the matches of others near it, then around its own.
fn search(level: &Level, matches: &Plane<Match>, salt: u64) -> Plane<Match> {
    let (width, height) = (level.image.width, level.image.height);
    Plane::from_fn(width, height, |x, y| {
        if !level.touched.at(x, y) {
            return NONE;
        }
        let mut best = matches.at(x, y);
        let consider = |u: i32, v: i32, best: &mut Match| {
            if (u, v) != (best.x, best.y) && usable(level, u, v) {
                let cost = difference(&level.image, x, y, u as usize, v as usize, best.cost);
                if cost < best.cost {
                    *best = Match { x: u, y: v, cost };
                }
            }
        };
        for step in [1i32, 2, 5] {
            for (dx, dy) in [(-step, 0), (step, 0), (0, -step), (0, step)] {
                let (nx, ny) = (x as i32 + dx, y as i32 + dy);
                if nx < 0
                    || ny < 0
                    || nx >= width as i32
                    || ny >= height as i32
                    || !level.touched.at(nx as usize, ny as usize)
                {
                    continue;
                }
                let other = matches.at(nx as usize, ny as usize);
                consider(other.x - dx, other.y - dy, &mut best);
            }
        }
        let mut reach = width.max(height) as i64;
        let mut draw = mix((y * width + x) as u64 ^ (salt << 32));
        while reach >= 1 {
            draw = mix(draw.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let span = 2 * reach + 1;
            let (dx, dy) = ((draw & 0xffff_ffff) as i64 % span - reach, (draw >> 32) as i64 % span - reach);
            consider((i64::from(best.x) + dx) as i32, (i64::from(best.y) + dy) as i32, &mut best);
            reach /= 2;
        }
        best
    })
}

/// Each hole pixel becomes the weighted mean of what the patches over it say.
fn vote(level: &mut Level, matches: &Plane<Match>, trust: &Gray, radius: usize, spread: f32) {
    let mut costs: Vec<f32> = matches.data.iter().map(|m| m.cost).filter(|c| c.is_finite()).collect();
    let spread = quantile(&mut costs, spread).max(1e-5);
    let (width, height) = (level.image.width, level.image.height);
    let weights = matches
        .zip(trust, |m, trust| if m.cost.is_finite() { exp(-m.cost / (2.0 * spread)) * trust + 1e-6 } else { 0.0 });
    let old = &level.image;
    let voted = Plane::from_fn(width, height, |x, y| {
        if !level.hole.at(x, y) {
            return old.at(x, y);
        }
        let (mut sum, mut weight) = ([0.0f32; 4], 0.0f32);
        for v in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            for u in x.saturating_sub(radius)..(x + radius + 1).min(width) {
                let w = weights.at(u, v);
                if w == 0.0 {
                    continue;
                }
                let m = matches.at(u, v);
                let (sx, sy) = (m.x + x as i32 - u as i32, m.y + y as i32 - v as i32);
                let colour = old.at(sx as usize, sy as usize);
                weight += w;
                for c in 0..4 {
                    sum[c] += w * colour[c];
                }
            }
        }
        if weight > 0.0 { sum.map(|s| s / weight) } else { old.at(x, y) }
    });
    level.image = voted;
}

/// Exhaustive start on the smallest level, from the rim of the hole inwards: a
/// smooth start would let the search collapse to mush.
fn peel(level: &mut Level, monitor: &Monitor) -> Result<Plane<Match>, Stopped> {
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
    let mut patch: Vec<(i32, [f32; 4])> = Vec::new();
    for v in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(height) {
        for u in x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(width) {
            if known.at(u, v) {
                let offset = (v as i32 - y as i32) * width as i32 + u as i32 - x as i32;
                patch.push((offset, level.image.at(u, v)));
            }
        }
    }
    let mut best = NONE;
    let count = patch.len().max(1) as f32;
    for &(u, v) in places {
        // A mild preference for what is near, above all at the same height.
        let away = 1.5 * v.abs_diff(y) as f32 + 0.5 * u.abs_diff(x) as f32;
        let mut sum = 2e-3 * away / height as f32 * count;
        let limit = best.cost * count;
        let middle = (v * width + u) as i32;
        for pixels in patch.chunks(8) {
            let mut squares = [0.0f32; 4];
            for &(offset, colour) in pixels {
                let other = level.image.data[(middle + offset) as usize];
                for c in 0..4 {
                    squares[c] += (colour[c] - other[c]) * (colour[c] - other[c]);
                }
            }
            sum += squares[0] + squares[1] + squares[2];
            if sum > limit {
                break;
            }
        }
        if sum < limit || best.cost.is_infinite() {
            best = Match { x: u as i32, y: v as i32, cost: sum / count };
        }
    }
    best
}

/// Full size: matches are carried over, mended along their neighbours, and voted
/// with small patches, which keeps the grain of the picture.
fn finish(
    image: &Colour,
    hole: &Mask,
    bad: &Mask,
    (filled, matches): (&Fours, &Plane<Match>),
    monitor: &Monitor,
) -> Result<Colour, Stopped> {
    let (width, height) = (image.width, image.height);
    let start = choose(&fours(image), &resize_linear(filled, width, height), hole);
    let mut level = Level::of(start, hole.clone(), bad);
    if level.places.is_empty() {
        return Ok(threes(&level.image));
    }
    monitor.check()?;
    let large = measure(&level, &enlarge(matches, width, height), 7);
    monitor.check()?;
    let mended = Plane::from_fn(width, height, |x, y| {
        let mut best = large.at(x, y);
        if !level.touched.at(x, y) {
            return NONE;
        }
        for (dx, dy) in [(-1i32, 0), (0, -1), (1, 0), (0, 1), (-3, 0), (0, -3)] {
            let (nx, ny) = (x as i32 + dx, y as i32 + dy);
            if nx < 0
                || ny < 0
                || nx >= width as i32
                || ny >= height as i32
                || !level.touched.at(nx as usize, ny as usize)
            {
                continue;
            }
            let other = large.at(nx as usize, ny as usize);
            let (u, v) = (other.x - dx, other.y - dy);
            if (u, v) != (best.x, best.y) && usable(&level, u, v) {
                let cost = difference(&level.image, x, y, u as usize, v as usize, best.cost);
                if cost < best.cost {
                    best = Match { x: u, y: v, cost };
                }
            }
        }
        best
    });
    monitor.check()?;
    let trust = distance_to(&hole.not()).map(|d| exp(-0.0488 * d).max(1e-3));
    vote(&mut level, &mended, &trust, 1, 0.5);
    Ok(level.image.map(|[r, g, b, _]| [r, g, b].map(|v| v.clamp(0.0, 1.0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::distance_squared;
    use crate::monitor::monitor;

    #[test]
    fn stripes_run_on_through_a_hole() {
        let truth = Plane::from_fn(160, 120, |x, _| if (x / 8) % 2 == 0 { [0.9, 0.8, 0.2] } else { [0.1, 0.2, 0.5] });
        let hole = Plane::from_fn(160, 120, |x, y| (60..100).contains(&x) && (40..80).contains(&y));
        let image = choose(&truth, &truth.map(|_| [0.5; 3]), &hole);
        let (monitor, _reporter) = monitor();
        let filled = fill(&image, &hole, &hole, &monitor).expect("nobody stops it");
        let wrong = filled.data.iter().zip(&truth.data).filter(|(a, b)| distance_squared(**a, **b) > 0.05).count();
        assert!(wrong < 200, "{wrong} of 1600 pixels differ");
    }
}
