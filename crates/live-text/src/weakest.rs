//! The part of a line that looks least like its words: a misread letter hides in a line that is otherwise right.

use image::GrayImage;
use typeset::{Fonts, match_coverage};

use crate::fit::Fit;

/// Width of a part, about that of a digit, and the step from one to the next, in em.
const PART: f32 = 0.5;
const STEP: f32 = 0.12;
/// Share of the mean part's ink from which a part counts: others are spaces.
const INKED: f32 = 0.3;

/// Soft intersection over union, 0 to 1, of ink and drawn words in the part of the line where it is least; 0 if the words
/// cannot be drawn.
pub(crate) fn weakest_part(fit: &Fit, fonts: &Fonts) -> f32 {
    let (width, height) = fit.mask.dimensions();
    let Some(drawn) = match_coverage(fit.best(), &fit.words, fonts, width, height) else { return 0.0 };
    let (ink, drawn) = (softened(&fit.mask), softened(&drawn));
    let columns = |of: fn(u16, u16) -> u16| -> Vec<u32> {
        let mut sums = vec![0_u32; width as usize];
        for (n, (&a, &b)) in ink.iter().zip(&drawn).enumerate() {
            sums[n % width.max(1) as usize] += u32::from(of(a, b));
        }
        sums
    };
    let (common, all) = (columns(u16::min), columns(u16::max));
    let part = ((PART * fit.best().size) as usize).clamp(1, width.max(1) as usize);
    let step = ((STEP * fit.best().size) as usize).max(1);
    let sum = |sums: &[u32], from: usize| -> f32 { sums[from..from + part].iter().map(|&value| value as f32).sum() };
    let starts: Vec<usize> = (0..=all.len().saturating_sub(part)).step_by(step).collect();
    let inks: Vec<f32> = starts.iter().map(|&from| sum(&all, from)).collect();
    let mean = inks.iter().sum::<f32>() / inks.len().max(1) as f32;
    let parts = starts.iter().zip(&inks).filter(|(_, ink)| **ink > INKED * mean && **ink > 0.0);
    parts.map(|(&from, ink)| sum(&common, from) / ink).fold(1.0, f32::min)
}

/// Nine times the mean over 3 x 3 px; the edge repeats nothing.
fn softened(mask: &GrayImage) -> Vec<u16> {
    let (width, height) = mask.dimensions();
    let at = |x: i64, y: i64| -> u16 {
        let inside = u32::try_from(x).ok().zip(u32::try_from(y).ok()).filter(|&(x, y)| x < width && y < height);
        inside.map_or(0, |(x, y)| u16::from(mask.get_pixel(x, y).0[0]))
    };
    let places = (0..i64::from(height)).flat_map(|y| (0..i64::from(width)).map(move |x| (x, y)));
    places
        .map(|(x, y)| (-1..=1).flat_map(|v| (-1..=1).map(move |u| (u, v))).map(|(u, v)| at(x + u, y + v)).sum())
        .collect()
}
