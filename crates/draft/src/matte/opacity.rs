//! The matte of a shape and its surroundings.

use super::Extraction;
use crate::colour::max_difference;
use crate::fill::inpaint::rounded;
use crate::filter::gaussian_at;
use crate::morphology::{NOWHERE, distance_to, erode, nearest, open};
use crate::plane::{Colour, Gray, Mask, Plane};

/// Difference (0 to 1) from the background from which a pixel around a shape is in its shadow.
const FAINT: f32 = 5.0 / 255.0;
/// Opacity from which what differs from the background around a shape is no shadow, unless it differs by less than this
/// (0 to 1),
const MOST_SHADOW: f32 = 0.7;
const DIM: f32 = 56.0 / 255.0;
/// Typical share of shadow or glow from which any opacity is one: bright glows over dark colours are nearly opaque.
const GLOWING: f32 = 0.15;
/// Difference (0 to 1) from any mixture of shape, shadow and background from which a pixel shows another thing,
const OTHER: f32 = 14.0 / 255.0;
/// where the shape has less than this share of it.
const LITTLE_SHAPE: f32 = 0.3;
/// Opacity under which a pixel is background rather than shape where only much more would give its colour, and the
/// difference (0 to 1) from the background up to which it is.
const FAINT_ALPHA: f32 = 0.25;
const ALMOST_BACKGROUND: f32 = 48.0 / 255.0;

/// Pixels that are surely opaque: the shape without its edge band, and the
/// ridges of strokes that are thinner than the band.
pub(super) fn core(mask: &Mask, band: usize) -> Mask {
    let inner = erode(mask, band);
    let depth = distance_to(&mask.not());
    let ridge = Plane::from_fn(mask.width, mask.height, |x, y| {
        let here = depth.at(x, y);
        if !mask.at(x, y) || here >= band as f32 + 1.01 {
            return false;
        }
        (y.saturating_sub(2)..(y + 3).min(mask.height))
            .all(|v| (x.saturating_sub(2)..(x + 3).min(mask.width)).all(|u| depth.at(u, v) <= here + 0.01))
    });
    inner.or(&ridge)
}

/// Opacity from the colours: where `image` lies between what is behind and the
/// colour of the nearest core pixel, trusted as far as the two differ. Where the shape
/// has a shadow (or a glow), its share `shade` is solved along with that of the shape.
/// Beside it, where there is little of the shape and no such mixture gives the pixel: it may be of another thing.
pub(super) fn unmix(
    image: &Colour,
    below: &Colour,
    mask: &Mask,
    core: &Mask,
    support: &Mask,
    shade: &(dyn Fn(usize, usize) -> Option<[f32; 3]> + Sync),
) -> (Gray, Mask) {
    let sources = nearest(core);
    let spread = |x: usize, y: usize| match sources.at(x, y) {
        NOWHERE => image.at(x, y),
        source => image.data[source as usize],
    };
    let wanted = support.minus(core);
    let front = gaussian_at(spread, 1.5, &wanted);
    let soft = gaussian_at(|x, y| [if mask.at(x, y) { 1.0 } else { 0.0 }], 1.0, &wanted);
    let found = Plane::from_fn(mask.width, mask.height, |x, y| {
        if core.at(x, y) {
            return (1.0, false);
        }
        if !support.at(x, y) {
            return (0.0, false);
        }
        let (i, b, f) = (image.at(x, y), below.at(x, y), front.at(x, y));
        let toward_front: [f32; 3] = std::array::from_fn(|c| f[c] - b[c]);
        let change: [f32; 3] = std::array::from_fn(|c| i[c] - b[c]);
        let square = dot(toward_front, toward_front);
        let shade = shade(x, y);
        let (share, shadow) = match shade {
            Some(shade) => {
                let toward_shade: [f32; 3] = std::array::from_fn(|c| shade[c] - b[c]);
                shares(change, toward_front, toward_shade)
            }
            None => (dot(change, toward_front) / square.max(1e-6), 0.0),
        };
        let trust = square / (square + 0.02);
        let alpha = (trust * share + (1.0 - trust) * soft.at(x, y)[0] + shadow).clamp(0.0, 1.0);
        let shade = shade.unwrap_or(b);
        let mixed = std::array::from_fn(|c| b[c] + share * toward_front[c] + shadow * (shade[c] - b[c]));
        (alpha, share + shadow < LITTLE_SHAPE && max_difference(i, mixed) > OTHER)
    });
    (found.map(|(alpha, _)| alpha), found.map(|(_, strange)| strange))
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Shares, neither negative, of two directions whose mixture is closest to `change`.
fn shares(change: [f32; 3], first: [f32; 3], second: [f32; 3]) -> (f32, f32) {
    let (aa, ab, bb) = (dot(first, first), dot(first, second), dot(second, second));
    let (ca, cb) = (dot(change, first), dot(change, second));
    let alone = (ca / aa.max(1e-6)).max(0.0);
    let determinant = aa * bb - ab * ab;
    // Directions too much alike cannot be told apart.
    if determinant < 0.02 * aa * bb {
        return (alone, 0.0);
    }
    let (a, b) = ((ca * bb - cb * ab) / determinant, (cb * aa - ca * ab) / determinant);
    if b <= 0.0 {
        (alone, 0.0)
    } else if a <= 0.0 {
        (0.0, (cb / bb.max(1e-6)).max(0.0))
    } else {
        (a, b)
    }
}

pub(super) struct Zones<'a> {
    /// The shape and its halo.
    pub near: Mask,
    /// Where the shape may have any opacity.
    pub support: Mask,
    pub solid: Mask,
    /// Outlines and hard shadows.
    pub edging: Option<&'a Mask>,
    /// Opacity of the shadow on textured background, outside `support`.
    pub typical: Gray,
    /// Share of the shadow or glow that is typical of the place, anywhere.
    pub shaded: &'a Gray,
    /// What does not belong to the shape.
    pub foreign: Mask,
}

