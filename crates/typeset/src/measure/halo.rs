//! What lies around letters: by the distance of each pixel from them.

use image::{GrayImage, RgbaImage};

use super::fill::median;
use super::shadow;
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
pub(super) const SAME: u8 = 24;
/// Closer to the letters, px, their own soft edges hide what lies around.
const EDGE: f32 = 1.6;

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

    /// The shadow beyond letters and outline.
    pub(super) fn shadow(&self, outline: Option<&Outline>) -> Option<Shadow> {
        let width = outline.map_or(0.0, |outline| outline.width);
        let outside = self.distance.iter().map(|distance| *distance > width + EDGE).collect();
        let cast = self
            .letters
            .as_raw()
            .iter()
            .zip(&self.distance)
            .map(|(value, distance)| if *distance > 0.0 && *distance <= width { 255 } else { *value });
        shadow::measure(self.pixels, outside, cast.collect())
    }
}

pub(super) fn near(pixel: [u8; 3], colour: Colour, by: u8) -> bool {
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
pub(super) fn distances(letters: &GrayImage) -> Vec<f32> {
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
