//! Lifting a shape off the picture: what lies behind it, how opaque it is.

use crate::colour::max_difference;
use crate::fading::{self, Fading};
use crate::fill::complete::{Hole, complete, rounded};
use crate::fill::membrane::membrane;
use crate::filter::{gaussian, gaussian_gray};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{NOWHERE, components, dilate, distance_to, erode, nearest};
use crate::plane::{Colour, Gray, Mask, Plane, Rect};

/// How far shadows are followed, as a share of the picture's long side.
const FARTHEST: f32 = 0.045;

/// Distance in pixels up to which an edge is that of the shape itself.
const OWN_EDGE: usize = 4;
/// Change of a channel (0 to 1) over two pixels that no shadow has.
const STRONG_EDGE: f32 = 0.25;

/// Difference (0 to 1) from what the shadow makes of the ground from which a pixel shows
/// another thing.
const FOREIGN: f32 = 14.0 / 255.0;

/// Largest step (0 to 1) between the completed ground and the true one that is taken for a seam.
const SEAM: f32 = 40.0 / 255.0;
/// Step that the noise of a compressed picture makes, too: from twice that on, all of it is taken for a seam.
const GRAIN: f32 = 2.0 / 255.0;

/// How a shape is lifted.
#[derive(Clone, Copy)]
pub struct Lift<'a> {
    /// Width of the band at the edge whose opacity is solved, in pixels.
    pub band: usize,
    /// How far around the shape the picture is completed, in pixels.
    pub grow: usize,
    /// Least width of the halo that belongs to the shape, in pixels.
    pub halo: usize,
    /// Pieces that what is behind the shape is not made from.
    pub apart: Option<&'a Mask>,
}

pub struct Lifted {
    pub below: Colour,
    /// Opacity of the shape, 0 to 1.
    pub alpha: Gray,
}

/// Lifts `mask` off `image` (sRGB, 0 to 1).
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub fn lift(image: &Colour, mask: &Mask, lift: Lift, monitor: &Monitor) -> Result<Lifted, Stopped> {
    let reach = ((FARTHEST * mask.width.max(mask.height) as f32) as usize).max(lift.grow + 4);
    let places = nearest(mask);
    let halo = fading::width(image, &places, reach).unwrap_or(lift.grow).max(lift.halo);
    // A shadow that reaches further than usual takes the hole along.
    let grow = lift.grow.max(halo + 3);
    monitor.check()?;
    let hole = reached(image, mask, grow);
    let completed = complete(image, &Hole { mask: &hole, shape: mask, apart: lift.apart }, monitor)?;
    monitor.check()?;
    let fading = Fading::measure(image, &completed.image, &hole, &places, grow);
    drop(places);
    monitor.check()?;
    let mut lifted = Lifted { below: rounded(image), alpha: mask.same_size(0.0) };
    // Most of a poster is far from the shape: only the rows that it is in are worked on.
    for rect in bands(&hole, grow + 8) {
        monitor.check()?;
        let part = Part {
            image: image.crop(rect),
            mask: mask.crop(rect),
            hole: hole.crop(rect),
            filled: completed.image.crop(rect),
            very_smooth: completed.very_smooth.crop(rect),
            shaded: fading.share.crop(rect),
        };
        let found = part.lift(lift.band, halo.clamp(lift.halo, lift.band + 1), fading.shade, monitor)?;
        let all = Plane::new(rect.width(), rect.height(), true);
        lifted.below.paste(rect, &found.below, &all);
        lifted.alpha.paste(rect, &found.alpha, &all);
    }
    Ok(lifted)
}

