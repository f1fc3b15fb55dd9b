//! Completion of textured background by similar patches from elsewhere (PatchMatch,
//! Barnes et al. 2009; voting after Wexler et al. 2007), coarse to fine.
//!
//! The search runs in rounds that read the round before, so that all pixels of a
//! round go in parallel and the result does not depend on the number of threads.

mod level;
mod search;
mod start;

use crate::fill::membrane::membrane;
use crate::fill::seam::seamless;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{dilate, distance_to};
use crate::numeric::{exp, quantile};
use crate::plane::{Colour, Gray, Mask, Plane};
use level::{Bytes, Known, Level, RADIUS, detail, square, to_four_bytes};
use search::{Match, enlarge, measure, search};
use start::start;

/// Pixels whose patch touches the hole at the size at which the search ends, at most; the rest is copied along its
/// result.
const MOST_PIXELS: f32 = 48_000.0;
/// Long side at which the exhaustive start runs, at least.
const START_SIDE: f32 = 96.0;
/// Half the thickness of the hole there, at least.
const START_DEPTH: f32 = 2.0;
/// Width of the rim of the hole, in pixels, whose colours are compared with those of the patches.
const RIM: usize = 2;

/// From where pixels take over matches in the search.
const AROUND: [(i32, i32); 12] =
    [(-1, 0), (1, 0), (0, -1), (0, 1), (-2, 0), (2, 0), (0, -2), (0, 2), (-5, 0), (5, 0), (0, -5), (0, 5)];
/// The same at full size, where blocks of pixels have the match of one.
const BESIDE: [(i32, i32); 6] = [(-1, 0), (0, -1), (1, 0), (0, 1), (-3, 0), (0, -3)];

/// Fills `hole`; never takes a patch that touches `forbidden`.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn fill(image: &Colour, hole: &Mask, forbidden: &Mask, monitor: &Monitor) -> Result<Colour, Stopped> {
    let bad = hole.or(forbidden);
    let detail = detail(image, &bad);
    let (width, height) = (hole.width, hole.height);
    let long = width.max(height) as f32;
    let depth = distance_to(&hole.not()).data.into_iter().fold(0.0, f32::max);
    let mut scale = (MOST_PIXELS / square(hole).count().max(1) as f32).sqrt().min(1.0);
    let least = (START_DEPTH / depth.max(1.0)).max(START_SIDE / long);
    let side = |length: usize, scale: f32| ((length as f32 * scale).round() as usize).max(1);
    let mut sizes = vec![Known::new((image, &detail), hole, &bad, (side(width, scale), side(height, scale)))];
    while scale * 0.7 > least {
        scale *= 0.5;
        monitor.check()?;
        let next = sizes[sizes.len() - 1].shrunk(side(width, scale), side(height, scale));
        sizes.push(next);
    }
    let mut found: Option<(Bytes, Plane<Match>)> = None;
    for (index, known) in sizes.iter().rev().enumerate() {
        monitor.check()?;
        let level = known.level();
        if level.places.len() < 50 {
            continue;
        }
        found = Some(refine(level, found, index, monitor)?);
    }
    // Where there is next to nothing to copy from.
    let Some((filled, matches)) = found else { return Ok(image.with(&membrane(image, &bad.not(), 4), hole)) };
    monitor.check()?;
    finish((image, &detail), hole, &bad, (&filled, &matches), monitor)
}

fn threes(image: &Bytes) -> Colour {
    image.map(|[r, g, b, _]| crate::colour::to_unit([r, g, b]))
}

/// Brings the solution of a coarser level to this one and improves it.
fn refine(
    mut level: Level,
    coarser: Option<(Bytes, Plane<Match>)>,
    index: usize,
    monitor: &Monitor,
) -> Result<(Bytes, Plane<Match>), Stopped> {
    let mut matches = match coarser {
        None => start(&mut level, monitor)?,
        Some((image, matches)) => {
            level.start_from(&image);
            enlarge(&matches, level.image.width, level.image.height)
        }
    };
    let depth = distance_to(&level.hole.not());
    let trust = depth.map(|d| exp(-0.262 * d));
    let (rounds, passes) = [(4, 2), (3, 1), (2, 1), (2, 1)][index.min(3)];
    for round in 0..rounds as u64 {
        monitor.check()?;
        matches = measure(&level, &matches);
        for pass in 0..passes {
            matches = search(&level, &matches, &AROUND, Some((index as u64) * 100 + round * 10 + pass));
        }
        level.image = vote(&level, &level.hole, &matches, Some(&trust), RADIUS, 0.75);
    }
    Ok((level.image, matches))
}

/// Each `wanted` pixel becomes the weighted mean of what the patches over it say.
fn vote(
    level: &Level,
    wanted: &Mask,
    matches: &Plane<Match>,
    trust: Option<&Gray>,
    radius: usize,
    spread: f32,
) -> Bytes {
    let mut costs: Vec<f32> = matches.data.iter().map(|m| m.cost).filter(|c| c.is_finite()).collect();
    let spread = quantile(&mut costs, spread).max(1e-5);
    let (width, height) = (level.image.width, level.image.height);
    let weight = |m: Match| if m.cost.is_finite() { exp(-m.cost / (2.0 * spread)) } else { 0.0 };
    let weights = match trust {
        Some(trust) => matches.zip(trust, |m, trust| if m.cost.is_finite() { weight(m) * trust + 1e-6 } else { 0.0 }),
        None => matches.map(|m| if m.cost.is_finite() { weight(m) + 1e-6 } else { 0.0 }),
    };
    let old = &level.image;
    Plane::from_fn(width, height, |x, y| {
        if !wanted.at(x, y) {
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
                    sum[c] += w * f32::from(colour[c]);
                }
            }
        }
        if weight > 0.0 { sum.map(|s| (s / weight + 0.5) as u8) } else { old.at(x, y) }
    })
}

/// Full size: matches are carried over, mended along their neighbours, and voted with small patches, which keeps the
/// grain of the picture. What the patches say of the rim of the hole tells how far off their colours are.
fn finish(
    (image, detail): (&Colour, &Gray),
    hole: &Mask,
    bad: &Mask,
    (filled, matches): (&Bytes, &Plane<Match>),
    monitor: &Monitor,
) -> Result<Colour, Stopped> {
    let (width, height) = (image.width, image.height);
    let mut level = Level::of(image.zip(detail, to_four_bytes), hole.clone(), bad);
    level.start_from(filled);
    if level.places.is_empty() {
        return Ok(image.with(&threes(&level.image), hole));
    }
    monitor.check()?;
    let large = measure(&level, &enlarge(matches, width, height));
    monitor.check()?;
    let mended = search(&level, &large, &BESIDE, None);
    monitor.check()?;
    let around = dilate(hole, RIM);
    let rim = around.minus(hole);
    let voted = threes(&vote(&level, &around, &mended, None, 1, 0.5));
    monitor.check()?;
    Ok(image.with(&seamless(&voted, image, &rim, &around), hole))
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
        let image = truth.with(&truth.map(|_| [0.5; 3]), &hole);
        let (monitor, _reporter) = monitor();
        let filled = fill(&image, &hole, &hole, &monitor).expect("nobody stops it");
        let wrong = filled.data.iter().zip(&truth.data).filter(|(a, b)| distance_squared(**a, **b) > 0.05).count();
        assert!(wrong < 200, "{wrong} of 1600 pixels differ");
    }
}
