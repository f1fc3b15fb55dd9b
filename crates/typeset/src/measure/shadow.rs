//! The shadow of letters: where it lies, how soft and how dark it is.

use image::RgbaImage;

use super::fill::median;
use crate::blur::blur;
use crate::raster::{Coverage, Pixels};
use crate::text::{Colour, Shadow};

/// Fainter pixels are traces, of 1.
const FAINT: f32 = 10.0 / 255.0;
/// The share of the alpha's energy (Σ α²) that a shadow has to explain.
const EXPLAINED: f32 = 0.5;
/// A fainter shadow is none.
const LEAST_OPACITY: f32 = 0.05;
/// Standard deviations that are tried, px.
const DEVIATIONS: [f32; 12] = [0.0, 0.7, 1.2, 2.0, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0, 19.0, 26.0];
/// Pixels at which places are tried first; larger lines are made smaller for it.
const SEARCHED: usize = 20_000;

/// What a shadow has to explain, and what casts it.
struct Shade {
    width: usize,
    height: usize,
    /// Of the line's pixels, 0 to 1; 0 where letters and outline are.
    alpha: Vec<f32>,
    /// 1 beyond letters and outline.
    outside: Vec<f32>,
    /// Coverage of letters and outline.
    cast: Coverage,
}

/// A place, a deviation in px, and how well they explain the alpha.
#[derive(Clone, Copy)]
struct Trial {
    dx: i32,
    dy: i32,
    deviation: f32,
    explained: f32,
    opacity: f32,
    /// Every so manyth row was looked at.
    rows: usize,
}

/// Finds the shift and the blur of the letters whose alpha, times an opacity, explains that of the pixels outside of
/// them best (least squares).
pub(super) fn measure(pixels: &RgbaImage, outside: Vec<bool>, cast: Vec<u8>) -> Option<Shadow> {
    let side = |side: u32| usize::try_from(side).ok();
    let (width, height) = (side(pixels.width())?, side(pixels.height())?);
    let bounds = Pixels { left: 0, top: 0, right: i32::try_from(width).ok()?, bottom: i32::try_from(height).ok()? };
    let opacity = pixels.pixels().zip(&outside);
    let alpha: Vec<f32> =
        opacity.map(|(pixel, outside)| if *outside { f32::from(pixel.0[3]) / 255.0 } else { 0.0 }).collect();
    let shaded = alpha.iter().filter(|alpha| **alpha > FAINT).count();
    let letters = outside.iter().filter(|outside| !**outside).count();
    if shaded < 30 || shaded * 50 < letters {
        return None;
    }
    let darkest = 0.3 * alpha.iter().copied().fold(0.0, f32::max);
    let dark = pixels.pixels().zip(&alpha).filter(|(_, alpha)| **alpha > darkest).map(|(pixel, _)| pixel.0);
    let colour = Colour { alpha: 255, ..median(dark) };

    let outside = outside.into_iter().map(|outside| if outside { 1.0 } else { 0.0 }).collect();
    let mut full = Coverage::empty(bounds);
    full.values = cast;
    let shade = Shade { width, height, alpha, outside, cast: full };
    let energy: f32 = shade.alpha.iter().map(|alpha| alpha * alpha).sum();
    let best = shade.search()?;
    #[expect(clippy::cast_precision_loss, reason = "a few px")]
    let (dx, dy, rows) = (best.dx as f32, best.dy as f32, best.rows as f32);
    let opacity = best.opacity;
    (best.explained * rows >= EXPLAINED * energy && opacity >= LEAST_OPACITY).then_some(Shadow {
        dx,
        dy,
        blur: 2.0 * best.deviation,
        colour,
        opacity,
    })
}