/// The surroundings of a shape up to `grow` pixels, without what lies behind a strong edge:
/// shadows and glows fade, so what begins there is another thing.
fn reached(image: &Colour, mask: &Mask, grow: usize) -> Mask {
    let (own, around) = (dilate(mask, OWN_EDGE), dilate(mask, grow));
    let (width, height) = (mask.width, mask.height);
    let beyond = around.minus(&own);
    let edges = Plane::from_fn(width, height, |x, y| {
        beyond.at(x, y) && {
            let (left, right) = (image.at(x.saturating_sub(1), y), image.at((x + 1).min(width - 1), y));
            let (up, down) = (image.at(x, y.saturating_sub(1)), image.at(x, (y + 1).min(height - 1)));
            max_difference(left, right).max(max_difference(up, down)) > STRONG_EDGE
        }
    });
    if !edges.any() {
        return around;
    }
    let open = around.minus(&dilate(&edges, 1).minus(&own));
    let parts = components(&open);
    let touching: Vec<bool> = parts.count_in(&own).iter().map(|&count| count > 0).collect();
    parts.select(&touching)
}

/// Rectangles around the rows that a mask is in; rows less than `gap` apart go together.
fn bands(mask: &Mask, gap: usize) -> Vec<Rect> {
    let mut found: Vec<Rect> = Vec::new();
    for y in 0..mask.height {
        let row = mask.row(y);
        let Some(x0) = row.iter().position(|&set| set) else { continue };
        let x1 = row.iter().rposition(|&set| set).map_or(x0, |x| x) + 1;
        let here = Rect { x0, y0: y, x1, y1: y + 1 };
        match found.last_mut() {
            Some(last) if y < last.y1 + gap => *last = last.union(&here),
            _ => found.push(here),
        }
    }
    // Blurs and gradients look a little beyond.
    found.into_iter().map(|rect| rect.padded(gap / 2, mask.width, mask.height)).collect()
}

/// The part of the picture that is worked on.
struct Part {
    image: Colour,
    mask: Mask,
    hole: Mask,
    filled: Colour,
    very_smooth: Mask,
    /// Share of shadow or glow that is typical of the place.
    shaded: Gray,
}

impl Part {
    fn lift(&self, band: usize, halo: usize, shade: Option<[f32; 3]>, monitor: &Monitor) -> Result<Lifted, Stopped> {
        let near = dilate(&self.mask, halo);
        // On textured ground the true pixels come back right outside the halo: as they are, or
        // with the shadow taken off that is typical of the place.
        let textured = self.very_smooth.or(&near).not();
        let typical = self.shaded.zip(&textured, |share, textured| if textured { share } else { 0.0 });
        let lit = self.image.zip(&typical, |pixel, share| unshaded(pixel, share, shade));
        let filled = seamless(&self.filled, &lit, &textured, &self.hole);
        let below = choose(&lit, &filled, &textured);
        let support = self.hole.minus(&textured);
        monitor.check()?;
        let core = core(&self.mask, band);
        monitor.check()?;
        let alpha = unmix(&self.image, &below, &self.mask, &core, &support, shade);
        monitor.check()?;
        let foreign = self.foreign(&below, &support.minus(&near), shade);
        let zones = Zones { near, support, solid: erode(&self.mask, band), typical, foreign };
        monitor.check()?;
        Ok(settle(&self.image, below, alpha, &zones))
    }

    /// What differs from the ground more than the shadow does, and goes on beyond the hole:
    /// other things that happen to be near.
    fn foreign(&self, below: &Colour, support: &Mask, shade: Option<[f32; 3]>) -> Mask {
        let shade = shade.unwrap_or([0.0; 3]);
        let other = Plane::from_fn(support.width, support.height, |x, y| {
            support.at(x, y) && {
                let (i, b, share) = (self.image.at(x, y), below.at(x, y), self.shaded.at(x, y));
                let typical: [f32; 3] = std::array::from_fn(|c| b[c] + share * (shade[c] - b[c]));
                max_difference(i, typical) > max_difference(typical, b) + FOREIGN
            }
        });
        let parts = components(&other);
        let rim = self.hole.minus(&erode(&self.hole, 2));
        let beyond: Vec<bool> = parts.count_in(&rim).iter().map(|&count| count > 0).collect();
        parts.select(&beyond)
    }
}

