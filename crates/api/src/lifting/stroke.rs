//! What a brush covers.

use image::{GrayImage, Luma};

use crate::http::error::Error;

/// Pixels that are looked at for one stroke.
const MOST_WORK: f64 = 600e6;

/// Width in pixels of the softest edge of a hard brush.
const SOFTEST: f32 = 1.0;

/// A round brush: `size` is its diameter in pixels, `hardness` (0 to 1) the share of the radius from which it fades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Brush {
    pub size: f32,
    pub hardness: f32,
}

impl Brush {
    /// What the brush covers on its way along `points` on a canvas of `width` x `height` pixels, 0 to 255.
    ///
    /// # Errors
    /// 422 for a stroke that is too long for its size.
    pub(crate) fn mask(self, points: &[(f32, f32)], (width, height): (u32, u32)) -> Result<GrayImage, Error> {
        let radius = self.size / 2.0;
        let inner = (radius * self.hardness).min(radius - SOFTEST / 2.0).max(0.0);
        let reach = radius.max(inner + SOFTEST);
        let points = thinned(points, (radius / 8.0).max(0.5));
        let segments = || points.windows(2).map(|ends| (ends[0], ends[1])).chain(points.first().map(|at| (*at, *at)));
        let work: f64 = segments().map(|(from, to)| area(from, to, reach)).sum();
        if work > MOST_WORK {
            let message = "the stroke is too long for a brush of this size: make several, or send a mask";
            return Err(Error::unprocessable("stroke_too_long", message).about("points"));
        }
        let mut mask = GrayImage::new(width, height);
        for (from, to) in segments() {
            let (left, right) = span(from.0, to.0, reach, width);
            let (top, bottom) = span(from.1, to.1, reach, height);
            for y in top..bottom {
                for x in left..right {
                    let distance = distance((x as f32 + 0.5, y as f32 + 0.5), from, to);
                    let share = ((reach - distance) / (reach - inner)).clamp(0.0, 1.0);
                    // Smooth at both ends.
                    let value = (255.0 * share * share * (3.0 - 2.0 * share) + 0.5) as u8;
                    let pixel = mask.get_pixel_mut(x, y);
                    *pixel = Luma([pixel[0].max(value)]);
                }
            }
        }
        Ok(mask)
    }
}

/// Points of a line that are at least `apart` from one another, and its ends.
fn thinned(points: &[(f32, f32)], apart: f32) -> Vec<(f32, f32)> {
    let mut kept: Vec<(f32, f32)> = Vec::new();
    for (at, point) in points.iter().enumerate() {
        let is_far = kept.last().is_none_or(|last| (point.0 - last.0).hypot(point.1 - last.1) >= apart);
        if is_far || at + 1 == points.len() {
            kept.push(*point);
        }
    }
    kept
}

fn area(from: (f32, f32), to: (f32, f32), reach: f32) -> f64 {
    let side = |one: f32, other: f32| f64::from((one - other).abs() + 2.0 * reach + 1.0);
    side(from.0, to.0) * side(from.1, to.1)
}

/// The pixels of an axis that a segment may cover.
fn span(one: f32, other: f32, reach: f32, length: u32) -> (u32, u32) {
    let at = |place: f32| place.clamp(0.0, length as f32) as u32;
    (at((one.min(other) - reach).floor()), at((one.max(other) + reach).ceil()))
}

/// From a point to a segment.
fn distance((x, y): (f32, f32), from: (f32, f32), to: (f32, f32)) -> f32 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((x - from.0) * dx + (y - from.1) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - from.0 - along * dx).hypot(y - from.1 - along * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_is_round_and_fades_as_its_hardness_says() {
        let line = [(20.0, 30.0), (60.0, 30.0)];
        let hard = Brush { size: 20.0, hardness: 1.0 }.mask(&line, (100, 60)).unwrap();
        let at = |mask: &GrayImage, x: u32, y: u32| mask.get_pixel(x, y)[0];
        assert_eq!((at(&hard, 40, 30), at(&hard, 40, 21), at(&hard, 40, 18), at(&hard, 11, 30)), (255, 255, 0, 255));
        assert_eq!((at(&hard, 11, 21), at(&hard, 75, 30)), (0, 0));
        let soft = Brush { size: 20.0, hardness: 0.0 }.mask(&line, (100, 60)).unwrap();
        assert!(at(&soft, 40, 29) > 240 && (100..156).contains(&at(&soft, 40, 24)) && at(&soft, 40, 20) < 12);
        let dot = Brush { size: 1.0, hardness: 1.0 }.mask(&[(5.5, 5.5)], (10, 10)).unwrap();
        assert_eq!((at(&dot, 5, 5), at(&dot, 7, 5)), (255, 0));
        let outside = Brush { size: 30.0, hardness: 0.5 }.mask(&[(0.0, 0.0), (100.0, 60.0)], (100, 60)).unwrap();
        assert_eq!(at(&outside, 0, 0), 255);
    }

    #[test]
    fn a_stroke_has_a_greatest_length() {
        let zigzag: Vec<(f32, f32)> =
            (0..3000).map(|n| (if n % 2 == 0 { 0.0 } else { 900.0 }, n as f32 / 4.0)).collect();
        let error = Brush { size: 900.0, hardness: 1.0 }.mask(&zigzag, (1000, 1000)).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
        // Many points in one place are one.
        let still = vec![(5.0, 5.0); 100_000];
        assert!(Brush { size: 200.0, hardness: 1.0 }.mask(&still, (100, 100)).is_ok());
    }
}
