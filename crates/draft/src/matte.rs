//! Lifting a shape off the picture: what lies behind it, how opaque it is.

use crate::colour::max_difference;
use crate::fill::complete::{complete, rounded};
use crate::filter::{gaussian, gaussian_gray};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{NOWHERE, dilate, distance_from_nearest, distance_to, erode, nearest};
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane, Rect};

/// How far shadows are followed, as a share of the picture's long side.
const FARTHEST: f32 = 0.045;

/// How a shape is lifted.
#[derive(Debug, Clone, Copy)]
pub struct Lift {
    /// Width of the band at the edge whose opacity is solved, in pixels.
    pub band: usize,
    /// How far around the shape the picture is completed, in pixels.
    pub grow: usize,
    /// Least width of the halo that belongs to the shape, in pixels.
    pub halo: usize,
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
    let halo = halo_width(image, mask, reach).unwrap_or(lift.grow).max(lift.halo);
    // A shadow that reaches further than usual takes the hole along.
    let grow = lift.grow.max(halo + 3);
    monitor.check()?;
    let hole = dilate(mask, grow);
    let completed = complete(image, &hole, monitor)?;
    let halo = halo.min(grow.saturating_sub(2).max(lift.halo));
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
        };
        let found = part.lift(lift.band, halo);
        let all = Plane::new(rect.width(), rect.height(), true);
        lifted.below.paste(rect, &found.below, &all);
        lifted.alpha.paste(rect, &found.alpha, &all);
    }
    Ok(lifted)
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
}

impl Part {
    fn lift(&self, band: usize, halo: usize) -> Lifted {
        let near = dilate(&self.mask, halo);
        // On textured ground the true pixels come back right outside the halo.
        let kept = self.very_smooth.or(&near).not();
        let below = choose(&self.image, &self.filled, &kept);
        let support = self.hole.minus(&kept);
        let core = core(&self.mask, band);
        let alpha = unmix(&self.image, &below, &self.mask, &core, &support);
        settle(&self.image, below, alpha, &Zones { near, support, solid: erode(&self.mask, band) })
    }
}

fn choose(first: &Colour, second: &Colour, use_first: &Mask) -> Colour {
    let both = first.zip(second, |a, b| (a, b));
    both.zip(use_first, |(a, b), first| if first { a } else { b })
}

/// How far outside the shape its shadow, glow or anti-aliasing reaches: from the median
/// outward colour slopes, over which texture averages out. Each quarter of the directions
/// counts by itself, as shadows fall to one side; what slope there is far outside belongs
/// to the ground.
fn halo_width(image: &Colour, mask: &Mask, reach: usize) -> Option<usize> {
    let places = nearest(mask);
    let distance = distance_from_nearest(&places);
    let (width, height) = (mask.width, mask.height);
    let rings: Vec<[Vec<f32>; 3]> = (0..=reach).map(|_| std::array::from_fn(|_| Vec::new())).collect();
    let mut quarters: [Vec<[Vec<f32>; 3]>; 4] = std::array::from_fn(|_| rings.clone());
    // A sample of the pixels is enough for medians.
    let step = (mask.data.len() / 400_000).max(1);
    for index in (0..mask.data.len()).step_by(step) {
        let ring = (distance.data[index] + 0.5) as usize;
        if distance.data[index] < 1.4 || ring > reach || places.data[index] == NOWHERE {
            continue;
        }
        let (x, y) = (index % width, index / width);
        let (nx, ny) = (places.data[index] as usize % width, places.data[index] as usize / width);
        let d = distance.data[index];
        let (ux, uy) = ((x as f32 - nx as f32) / d, (y as f32 - ny as f32) / d);
        let (left, right) = (image.at(x.saturating_sub(1), y), image.at((x + 1).min(width - 1), y));
        let (up, down) = (image.at(x, y.saturating_sub(1)), image.at(x, (y + 1).min(height - 1)));
        let quarter = usize::from(ux > 0.0) + 2 * usize::from(uy > 0.0);
        for c in 0..3 {
            quarters[quarter][ring][c].push(0.5 * ((right[c] - left[c]) * ux + (down[c] - up[c]) * uy));
        }
    }
    let widths = quarters.iter_mut().map(|slopes| width_of(slopes));
    widths.collect::<Option<Vec<usize>>>()?.into_iter().max()
}

/// From which ring on the colour stays what it is, by the slopes of the rings.
fn width_of(slopes: &mut [[Vec<f32>; 3]]) -> Option<usize> {
    let reach = slopes.len() - 1;
    let medians: Vec<[f32; 3]> = slopes
        .iter_mut()
        .map(|rings| std::array::from_fn(|c| if rings[c].len() > 30 { quantile(&mut rings[c], 0.5) } else { 0.0 }))
        .collect();
    let outer = &medians[reach - reach / 3..];
    let ground: [f32; 3] = std::array::from_fn(|c| quantile(&mut outer.iter().map(|m| m[c]).collect::<Vec<_>>(), 0.5));
    (1..=reach).find(|&k| {
        let rest = |c: usize| medians[k..].iter().map(|m| m[c] - ground[c]).sum::<f32>().abs();
        rest(0).max(rest(1)).max(rest(2)) < 5.0 / 255.0
    })
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
/// colour of the nearest core pixel, trusted as far as the two differ.
fn unmix(image: &Colour, below: &Colour, mask: &Mask, core: &Mask, support: &Mask) -> Gray {
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
        let (mut dot, mut square) = (0.0, 0.0);
        for c in 0..3 {
            let d = f[c] - b[c];
            dot += (i[c] - b[c]) * d;
            square += d * d;
        }
        let trust = square / (square + 0.02);
        (trust * dot / square.max(1e-6) + (1.0 - trust) * soft.at(x, y)).clamp(0.0, 1.0)
    })
}

struct Zones {
    /// The shape and its halo.
    near: Mask,
    /// Where the shape may have any opacity.
    support: Mask,
    solid: Mask,
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
