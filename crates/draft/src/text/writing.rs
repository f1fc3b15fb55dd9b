//! Whether shapes in a line are writing, for scripts that the recogniser cannot read:
//! strokes are thin against the line and even, the shapes are not all alike, and a cut
//! along the line crosses many strokes.

use crate::morphology::{components, distance_to};
use crate::numeric::quantile;
use crate::plane::{Gray, Mask};

/// Width of the strokes as a share of the line's height, at most: disks and stars are wider.
const WIDEST_STROKE: f32 = 0.34;
/// Spread of the stroke width around its mean, at most.
const MOST_UNEVEN: f32 = 0.55;
/// Share of difference in width, height or area under which two shapes are alike.
const ALIKE: f32 = 0.12;
/// Strokes that a cut along the line crosses, for each height of the line, at least.
const FEWEST_CROSSINGS: f32 = 0.9;

/// Whether `mask`, the shapes found in one line, looks written.
pub(super) fn looks_written(mask: &Mask) -> bool {
    let Some(bounds) = mask.bounds() else { return false };
    let mask = mask.crop(bounds.padded(1, mask.width, mask.height));
    let across = bounds.width().min(bounds.height()) as f32;
    let depth = distance_to(&mask.not());
    let mut strokes = middles(&mask, &depth);
    if strokes.len() < 12 || across < 6.0 {
        return false;
    }
    let count = strokes.len() as f32;
    let mean = strokes.iter().sum::<f32>() / count;
    let spread = (strokes.iter().map(|s| (s - mean).powi(2)).sum::<f32>() / count).sqrt() / mean;
    let typical = 2.0 * quantile(&mut strokes, 0.5) / across;
    typical < WIDEST_STROKE && spread < MOST_UNEVEN && crossings(&mask) > FEWEST_CROSSINGS && varied(&mask)
}

/// Half widths of the strokes along their middle lines.
fn middles(mask: &Mask, depth: &Gray) -> Vec<f32> {
    let mut found = Vec::new();
    for y in 1..mask.height.saturating_sub(1) {
        for x in 1..mask.width.saturating_sub(1) {
            let here = depth.at(x, y);
            let ridge = mask.at(x, y)
                && here.is_finite()
                && (y - 1..y + 2).all(|v| (x - 1..x + 2).all(|u| depth.at(u, v) <= here + 0.01));
            if ridge {
                found.push(here);
            }
        }
    }
    found
}

/// Strokes that a cut along the line crosses on average, for each height of the line; cuts
/// near the upper and the lower edge do not count.
fn crossings(mask: &Mask) -> f32 {
    let upright = mask.height > mask.width;
    let (along, across) = if upright { (mask.height, mask.width) } else { (mask.width, mask.height) };
    let at = |a: usize, c: usize| if upright { mask.at(c, a) } else { mask.at(a, c) };
    let cuts = across / 5..across - across / 5;
    let total: usize = cuts.clone().map(|c| (1..along).filter(|&a| at(a, c) && !at(a - 1, c)).count()).sum();
    let heights = along as f32 / across as f32;
    total as f32 / cuts.len().max(1) as f32 / heights
}

/// Whether the larger shapes differ: disks, windows and petals in a row are all alike.
fn varied(mask: &Mask) -> bool {
    let parts = components(mask);
    let largest = parts.areas[1..].iter().copied().max().unwrap_or(0);
    let large: Vec<[f32; 3]> = (1..=parts.len())
        .filter(|&k| parts.areas[k] * 6 > largest)
        .map(|k| [parts.boxes[k].width() as f32, parts.boxes[k].height() as f32, parts.areas[k] as f32])
        .collect();
    if large.len() < 2 {
        return true;
    }
    (0..3).any(|value| {
        let mut values: Vec<f32> = large.iter().map(|shape| shape[value]).collect();
        let middle = quantile(&mut values, 0.5);
        let alike = values.iter().filter(|v| (*v - middle).abs() <= ALIKE * middle).count();
        (alike as f32) < 0.8 * values.len() as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    /// Strokes as in Hangul: each block has an upright, a bar, and another one with a ring.
    #[test]
    fn blocks_of_strokes_are_writing_and_rows_of_disks_or_windows_are_not() {
        let blocks = Plane::from_fn(260, 60, |x, y| {
            let (block, u) = (x / 52, x % 52);
            let upright = (38..44).contains(&u) && (6..52).contains(&y);
            let bar = (8..30).contains(&u) && (8..14).contains(&y) && block % 2 == 0;
            let down = (8..14).contains(&u) && (8..(30 + 4 * block)).contains(&y);
            let ring = {
                let d = (u as f32 - 20.0).hypot(y as f32 - 40.0);
                (6.0..12.0).contains(&d) && block % 3 == 1
            };
            upright || bar || down || ring
        });
        assert!(looks_written(&blocks));
        let disks = Plane::from_fn(260, 60, |x, y| ((x % 52) as f32 - 26.0).hypot(y as f32 - 30.0) < 22.0);
        assert!(!looks_written(&disks));
        let rings =
            Plane::from_fn(260, 60, |x, y| (16.0..22.0).contains(&((x % 52) as f32 - 26.0).hypot(y as f32 - 30.0)));
        assert!(!looks_written(&rings));
        let windows = Plane::from_fn(260, 60, |x, y| (10..18).contains(&(x % 26)) && (10..50).contains(&y));
        assert!(!looks_written(&windows));
        assert!(!looks_written(&Plane::new(100, 20, false)));
    }
}
