//! Turning a line level.

use image::{GrayImage, Rgba, RgbaImage};

/// A line turned level, and the way back.
pub(crate) struct Level {
    pub(crate) pixels: RgbaImage,
    /// Degrees clockwise by which the line is turned on the poster.
    pub(crate) angle: f32,
    /// The middle of `pixels`, and where it is in the picture that the line was cut from.
    from: [f32; 2],
    to: [f32; 2],
}

impl Level {
    /// The line as it is.
    pub(crate) fn already(pixels: RgbaImage) -> Self {
        Self { pixels, angle: 0.0, from: [0.0; 2], to: [0.0; 2] }
    }

    /// A line that is turned by so many degrees, turned back about its middle.
    pub(crate) fn of(pixels: &RgbaImage, angle: f32) -> Self {
        let (cos, sin) = (libm::cosf(angle.to_radians()), libm::sinf(angle.to_radians()));
        let [width, height] = [pixels.width() as f32, pixels.height() as f32];
        let side = |a: f32, b: f32| (a * cos.abs() + b * sin.abs() - 0.01).ceil().max(1.0) as u32;
        let (new_width, new_height) = (side(width, height), side(height, width));
        let level = Self {
            pixels: RgbaImage::new(new_width, new_height),
            angle,
            from: [new_width as f32 / 2.0, new_height as f32 / 2.0],
            to: [width / 2.0, height / 2.0],
        };
        let turned = RgbaImage::from_fn(new_width, new_height, |x, y| {
            let [u, v] = level.back(x as f32 + 0.5, y as f32 + 0.5);
            sample(pixels, u - 0.5, v - 0.5)
        });
        Self { pixels: turned, ..level }
    }

    /// A place in the level picture, in the picture that the line was cut from.
    pub(crate) fn back(&self, x: f32, y: f32) -> [f32; 2] {
        if self.angle == 0.0 {
            return [x, y];
        }
        let [dx, dy] = self.turned(x - self.from[0], y - self.from[1]);
        [self.to[0] + dx, self.to[1] + dy]
    }

    /// A way in the level picture, turned as the line is.
    pub(crate) fn turned(&self, dx: f32, dy: f32) -> [f32; 2] {
        let (cos, sin) = (libm::cosf(self.angle.to_radians()), libm::sinf(self.angle.to_radians()));
        [dx * cos - dy * sin, dx * sin + dy * cos]
    }
}

/// The mean of the four pixels around a place, weighted by how near they are, colours by their alpha.
fn sample(pixels: &RgbaImage, x: f32, y: f32) -> Rgba<u8> {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let mut sum = [0.0_f32; 4];
    for (dx, dy, weight) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
    {
        let place = u32::try_from(x0 as i64 + dx).ok().zip(u32::try_from(y0 as i64 + dy).ok());
        let Some(Rgba([colour @ .., alpha])) = place.and_then(|(x, y)| pixels.get_pixel_checked(x, y)) else {
            continue;
        };
        let alpha = weight * f32::from(*alpha);
        (0..3).for_each(|c| sum[c] += alpha * f32::from(colour[c]));
        sum[3] += alpha;
    }
    let colour = |c: usize| if sum[3] > 0.0 { (sum[c] / sum[3]).round() as u8 } else { 0 };
    Rgba([colour(0), colour(1), colour(2), sum[3].round() as u8])
}

/// The angle near `angle` at which the ink is in the fewest rows: baselines, tops of letters and level strokes are level
/// then (after Postl's method for scanned pages, 1986). To about half a degree: short lines have little to go by.
pub(crate) fn roughly(ink: &GrayImage, angle: f32) -> f32 {
    const MOST: usize = 6000;
    let solid: Vec<(f32, f32, f32)> = ink
        .enumerate_pixels()
        .filter(|(.., value)| value.0[0] > 60)
        .map(|(x, y, value)| (x as f32, y as f32, f32::from(value.0[0])))
        .collect();
    let step = solid.len() / MOST + 1;
    let points: Vec<_> = solid.into_iter().step_by(step).collect();
    let long = libm::hypotf(ink.width() as f32, ink.height() as f32);
    let sharpness = |angle: f32| {
        let (cos, sin) = (libm::cosf(angle.to_radians()), libm::sinf(angle.to_radians()));
        let mut rows = vec![0.0_f32; 2 * long as usize + 4];
        for &(x, y, value) in &points {
            let at = y * cos - x * sin + long;
            let (row, rest) = (at as usize, at.fract());
            if let Some([first, second]) = rows.get_mut(row..row + 2) {
                *first += value * (1.0 - rest);
                *second += value * rest;
            }
        }
        rows.windows(2).map(|pair| (pair[1] + pair[0]) * (pair[1] + pair[0])).sum::<f32>()
    };
    let best = |middle: f32, reach: i32, step: f32| {
        let angles = (-reach..=reach).map(|n| middle + n as f32 * step);
        let rated = angles.map(|angle| (angle, sharpness(angle)));
        rated.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(middle, |(angle, _)| angle)
    };
    best(angle, 8, 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilted_bar_is_level_again_and_places_go_back() {
        // 160 x 20 about (120, 90), turned by 12 degrees.
        let (cos, sin) = (12_f32.to_radians().cos(), 12_f32.to_radians().sin());
        let tilted = RgbaImage::from_fn(240, 180, |x, y| {
            let (dx, dy) = (x as f32 + 0.5 - 120.0, y as f32 + 0.5 - 90.0);
            let inside = (dx * cos + dy * sin).abs() < 80.0 && (dy * cos - dx * sin).abs() < 10.0;
            Rgba([200, 30, 40, if inside { 255 } else { 0 }])
        });
        let alpha = GrayImage::from_fn(240, 180, |x, y| image::Luma([tilted.get_pixel(x, y).0[3]]));
        let angle = roughly(&alpha, 11.0);
        assert!((angle - 12.0).abs() <= 0.3, "{angle}");
        let level = Level::of(&tilted, 12.0);
        let solid: Vec<(u32, u32)> =
            level.pixels.enumerate_pixels().filter(|(.., p)| p.0[3] > 127).map(|(x, y, _)| (x, y)).collect();
        let (low, high) = solid.iter().fold((u32::MAX, 0), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        assert!((high - low + 1).abs_diff(20) <= 1, "{low} to {high}");
        let (width, height) = level.pixels.dimensions();
        let [x, y] = level.back(width as f32 / 2.0, height as f32 / 2.0);
        assert!((x - 120.0).abs() < 0.01 && (y - 90.0).abs() < 0.01);
    }

    #[test]
    fn a_quarter_turn_moves_pixels_and_changes_none() {
        let picture = RgbaImage::from_fn(6, 3, |x, y| Rgba([x as u8, y as u8, 9, 255]));
        let turned = Level::of(&picture, 90.0).pixels;
        assert_eq!(turned.dimensions(), (3, 6));
        assert_eq!(turned.get_pixel(0, 0), picture.get_pixel(5, 0));
        assert_eq!(turned.get_pixel(2, 5), picture.get_pixel(0, 2));
    }
}
