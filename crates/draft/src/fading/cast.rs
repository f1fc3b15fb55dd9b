//! A shade as programs cast it: the shape, shifted and blurred. In texture its strength cannot be seen pixel by pixel,
//! and medians by distance miss that it is stronger between strokes than beside them. Blur, shift and strength say both.

use crate::fill::membrane::{halved, sample_double};
use crate::filter::gaussian;
use crate::plane::{Mask, Plane, Rect};

/// Standard deviations in pixels that are tried; programs' blur radii are about twice as large.
const BLURS: [f32; 8] = [2.0, 3.0, 4.5, 6.5, 9.0, 12.5, 17.5, 25.0];
/// Largest shift, in standard deviations, and in pixels beside that.
const SHIFT: f32 = 0.75;
const SHIFT_BESIDE: f32 = 4.0;
/// Samples that a fit needs, and as many as it takes.
pub(super) const LEAST: usize = 300;
const MOST: usize = 3000;
/// Share of the blurred shape under which nothing is said about the strength.
const FAINT: f32 = 0.02;
/// Error of a fit against that of the medians up to which it is as good.
const AS_GOOD: f32 = 1.03;

type Blurred = Plane<[f32; 1]>;

/// What was seen at a pixel.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub x: usize,
    pub y: usize,
    /// Share of the shade, with whatever texture adds.
    pub share: f32,
    /// What the medians say.
    pub median: f32,
}

/// A blurred and shifted shape.
pub(super) struct Cast {
    /// Half the size of `rect`.
    blurred: Blurred,
    rect: Rect,
    shift: [f32; 2],
    strength: f32,
}

impl Cast {
    /// The cast of `mask` that explains best what was seen, if it does so as well as the medians do.
    pub(super) fn fit(mask: &Mask, mut seen: Vec<Seen>, reach: usize) -> Option<Self> {
        if seen.len() < LEAST {
            return None;
        }
        let step = seen.len().div_ceil(MOST);
        seen = seen.into_iter().step_by(step).collect();
        let rect = bounds(&seen).padded(2 * reach, mask.width, mask.height);
        let shape = halved(rect.width(), rect.height(), |x, y| {
            Some([if mask.at(rect.x0 + x, rect.y0 + y) { 1.0 } else { 0.0 }])
        });
        let fits = BLURS.iter().filter(|&&blur| blur < reach as f32).map(|&blur| {
            let blurred = gaussian(&shape.0, 0.5 * blur);
            let (error, shift, strength) = placed(&blurred, rect, &seen, SHIFT * blur + SHIFT_BESIDE);
            (error, Cast { blurred, rect, shift, strength })
        });
        let (error, best) = fits.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let medians: f32 = seen.iter().map(|seen| (seen.share - seen.median).abs()).sum();
        (error < AS_GOOD * medians).then_some(best)
    }

    /// Share of the shade at a pixel, 0 to 1.
    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        (self.strength * sampled(&self.blurred, self.rect, x, y, self.shift)).min(0.95)
    }
}

/// The shift, within `most` pixels, at which the blurred shape explains best what was seen; with its error and strength.
fn placed(blurred: &Blurred, rect: Rect, seen: &[Seen], most: f32) -> (f32, [f32; 2], f32) {
    let at = |shift: [f32; 2]| {
        let shares: Vec<f32> = seen.iter().map(|seen| sampled(blurred, rect, seen.x, seen.y, shift)).collect();
        let strength = strength(seen, &shares);
        let errors = seen.iter().zip(&shares).map(|(seen, share)| (seen.share - strength * share).abs());
        (errors.sum::<f32>(), shift, strength)
    };
    let mut best = at([0.0; 2]);
    let mut step = 0.5 * most;
    while step >= 0.7 {
        let [x, y] = best.1;
        let beside = [[x + step, y], [x - step, y], [x, y + step], [x, y - step]];
        let within = beside.into_iter().filter(|[x, y]| x * x + y * y <= most * most);
        match within.map(at).min_by(|a, b| a.0.total_cmp(&b.0)).filter(|found| found.0 < best.0) {
            Some(found) => best = found,
            None => step *= 0.5,
        }
    }
    best
}

/// The strength with the least sum of absolute errors: the median of the ratios, each weighted by what it is divided by.
fn strength(seen: &[Seen], shares: &[f32]) -> f32 {
    let ratios = seen.iter().zip(shares).filter(|(_, share)| **share > FAINT);
    let mut ratios: Vec<(f32, f32)> = ratios.map(|(seen, &share)| (seen.share / share, share)).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * ratios.iter().map(|(_, weight)| weight).sum::<f32>();
    let mut sum = 0.0;
    let middle = ratios.iter().find(|(_, weight)| {
        sum += weight;
        sum >= half
    });
    middle.map_or(0.0, |(ratio, _)| ratio.clamp(0.0, 1.5))
}

fn sampled(blurred: &Blurred, rect: Rect, x: usize, y: usize, shift: [f32; 2]) -> f32 {
    let moved = |value: usize, from: usize, shift: f32, length: usize| {
        (value as f32 - from as f32 - shift).round().clamp(0.0, length.saturating_sub(1) as f32) as usize
    };
    let (x, y) = (moved(x, rect.x0, shift[0], rect.width()), moved(y, rect.y0, shift[1], rect.height()));
    sample_double(blurred, x, y)[0]
}

fn bounds(seen: &[Seen]) -> Rect {
    let start = Rect { x0: usize::MAX, y0: usize::MAX, x1: 0, y1: 0 };
    seen.iter().fold(start, |rect, seen| Rect {
        x0: rect.x0.min(seen.x),
        y0: rect.y0.min(seen.y),
        x1: rect.x1.max(seen.x + 1),
        y1: rect.y1.max(seen.y + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_shifted_and_blurred_shape_is_found_in_grain() {
        let bar = |x: usize, y: usize| (60..190).contains(&x) && ((60..84).contains(&y) || (110..134).contains(&y));
        let mask = Plane::from_fn(250, 200, bar);
        let truth = gaussian(&mask.map(|inside| [if inside { 0.6 } else { 0.0 }]), 8.0);
        let (mut seen, mut random) = (Vec::new(), Random::new(1));
        for y in 30..170 {
            for x in (30..220).filter(|&x| !bar(x, y)) {
                let share = truth.at(x - 3, y - 5)[0];
                let grain = 0.3 * (random.unit() as f32 - 0.5);
                seen.push(Seen { x, y, share: share + grain, median: 0.0 });
            }
        }
        let cast = Cast::fit(&mask, seen, 40).expect("a fit");
        let worst = (90..106).map(|y| (cast.at(120, y) - truth.at(117, y - 5)[0]).abs()).fold(0.0, f32::max);
        assert!(worst < 0.05, "{worst}, shift {:?}, strength {}", cast.shift, cast.strength);
    }
}
