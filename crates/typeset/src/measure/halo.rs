//! What lies around letters: by the distance of each pixel from them.

use image::{GrayImage, RgbaImage};

use super::fill::median;
use crate::raster::{Coverage, blur};
use crate::text::{Colour, Fill, Outline, Shadow};

/// Pixels with their distance from the letters.
pub(super) struct Halo<'a> {
    pixels: &'a RgbaImage,
    letters: &'a GrayImage,
    /// px from the letters' last pixels, 0 within.
    distance: Vec<f32>,
}

/// Distances beyond this are not looked at.
const REACH: usize = 64;
/// Colours closer than this, of 255 in every channel, are one.
const SAME: u8 = 24;
/// Fainter pixels are traces.
const FAINT: u8 = 10;

impl<'a> Halo<'a> {
    pub(super) fn new(pixels: &'a RgbaImage, letters: &'a GrayImage) -> Self {
        Self { pixels, letters, distance: distances(letters) }
    }

    /// The line around the letters: opaque pixels beyond their edge. Its width is the mean opacity at each distance,
    /// summed over the distances, up to where fewer than a third of the pixels are opaque.
    pub(super) fn outline(&self, fill: &Fill) -> Option<Outline> {
        /// A narrower line is the letters' own soft edge.
        const LEAST_WIDTH: f32 = 0.7;
        let ring = |from: f32, to: f32| {
            let near = self.pixels.pixels().zip(&self.distance);
            near.filter(move |(_, distance)| **distance > from && **distance <= to).map(|(pixel, _)| pixel.0)
        };
        // All around: a shadow lies on one side.
        let opaque: Vec<[u8; 4]> = ring(0.9, 1.6).filter(|pixel| pixel[3] > 200).collect();
        if opaque.len() < 12 || opaque.len() * 5 < ring(0.9, 1.6).count() * 4 {
            return None;
        }
        let colour = Colour { alpha: 255, ..median(opaque.into_iter()) };
        if self.is_fill(colour, fill) {
            return None; // letters that are bolder than those of the face
        }
        let mut sums = vec![(0.0_f32, 0_u32); REACH];
        for (pixel, distance) in self.pixels.pixels().zip(&self.distance) {
            if let Some((sum, count)) = bin(*distance).and_then(|bin| sums.get_mut(bin)) {
                let own = near([pixel.0[0], pixel.0[1], pixel.0[2]], colour, 2 * SAME);
                *sum += if own { f32::from(pixel.0[3]) / 255.0 } else { 0.0 };
                *count += 1;
            }
        }
        let mut width = 0.0;
        for (n, (sum, count)) in sums.into_iter().enumerate().filter(|(_, (_, count))| *count > 0) {
            #[expect(clippy::cast_precision_loss, reason = "a count of pixels")]
            let share = sum / count as f32;
            // The first pixel around a letter is partly the letter's own colour.
            let share = if n == 0 { 1.0 } else { share };
            if share < 1.0 / 3.0 {
                width += if share > 0.15 { share } else { 0.0 };
                break;
            }
            width += share;
        }
        (width >= LEAST_WIDTH).then_some(Outline { width, colour })
    }

    fn is_fill(&self, colour: Colour, fill: &Fill) -> bool {
        let one = |fill: Colour| near([fill.red, fill.green, fill.blue], colour, SAME);
        match fill {
            Fill::Colour(fill) => one(*fill),
            Fill::Gradient(gradient) => gradient.stops.iter().any(|stop| one(stop.colour)),
        }
    }

    /// The shadow beyond letters and outline: the shift and blur of the letters, of a few hundred tried, whose opacity
    /// explains that of the pixels best (least squares).
    pub(super) fn shadow(&self, outline: Option<&Outline>) -> Option<Shadow> {
        /// Shares of the alpha's energy that a shadow has to explain.
        const EXPLAINED: f32 = 0.5;
        let edge = outline.map_or(0.0, |outline| outline.width) + 1.6;
        let outside: Vec<bool> = self.distance.iter().map(|distance| *distance > edge).collect();
        let alpha: Vec<f32> = self.pixels.pixels().map(|pixel| f32::from(pixel.0[3]) / 255.0).collect();
        let seen = |n: &usize| outside[*n] && alpha[*n] * 255.0 > f32::from(FAINT);
        let shade: Vec<usize> = (0..alpha.len()).filter(seen).collect();
        if shade.len() < 30 || shade.len() * 50 < outside.iter().filter(|outside| !**outside).count() {
            return None;
        }
        let darkest = shade.iter().filter(|n| alpha[**n] > 0.3 * max_of(&alpha, &shade));
        let colour = median(darkest.map(|n| self.pixels.as_raw()[n * 4..n * 4 + 4].try_into().unwrap_or_default()));
        let colour = Colour { alpha: 255, ..colour };
        let energy: f32 = outside.iter().zip(&alpha).filter(|(outside, _)| **outside).map(|(_, a)| a * a).sum();
        let grown = self.grown(outline.map_or(0.0, |outline| outline.width));
        let fit = |blurred: &[u8], dx: i32, dy: i32| self.explain(blurred, dx, dy, &alpha, &outside);
        let mut best: Option<(f32, f32, i32, i32, f32)> = None; // explained, opacity, dx, dy, blur
        for deviation in [0.0_f32, 1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0] {
            let mut cover = grown.clone();
            blur(&mut cover, deviation);
            let mut step = 8;
            let (mut dx, mut dy) = best.map_or((0, 0), |best| (best.2, best.3));
            let mut local: Option<(f32, f32)> = None;
            // Pattern search: the best of nine places, at finer and finer steps.
            while step > 0 {
                let around = (-2..=2).flat_map(|y| (-2..=2).map(move |x| (x, y)));
                let tried = around.map(|(x, y)| (dx + x * step, dy + y * step));
                let found = tried.map(|(x, y)| (fit(&cover.values, x, y), x, y));
                let Some((found, x, y)) = found.max_by(|a, b| a.0.0.total_cmp(&b.0.0)) else { break };
                (dx, dy, local) = (x, y, Some(found));
                step /= 2;
            }
            if let Some((explained, opacity)) = local
                && best.is_none_or(|best| explained > best.0)
            {
                best = Some((explained, opacity, dx, dy, 2.0 * deviation));
            }
        }
        let (explained, opacity, dx, dy, blur) = best?;
        #[expect(clippy::cast_precision_loss, reason = "a few px")]
        let (dx, dy) = (dx as f32, dy as f32);
        let opacity = opacity.clamp(0.0, 1.0);
        (explained >= EXPLAINED * energy && opacity > 0.05).then_some(Shadow { dx, dy, blur, colour, opacity })
    }

