//! The start of a completion at the smallest size: patches are copied in from the rim of the hole, strong edges that
//! run into it first (Criminisi, Pérez, Toyama 2004). A smooth start would let the search collapse to mush.

use rayon::prelude::*;

use super::level::{Level, RADIUS};
use super::search::{Match, NONE, WHOLE, squares};
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Gray, Mask, Plane};

/// Priority of a pixel of the rim without any edge.
const PLAIN: f32 = 0.04;
/// What a source as far away as the picture is long costs, as the mean squared difference of a pixel: twice as much
/// upwards and downwards, where photographs change more.
const FAR: f32 = 2e-3;
/// Sources that one thread looks at in one go.
const CHUNK: usize = 2048;

/// What is known so far.
struct Progress {
    known: Mask,
    /// How much is known around a pixel, 0 to 1: falls towards the middle of the hole.
    confidence: Gray,
}

/// Fills the hole of `level`; returns where each of its pixels came from.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(super) fn start(level: &mut Level, monitor: &Monitor) -> Result<Plane<Match>, Stopped> {
    let width = level.image.width;
    let mut matches = level.hole.same_size(NONE);
    let known = level.hole.not();
    let mut progress = Progress { confidence: known.map(|k| if k { 1.0 } else { 0.0 }), known };
    let places: Vec<(usize, usize)> = level.places.iter().map(|&i| (i as usize % width, i as usize / width)).collect();
    let mut left: Vec<(usize, usize)> =
        (0..level.hole.data.len()).filter(|&i| level.hole.data[i]).map(|i| (i % width, i / width)).collect();
    while !left.is_empty() {
        monitor.check()?;
        let rim = left.par_iter().filter(|&&(x, y)| on_rim(&progress.known, x, y));
        let ranked = rim.map(|&at| (priority(level, &progress, at), at));
        // Of equals the first, whatever the order of the threads.
        let next = ranked.reduce_with(|a, b| if (b.0, a.1.1, a.1.0) > (a.0, b.1.1, b.1.0) { b } else { a });
        let Some((_, (x, y))) = next else { break };
        let found = best_of_all(level, &progress.known, &places, x, y);
        copy(level, &mut progress, &mut matches, (x, y), found);
        left.retain(|&(x, y)| !progress.known.at(x, y));
    }
    Ok(matches)
}

/// Takes the unknown pixels of the patch around a pixel from the patch found.
fn copy(level: &mut Level, progress: &mut Progress, matches: &mut Plane<Match>, (x, y): (usize, usize), found: Match) {
    let confidence = mean_confidence(progress, (x, y));
    for (u, v) in window(level, (x, y)) {
        if progress.known.at(u, v) {
            continue;
        }
        let (sx, sy) = (found.x + u as i32 - x as i32, found.y + v as i32 - y as i32);
        level.image.set(u, v, level.image.at(sx as usize, sy as usize));
        matches.set(u, v, if level.usable(sx, sy) { Match { x: sx, y: sy, cost: found.cost } } else { found });
        progress.confidence.set(u, v, confidence);
    }
    for (u, v) in window(level, (x, y)) {
        progress.known.set(u, v, true);
    }
}

/// The pixels of the patch around one, row by row.
fn window(level: &Level, (x, y): (usize, usize)) -> impl Iterator<Item = (usize, usize)> + use<> {
    let columns = x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(level.hole.width);
    let rows = y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(level.hole.height);
    rows.flat_map(move |v| columns.clone().map(move |u| (u, v)))
}

fn on_rim(known: &Mask, x: usize, y: usize) -> bool {
    (x > 0 && known.at(x - 1, y))
        || (y > 0 && known.at(x, y - 1))
        || (x + 1 < known.width && known.at(x + 1, y))
        || (y + 1 < known.height && known.at(x, y + 1))
}

fn mean_confidence(progress: &Progress, (x, y): (usize, usize)) -> f32 {
    let (width, height) = (progress.known.width, progress.known.height);
    let (mut sum, mut count) = (0.0f32, 0.0f32);
    for v in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(height) {
        for u in x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(width) {
            sum += progress.confidence.at(u, v);
            count += 1.0;
        }
    }
    sum / count
}

/// How much is known around a pixel of the rim, times how strongly an edge runs into the hole there.
fn priority(level: &Level, progress: &Progress, at: (usize, usize)) -> f32 {
    let known = &progress.known;
    let light = |x: usize, y: usize| {
        let [r, g, b, _] = level.image.at(x, y).map(f32::from);
        (2.0 * r + 5.0 * g + b) / (8.0 * 255.0)
    };
    let (mut inward, mut edge, mut strongest) = ([0.0f32; 2], [0.0f32; 2], 0.0f32);
    for (u, v) in window(level, at) {
        if !known.at(u, v) {
            continue;
        }
        inward[0] += u as f32 - at.0 as f32;
        inward[1] += v as f32 - at.1 as f32;
        if u + 1 < known.width && v + 1 < known.height && known.at(u + 1, v) && known.at(u, v + 1) {
            let here = light(u, v);
            let slope = [light(u + 1, v) - here, light(u, v + 1) - here];
            let square = slope[0] * slope[0] + slope[1] * slope[1];
            if square > strongest {
                strongest = square;
                edge = [-slope[1], slope[0]];
            }
        }
    }
    let length = (inward[0] * inward[0] + inward[1] * inward[1]).sqrt().max(1e-3);
    let across = (edge[0] * inward[0] + edge[1] * inward[1]).abs() / length;
    mean_confidence(progress, at) * (PLAIN + across)
}

fn best_of_all(level: &Level, known: &Mask, places: &[(usize, usize)], x: usize, y: usize) -> Match {
    let (width, height) = (level.image.width, level.image.height);
    // Where the known pixels of the patch lie from its middle, and their colours.
    let patch: Vec<(i32, [u8; 4])> = window(level, (x, y))
        .filter(|&(u, v)| known.at(u, v))
        .map(|(u, v)| ((v as i32 - y as i32) * width as i32 + u as i32 - x as i32, level.image.at(u, v)))
        .collect();
    let count = patch.len().max(1) as f32 * WHOLE;
    let nearest_of = |places: &[(usize, usize)]| {
        let (mut best, mut least) = ((0, 0), u32::MAX);
        for &(u, v) in places {
            let away = 2.0 * v.abs_diff(y) as f32 + u.abs_diff(x) as f32;
            let mut sum = (FAR * away / width.max(height) as f32 * count) as u32;
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
                (best, least) = ((u, v), sum);
            }
        }
        (least, best)
    };
    let chunks: Vec<(u32, (usize, usize))> = places.par_chunks(CHUNK).map(nearest_of).collect();
    let best = chunks.into_iter().reduce(|a, b| if b.0 < a.0 { b } else { a });
    best.map_or(NONE, |(sum, (u, v))| Match { x: u as i32, y: v as i32, cost: sum as f32 / count })
}
