//! Filling flat art: the colours around a hole form a small palette, so the
//! hole gets a label of the palette per pixel, not a blend of colours.

use crate::colour::{distance_squared, oklab, to_bytes};
use crate::fill::membrane::membrane;
use crate::fill::rays;
use crate::filter::gaussian;
use crate::kmeans::{closest, kmeans};
use crate::morphology::{dilate, erode};
use crate::plane::{Colour, Mask, Plane};

const MOST_COLOURS: usize = 6;
/// Oklab distance within which a pixel belongs to a palette colour.
const SAME: f32 = 0.05;
/// Oklab distance within which most pixels of flat art lie.
const TIGHT: f32 = 0.025;
/// Oklab distance of two colours of a palette, and the share of pixels that lie tightly around them, at least.
const APART: f32 = 0.06;
const TIGHTLY: f32 = 0.7;
/// The same for pale rays and stripes, which hardly differ; a gradient is not that tight.
const FAINTLY_APART: f32 = 0.025;
const FAINTLY_TIGHT: f32 = 0.009;
const MOST_TIGHTLY: f32 = 0.85;

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
    let centres = kmeans(&samples, MOST_COLOURS, 15, 1);
    let with = |apart: f32, tight: f32, least: f32| {
        let mut palette: Vec<[f32; 3]> = Vec::new();
        for &centre in &centres {
            if palette.iter().all(|&other| distance_squared(centre, other) > apart * apart) {
                palette.push(centre);
            }
        }
        let share = |limit: f32| {
            let near = samples.iter().filter(|&&s| closest(&palette, s).1 < limit * limit).count();
            near as f32 / samples.len() as f32
        };
        // A gradient is also "explained" by a few colours, but lies between them.
        let explains = palette.len() > 1 && share(tight) >= least && share(SAME) >= 0.82;
        explains.then_some(palette)
    };
    with(APART, TIGHT, TIGHTLY).or_else(|| with(FAINTLY_APART, FAINTLY_TIGHT, MOST_TIGHTLY))
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
    // What is seen stays; what is hidden is as its ray or stripe, where there are any.
    let rays = rays::labels(&labelled.map(|(label, _)| label), &good);
    let chosen = match rays {
        None => chosen,
        Some(rays) => Plane::from_fn(chosen.width, chosen.height, |x, y| {
            let ray = rays.at(x, y).filter(|_| !good.at(x, y));
            ray.unwrap_or(chosen.at(x, y))
        }),
    };
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
