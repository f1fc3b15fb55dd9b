use image::RgbaImage;
use serde::{Deserialize, Serialize};

use crate::composite::premultiply;

/// How much two pictures of one size differ, over their four premultiplied
/// 8-bit channels. Colours that cannot be seen (alpha 0) do not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Largest absolute difference of a channel, 0..=255.
    pub max: u8,
    /// Mean absolute difference over all channels, 0..=255.
    pub mean: f64,
    /// Peak signal-to-noise ratio `10 log10(255^2 / MSE)` in dB; none when nothing differs.
    pub psnr: Option<f64>,
    /// Where the largest difference is first met, row by row: `(x, y)`; none when nothing differs.
    pub worst: Option<(u32, u32)>,
}

/// Two pictures that have to be of one size are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one picture is {}x{} pixels, the other {}x{}", .a.0, .a.1, .b.0, .b.1)]
pub struct SizeMismatch {
    /// Width and height of the first picture.
    pub a: (u32, u32),
    /// Width and height of the second picture.
    pub b: (u32, u32),
}

impl Difference {
    /// Compares two pictures pixel by pixel.
    ///
    /// # Errors
    /// When their sizes differ.
    pub fn between(a: &RgbaImage, b: &RgbaImage) -> Result<Self, SizeMismatch> {
        if a.dimensions() != b.dimensions() {
            return Err(SizeMismatch { a: a.dimensions(), b: b.dimensions() });
        }
        let (mut max, mut worst, mut sum, mut squares) = (0, None, 0_u64, 0_u64);
        for ((x, y, left), right) in a.enumerate_pixels().zip(b.pixels()) {
            if left == right {
                continue;
            }
            let (left, right) = (premultiply(*left), premultiply(*right));
            let mut here = 0;
            for (left, right) in left.0.into_iter().zip(right.0) {
                let difference = left.abs_diff(right);
                here = here.max(difference);
                sum += u64::from(difference);
                squares += u64::from(difference) * u64::from(difference);
            }
            if here > max {
                max = here;
                worst = Some((x, y));
            }
        }
        let samples = a.as_raw().len().max(1) as f64;
        let psnr = (squares > 0).then(|| 10.0 * (255.0 * 255.0 * samples / squares as f64).log10());
        Ok(Self { max, mean: sum as f64 / samples, psnr, worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    #[test]
    fn equal_pictures_have_no_psnr() {
        let a = RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 4]));
        let difference = Difference::between(&a, &a).unwrap();
        assert_eq!(difference, Difference { max: 0, mean: 0.0, psnr: None, worst: None });
    }

    #[test]
    fn one_step_in_one_channel() {
        let a = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 255]));
        let mut b = a.clone();
        b.put_pixel(1, 0, Rgba([10, 14, 30, 255]));
        let difference = Difference::between(&a, &b).unwrap();
        assert_eq!((difference.max, difference.worst), (6, Some((1, 0))));
        assert!((difference.mean - 6.0 / 16.0).abs() < 1e-12);
        // MSE = 36 / 16
        let expected = 10.0 * (65_025.0_f64 / 2.25).log10();
        assert!((difference.psnr.unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn unseen_colours_do_not_count() {
        let a = RgbaImage::from_pixel(1, 1, Rgba([200, 0, 0, 0]));
        let b = RgbaImage::from_pixel(1, 1, Rgba([0, 200, 0, 0]));
        assert_eq!(Difference::between(&a, &b).unwrap().max, 0);
    }

    #[test]
    fn sizes_must_agree() {
        let (a, b) = (RgbaImage::new(2, 3), RgbaImage::new(3, 2));
        assert_eq!(Difference::between(&a, &b), Err(SizeMismatch { a: (2, 3), b: (3, 2) }));
    }
}
