//! Filling flat art: the colours around a hole form a small palette, so the
//! hole gets a label of the palette per pixel, not a blend of colours.

use crate::colour::{distance_squared, oklab, to_bytes};
use crate::fill::membrane::membrane;
use crate::filter::gaussian;
use crate::kmeans::{closest, kmeans};
use crate::morphology::{dilate, erode};
use crate::plane::{Colour, Mask, Plane};

const MOST_COLOURS: usize = 6;
/// Oklab distance within which a pixel belongs to a palette colour.
const SAME: f32 = 0.05;
/// Oklab distance within which most pixels of flat art lie.
const TIGHT: f32 = 0.025;

/// What the filling needs to know of the hole.
pub(crate) struct Hole<'a> {
    pub image: &'a Colour,
    pub hole: &'a Mask,
    /// Pixels that may be diffused into the hole.
    pub known: &'a Mask,
    /// Pixels of the hole that show the background wherever they have a colour of the palette.
    pub around: &'a Mask,
}

/// The colours under `ring`, in Oklab; `None` where a few do not explain it.
pub(crate) fn find(image: &Colour, ring: &Mask) -> Option<Vec<[f32; 3]>> {
    let ring: Vec<[f32; 3]> = pick(image, ring);
    if ring.len() < 60 {
        return None;
    }
    let step = (ring.len() / 5000).max(1);
    let samples: Vec<[f32; 3]> = ring.iter().step_by(step).map(|&colour| oklab(to_bytes(colour))).collect();
    let mut palette: Vec<[f32; 3]> = Vec::new();
    for centre in kmeans(&samples, MOST_COLOURS, 15, 1) {
        if palette.iter().all(|&other| distance_squared(centre, other) > 0.06 * 0.06) {
            palette.push(centre);
        }
    }
    let explained = samples.iter().filter(|&&s| closest(&palette, s).1 < SAME * SAME).count();
    // A gradient is also "explained" by a few colours, but lies between them.
    let tight = samples.iter().filter(|&&s| closest(&palette, s).1 < TIGHT * TIGHT).count();
    if (tight as f32) < 0.7 * samples.len() as f32 {
        return None;
    }
    if palette.len() < 2 || (explained as f32) < 0.82 * samples.len() as f32 {
        return None;
    }
    Some(palette)
}

fn pick(image: &Colour, mask: &Mask) -> Vec<[f32; 3]> {
    image.data.iter().zip(&mask.data).filter(|(_, m)| **m).map(|(c, _)| *c).collect()
}

/// Fills the hole with colours of `palette` as they lie around it.
pub(crate) fn fill(hole: &Hole, palette: &[[f32; 3]]) -> Colour {
    let trusted = hole.known.zip(hole.around, |known, around| match (known, around) {
        (true, _) => SAME,
        (_, true) => TIGHT,
        _ => 0.0,
    });
    let labelled = hole.image.zip(&trusted, |colour, limit| {
        if limit <= 0.0 {
            return (0, false);
        }
        let (label, distance) = closest(palette, oklab(to_bytes(colour)));
        (label, distance < limit * limit)
    });
    let good = labelled.map(|(_, good)| good);
    let indicators = labelled.map(|(label, _)| {
        let mut one = [0.0f32; MOST_COLOURS];
        one[label] = 1.0;
        one
    });
    let spread = gaussian(&membrane(&indicators, &good, 12), 2.0);
    let chosen = spread.map(|weights| {
        let mut best = 0;
        for (label, &weight) in weights.iter().enumerate() {
            if weight > weights[best] {
                best = label;
            }
        }
        best
    });
    let mut out = hole.image.clone();
    for label in 0..palette.len() {
        let target = hole.hole.zip(&chosen, |inside, l| inside && l == label);
        let source = labelled.map(|(l, good)| good && l == label);
        if target.any() && source.count() >= 20 {
            let filled = membrane(hole.image, &source, 4);
            out = out.with(&filled, &target);
        }
    }
    soften_seams(&out, hole.hole, &chosen, palette.len())
}

/// Blurs the borders between labels a little, as drawn edges are anti-aliased.
fn soften_seams(image: &Colour, hole: &Mask, chosen: &Plane<usize>, labels: usize) -> Colour {
    let mut seam = hole.same_size(false);
    for label in 0..labels {
        let here = chosen.map(|l| l == label);
        seam = seam.or(&dilate(&here, 1).minus(&erode(&here, 1)));
    }
    image.with(&gaussian(image, 0.8), &seam.and(hole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_flat_halves_stay_two_flat_halves() {
        let truth = Plane::from_fn(90, 60, |x, _| if x < 45 { [0.8, 0.1, 0.1] } else { [0.1, 0.1, 0.7] });
        let hole = Plane::from_fn(90, 60, |x, y| (30..60).contains(&x) && (20..40).contains(&y));
        let ring = dilate(&hole, 8).minus(&hole);
        let image = truth.zip(&hole, |c, inside| if inside { [1.0; 3] } else { c });
        let known = hole.not();
        let around = hole.map(|_| false);
        let palette = find(&image, &ring).expect("two colours explain the ring");
        let filled = fill(&Hole { image: &image, hole: &hole, known: &known, around: &around }, &palette);
        let wrong = filled.data.iter().zip(&truth.data).filter(|(a, b)| distance_squared(**a, **b) > 0.01).count();
        assert!(wrong < 150, "{wrong} pixels differ");
    }
}
