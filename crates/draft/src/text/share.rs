//! How much of a line's colour there is in each pixel.

use crate::colour::distance_squared;
use crate::fill::membrane::membrane;
use crate::morphology::dilate;
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask};
use crate::text::tidy::{own_colours, sampled};

/// Oklab distance between letters and background under which they cannot be told apart.
const FAINT: f32 = 0.06;
/// Typical distance of letters' pixels from the edge of their strokes, in pixels, from which their inside has no soft edge.
pub(super) const SOLID: f32 = 1.5;
/// Share of an ink in a mixture with the background that is the ink's soft edge,
const SOFT: std::ops::Range<f32> = -0.1..0.9;
/// and the Oklab distance up to which a colour is such a mixture.
const MIXED: f32 = 0.05;

/// The colours of the letters `own` with thin strokes, whose inside is `inner`: mixtures with the background are left out.
pub(super) fn inks(inner: &Mask, lab: &Colour, own: &Mask, others: &Mask) -> Vec<[f32; 3]> {
    let inks = own_colours(inner, lab);
    let around = sampled(lab, &rim(own, others), 2000);
    let behind =
        std::array::from_fn(|c| quantile(&mut around.iter().map(|colour| colour[c]).collect::<Vec<f32>>(), 0.5));
    let is_edge = |ink: [f32; 3]| inks.iter().any(|&other| other != ink && is_mixture(ink, other, behind));
    inks.iter().copied().filter(|&ink| !is_edge(ink)).collect()
}

/// Whether a colour is between that of an ink and that of the background, or is the background's.
fn is_mixture(colour: [f32; 3], ink: [f32; 3], behind: [f32; 3]) -> bool {
    let along: [f32; 3] = std::array::from_fn(|c| ink[c] - behind[c]);
    let square = along.iter().map(|v| v * v).sum::<f32>();
    if square < FAINT * FAINT {
        return false;
    }
    let share = (0..3).map(|c| (colour[c] - behind[c]) * along[c]).sum::<f32>() / square;
    let mixture = std::array::from_fn(|c| behind[c] + share * along[c]);
    SOFT.contains(&share) && distance_squared(colour, mixture) < MIXED * MIXED
}

/// What is right around the letters, beyond their soft edges.
fn rim(own: &Mask, others: &Mask) -> Mask {
    dilate(own, 4).minus(&dilate(&own.or(others), 2))
}

/// How much of the letters' colours there is in each pixel, 0 to 1; `None` where they cannot be told from the background.
pub(super) fn share_of(lab: &Colour, inks: &[[f32; 3]], own: &Mask, others: &Mask) -> Option<Gray> {
    let nearest_ink =
        lab.map(|colour| inks.iter().map(|&ink| distance_squared(ink, colour)).fold(f32::INFINITY, f32::min));
    let near = dilate(&own.or(others), 2);
    let rim = rim(own, others);
    let mut around: Vec<f32> =
        nearest_ink.data.iter().zip(&rim.data).filter(|(_, rim)| **rim).map(|(d, _)| d.sqrt()).collect();
    let contrast = quantile(&mut around, 0.5);
    if contrast < FAINT {
        return None;
    }
    let limit = (0.6 * contrast).powi(2);
    let known = nearest_ink.zip(&near, |d, near| !near && d > limit);
    if !known.any() {
        return None;
    }
    let behind = membrane(lab, &known, 2);
    Some(lab.zip(&behind, |colour, back| {
        let change: [f32; 3] = std::array::from_fn(|c| colour[c] - back[c]);
        let mut best = 0.0f32;
        for ink in inks {
            let toward: [f32; 3] = std::array::from_fn(|c| ink[c] - back[c]);
            let square = toward.iter().map(|v| v * v).sum::<f32>();
            if square < FAINT * FAINT {
                continue;
            }
            let share = (0..3).map(|c| change[c] * toward[c]).sum::<f32>() / square;
            let off = (0..3).map(|c| (change[c] - share * toward[c]).powi(2)).sum::<f32>();
            if off < (0.3f32 * square.sqrt() + 0.02).powi(2) && share < 1.6 {
                best = best.max(share.min(1.0));
            }
        }
        best
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    #[test]
    fn soft_edges_are_no_ink_and_a_second_colour_is() {
        let (white, red, blue) = ([0.99, 0.0, 0.0], [0.6, 0.2, 0.1], [0.4, 0.0, -0.08]);
        let half = std::array::from_fn(|c| (white[c] + blue[c]) / 2.0);
        // Strokes of a pixel between soft edges, the last ones red.
        let lab = Plane::from_fn(200, 40, |x, y| match (x % 10, (10..30).contains(&y) && (20..180).contains(&x)) {
            (4, true) if x > 140 => red,
            (4, true) => white,
            (3 | 5, true) if x <= 140 => half,
            _ => blue,
        });
        let own = lab.map(|colour| colour != blue);
        let found = inks(&own, &lab, &own, &own.same_size(false));
        let has = |wanted: [f32; 3]| found.iter().any(|&ink| distance_squared(ink, wanted) < 0.02 * 0.02);
        assert!(has(white) && has(red) && !has(half), "{found:?}");
    }
}