/// What was completed, moved smoothly to the colours of the true pixels that come back around it (the membrane
/// form of seamless cloning, Pérez et al. 2003): a step between the two would draw the outline of the shape.
fn seamless(filled: &Colour, lit: &Colour, back: &Mask, hole: &Mask) -> Colour {
    let gap = hole.minus(back);
    if !gap.any() || !hole.and(back).any() {
        return filled.clone();
    }
    let steps: Colour = lit.zip(filled, |a, b| std::array::from_fn(|c| a[c] - b[c]));
    let small = steps.zip(back, |step, back| back && step.iter().all(|s| s.abs() < SEAM));
    let spread = membrane(&steps, &small, 4);
    filled.zip(&spread, |a, step| (a, step)).zip(&gap, |(a, step), inside| {
        if !inside {
            return a;
        }
        let largest = step.iter().fold(0.0f32, |largest, s| largest.max(s.abs()));
        let share = (largest / GRAIN - 1.0).clamp(0.0, 1.0);
        std::array::from_fn(|c| (a[c] + share * step[c]).clamp(0.0, 1.0))
    })
}

/// A pixel as it is without a `share` of the shade over it.
fn unshaded(pixel: [f32; 3], share: f32, shade: Option<[f32; 3]>) -> [f32; 3] {
    let Some(shade) = shade.filter(|_| share > 0.0) else { return pixel };
    std::array::from_fn(|c| ((pixel[c] - share * shade[c]) / (1.0 - share)).clamp(0.0, 1.0))
}

fn choose(first: &Colour, second: &Colour, use_first: &Mask) -> Colour {
    let both = first.zip(second, |a, b| (a, b));
    both.zip(use_first, |(a, b), first| if first { a } else { b })
}

/// Pixels that are surely opaque: the shape without its edge band, and the
/// ridges of strokes that are thinner than the band.
fn core(mask: &Mask, band: usize) -> Mask {
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
fn unmix(image: &Colour, below: &Colour, mask: &Mask, core: &Mask, support: &Mask, shade: Option<[f32; 3]>) -> Gray {
    let sources = nearest(core);
    let spread = sources.zip(image, |source, own| if source == NOWHERE { own } else { image.data[source as usize] });
    let front = gaussian(&spread, 1.5);
    let soft = gaussian_gray(&mask.map(|m| if m { 1.0 } else { 0.0 }), 1.0);
    Plane::from_fn(mask.width, mask.height, |x, y| {
        if core.at(x, y) {
            return 1.0;
        }
        if !support.at(x, y) {
            return 0.0;
        }
        let (i, b, f) = (image.at(x, y), below.at(x, y), front.at(x, y));
        let toward_front: [f32; 3] = std::array::from_fn(|c| f[c] - b[c]);
        let change: [f32; 3] = std::array::from_fn(|c| i[c] - b[c]);
        let square = dot(toward_front, toward_front);
        let (share, shadow) = match shade {
            Some(shade) => {
                let toward_shade: [f32; 3] = std::array::from_fn(|c| shade[c] - b[c]);
                shares(change, toward_front, toward_shade)
            }
            None => (dot(change, toward_front) / square.max(1e-6), 0.0),
        };
        let trust = square / (square + 0.02);
        (trust * share + (1.0 - trust) * soft.at(x, y) + shadow).clamp(0.0, 1.0)
    })
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

struct Zones {
    /// The shape and its halo.
    near: Mask,
    /// Where the shape may have any opacity.
    support: Mask,
    solid: Mask,
    /// Opacity of the shadow on textured ground, outside `support`.
    typical: Gray,
    /// What does not belong to the shape.
    foreign: Mask,
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
/// invented ground nearly explains the picture it gives way.
fn settle(image: &Colour, below: Colour, alpha: Gray, zones: &Zones) -> Lifted {
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
            a = if residue > 5.0 / 255.0 && least < 0.7 { least } else { 0.0 };
        }
        if residue < 1.5 / 255.0 && !zones.solid.at(x, y) {
            a = 0.0;
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
    Lifted { below: rounded(&solved.map(|(b, _)| b)), alpha: solved.map(|(_, a)| a) }
}