impl Shade {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "small"
    )]
    fn search(&self) -> Option<Trial> {
        let factor = (1..64).find(|factor| self.alpha.len() / (factor * factor) <= SEARCHED).unwrap_or(64);
        let small = self.reduced(factor);
        let mut best: Option<Trial> = None;
        for deviation in DEVIATIONS {
            let start = best.map_or((0, 0), |best| (best.dx, best.dy));
            let found = small.search_places(deviation / factor as f32, start, 8, 1);
            if let Some(found) = found.filter(|found| best.is_none_or(|best| found.explained > best.explained)) {
                best = Some(Trial { deviation, ..found });
            }
        }
        let best = best?;
        if factor == 1 {
            return Some(best);
        }
        // The place to the pixel; then the blur there, which making smaller has hidden.
        let scale = factor as i32;
        let placed = self.search_places(best.deviation, (best.dx * scale, best.dy * scale), scale, factor)?;
        let tried = DEVIATIONS.iter().position(|deviation| *deviation == best.deviation).unwrap_or(0);
        let near = DEVIATIONS.iter().skip(tried.saturating_sub(3)).take(5).filter(|other| **other != best.deviation);
        let others = near.filter_map(|deviation| self.search_places(*deviation, (placed.dx, placed.dy), 0, factor));
        others.chain([placed]).max_by(|a, b| a.explained.total_cmp(&b.explained))
    }

    /// The best of 25 places, at finer and finer steps; only the start for a step of 0. Looks at every so manyth row.
    fn search_places(&self, deviation: f32, start: (i32, i32), first_step: i32, rows: usize) -> Option<Trial> {
        let mut cast = self.cast.clone();
        blur(&mut cast, deviation);
        let (mut dx, mut dy) = start;
        let mut step = first_step;
        let mut best = (step == 0).then(|| self.explain(&cast.values, dx, dy, deviation, rows));
        while step > 0 {
            let around = (-2..=2).flat_map(|y| (-2..=2).map(move |x| (x, y)));
            let tried = around.map(|(x, y)| self.explain(&cast.values, dx + x * step, dy + y * step, deviation, rows));
            let found = tried.max_by(|a, b| a.explained.total_cmp(&b.explained))?;
            (dx, dy, best) = (found.dx, found.dy, Some(found));
            step /= 2;
        }
        best
    }

    /// How much of the alpha a moved cast explains, and with which opacity.
    fn explain(&self, cast: &[u8], dx: i32, dy: i32, deviation: f32, rows: usize) -> Trial {
        let shared = |size: usize, by: i32| {
            let by = isize::try_from(by).unwrap_or(0);
            let start = usize::try_from(by).unwrap_or(0).min(size);
            let end = usize::try_from(-by).unwrap_or(0).min(size);
            (start, size - end) // of the target: from the shift on, or up to what is left
        };
        let ((left, right), (top, bottom)) = (shared(self.width, dx), shared(self.height, dy));
        let (mut product, mut own) = (0.0, 1e-6);
        for y in (top..bottom).step_by(rows) {
            let from_y = y.saturating_add_signed(-isize::try_from(dy).unwrap_or(0));
            let row = y * self.width;
            let from = (from_y * self.width + left).saturating_add_signed(-isize::try_from(dx).unwrap_or(0));
            let cast = cast.get(from..).unwrap_or_default();
            let target = self.alpha[row + left..row + right.max(left)].iter().zip(&self.outside[row + left..]);
            for ((alpha, outside), value) in target.zip(cast) {
                let value = f32::from(*value) * outside / 255.0;
                product += value * alpha;
                own += value * value;
            }
        }
        let opacity = f32::min(product / own, 1.0);
        let explained = opacity * (2.0 * product - opacity * own); // Σ α² - Σ (α - opacity value)²
        Trial { dx, dy, deviation, explained, opacity, rows }
    }

    /// Averages of `factor` x `factor` pixels.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "averages"
    )]
    fn reduced(&self, factor: usize) -> Self {
        let (width, height) = (self.width / factor, self.height / factor);
        let average = |at: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
            let sum = |(x, y): (usize, usize)| {
                let rows = (0..factor).map(|row| (y * factor + row) * self.width + x * factor);
                rows.flat_map(|start| (0..factor).map(move |n| start + n)).map(at).sum::<f32>()
            };
            places.map(|place| sum(place) / (factor * factor) as f32).collect()
        };
        let values =
            average(&|n| f32::from(self.cast.values[n])).into_iter().map(|value| value.round() as u8).collect();
        Self {
            width,
            height,
            alpha: average(&|n| self.alpha[n]),
            outside: average(&|n| self.outside[n]),
            cast: Coverage { x: 0, y: 0, width, height, values },
        }
    }
}