    /// How much of the alpha outside a shifted coverage explains, and with which opacity.
    fn explain(&self, cover: &[u8], dx: i32, dy: i32, alpha: &[f32], outside: &[bool]) -> (f32, f32) {
        let (width, height) = (i64::from(self.letters.width()), i64::from(self.letters.height()));
        let (mut product, mut own) = (0.0, 1e-6);
        for y in 0..height {
            let from_y = y - i64::from(dy);
            for x in 0..width {
                let from_x = x - i64::from(dx);
                let n = usize::try_from(y * width + x).unwrap_or(0);
                if !outside[n] || from_x < 0 || from_y < 0 || from_x >= width || from_y >= height {
                    continue;
                }
                let from = usize::try_from(from_y * width + from_x).unwrap_or(0);
                let value = f32::from(cover[from]) / 255.0;
                product += value * alpha[n];
                own += value * value;
            }
        }
        (product * product / own, product / own)
    }

    /// Letters with their outline: what casts the shadow.
    fn grown(&self, width: f32) -> Coverage {
        let values = self
            .letters
            .as_raw()
            .iter()
            .zip(&self.distance)
            .map(|(value, distance)| if *distance > 0.0 && *distance <= width { 255 } else { *value });
        let side = |side: u32| usize::try_from(side).unwrap_or(0);
        let (columns, rows) = (side(self.letters.width()), side(self.letters.height()));
        Coverage { x: 0, y: 0, width: columns, height: rows, values: values.collect() }
    }
}

fn max_of(alpha: &[f32], of: &[usize]) -> f32 {
    of.iter().map(|n| alpha[*n]).fold(0.0, f32::max)
}

fn near(pixel: [u8; 3], colour: Colour, by: u8) -> bool {
    pixel.into_iter().zip([colour.red, colour.green, colour.blue]).all(|(a, b)| a.abs_diff(b) <= by)
}

/// The ring that a distance belongs to: 0 for the first px around the letters. `None` within them and beyond reach.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn bin(distance: f32) -> Option<usize> {
    let bin = distance.ceil() - 1.0;
    (bin >= 0.0 && bin < REACH as f32).then_some(bin as usize)
}

/// px from each pixel's centre to that of the nearest covered pixel, by the two passes of Borgefors's chamfer distance
/// (1986) with weights 1 and √2; letters are where the coverage is one half or more.
fn distances(letters: &GrayImage) -> Vec<f32> {
    const DIAGONAL: f32 = std::f32::consts::SQRT_2;
    let side = |side: u32| usize::try_from(side).unwrap_or(0);
    let (width, height) = (side(letters.width()), side(letters.height()));
    let mut distance: Vec<f32> =
        letters.as_raw().iter().map(|value| if *value >= 128 { 0.0 } else { f32::MAX }).collect();
    let relax = |distance: &mut Vec<f32>, x: usize, y: usize, back: bool| {
        let n = y * width + x;
        let mut least = distance[n];
        let row = if back { y.checked_add(1).filter(|row| *row < height) } else { y.checked_sub(1) };
        let side = if back { Some(x + 1).filter(|side| *side < width) } else { x.checked_sub(1) };
        if let Some(side) = side {
            least = least.min(distance[y * width + side] + 1.0);
        }
        if let Some(row) = row {
            least = least.min(distance[row * width + x] + 1.0);
            for side in [x.checked_sub(1), Some(x + 1).filter(|side| *side < width)].into_iter().flatten() {
                least = least.min(distance[row * width + side] + DIAGONAL);
            }
        }
        distance[n] = least;
    };
    for y in 0..height {
        for x in 0..width {
            relax(&mut distance, x, y, false);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            relax(&mut distance, x, y, true);
        }
    }
    distance
}