/// Whether a pixel is darker than what is behind it.
fn is_darker(image: [f32; 3], below: [f32; 3]) -> bool {
    image.iter().sum::<f32>() < below.iter().sum::<f32>()
}

/// The least opacity with which some colour over `below` gives `image`.
fn least_alpha(image: [f32; 3], below: [f32; 3]) -> f32 {
    (0..3).fold(0.0f32, |least, c| {
        let change = image[c] - below[c];
        let room = if change > 0.0 { 1.0 - below[c] } else { below[c] };
        least.max(change.abs() / room.max(1e-4))
    })
}

/// Settles residues: shadows outside the halo stay as low opacity, and where the
/// inpainted background nearly explains the picture, the picture is used.
pub(super) fn settle(image: &Colour, below: Colour, alpha: Gray, zones: &Zones) -> Extraction {
    // Shadows are broad; lines of a pixel are what other layers have left of their edges.
    let differs = image.zip(&below, |i, b| max_difference(i, b) > FAINT);
    let shadow_like = open(&differs.and(&zones.support.minus(&zones.near)), 1);
    let solved = Plane::from_fn(image.width, image.height, |x, y| {
        let (i, mut b, mut a) = (image.at(x, y), below.at(x, y), alpha.at(x, y));
        let (near, support) = (zones.near.at(x, y), zones.support.at(x, y));
        if zones.foreign.at(x, y) {
            return (i, 0.0);
        }
        let shadow = zones.typical.at(x, y);
        if !support && shadow > 0.0 {
            return (b, shadow.max(least_alpha(i, b)));
        }
        let residue = max_difference(i, b);
        if support && !near {
            let least = least_alpha(i, b);
            // Over dark colours the faintest shadow is nearly opaque.
            let is_shadow = shadow_like.at(x, y)
                && (least < MOST_SHADOW || residue < DIM && is_darker(i, b) || zones.shaded.at(x, y) > GLOWING);
            a = if is_shadow { least } else { 0.0 };
        }
        // A faint hard shadow is no more opaque than a soft one.
        if residue < DIM && zones.edging.is_some_and(|edging| edging.at(x, y)) {
            a = least_alpha(i, b);
        }
        if residue < 1.5 / 255.0 && !zones.solid.at(x, y) {
            a = 0.0;
        }
        // Compression takes a channel of the background to its end, which only an opaque dot of the background's colour gives.
        if near && a < FAINT_ALPHA && residue < ALMOST_BACKGROUND && least_alpha(i, b) > a + 0.4 {
            return (i, 0.0);
        }
        if a > 0.0 && a < 0.98 {
            let nudged: [f32; 3] = std::array::from_fn(|c| {
                let (low, high) = ((i[c] - a) / (1.0 - a), i[c] / (1.0 - a));
                b[c].max(low).min(high).clamp(0.0, 1.0)
            });
            if max_difference(nudged, b) < 14.0 / 255.0 {
                b = nudged;
            }
        }
        if a <= 0.0 && (!support || !near || residue < 14.0 / 255.0) {
            b = i;
        }
        (b, a)
    });
    Extraction { below: rounded(&solved.map(|(b, _)| b)), alpha: solved.map(|(_, a)| a) }
}
