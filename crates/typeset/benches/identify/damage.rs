//! What happens to a line's ink before it is a mask.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, GrayImage, Luma};

/// A linear congruential generator (Knuth's MMIX): the same lines on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[((self.unit() * of.len() as f32) as usize).min(of.len() - 1)]
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    None,
    /// Gaussian of 0.8 px.
    Blur,
    /// ±24 of 255, uniform, on every pixel with ink near.
    Noise,
    /// JPEG of quality 60.
    Jpeg,
    /// The smallest of nine pixels: one px less on each side.
    Eroded,
    /// Blurred by 1.5 px and cut at one half: hard edges that lie wrong.
    Hard,
}

impl Damage {
    pub(crate) const ALL: [Self; 6] = [Self::None, Self::Blur, Self::Noise, Self::Jpeg, Self::Eroded, Self::Hard];

    /// Thin strokes of smaller letters are gone after it.
    pub(crate) fn least_size(self) -> f32 {
        match self {
            Self::Eroded => 40.0,
            Self::Hard => 30.0,
            _ => 0.0,
        }
    }

    pub(crate) fn apply(self, mask: &GrayImage, random: &mut Random) -> GrayImage {
        match self {
            Self::None => mask.clone(),
            Self::Blur => image::imageops::blur(mask, 0.8),
            Self::Noise => {
                let near = image::imageops::blur(mask, 1.5);
                GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
                    let value = f32::from(mask.get_pixel(x, y).0[0]);
                    let noise = if near.get_pixel(x, y).0[0] > 4 { 48.0 * random.unit() - 24.0 } else { 0.0 };
                    Luma([(value + noise).clamp(0.0, 255.0) as u8])
                })
            }
            Self::Jpeg => jpeg(mask).unwrap_or_else(|| mask.clone()),
            Self::Eroded => {
                let at = |x: i64, y: i64| {
                    let inside = x >= 0 && y >= 0 && x < i64::from(mask.width()) && y < i64::from(mask.height());
                    if inside { mask.get_pixel(x as u32, y as u32).0[0] } else { 0 }
                };
                GrayImage::from_fn(mask.width(), mask.height(), |x, y| {
                    let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
                    let least = around.map(|(dx, dy)| at(i64::from(x) + dx, i64::from(y) + dy)).min();
                    Luma([least.unwrap_or(0)])
                })
            }
            Self::Hard => {
                let mut soft = image::imageops::blur(mask, 1.5);
                for pixel in soft.pixels_mut() {
                    pixel.0[0] = if pixel.0[0] >= 128 { 255 } else { 0 };
                }
                soft
            }
        }
    }
}

fn jpeg(mask: &GrayImage) -> Option<GrayImage> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 60).encode_image(mask).ok()?;
    let decoder = JpegDecoder::new(std::io::Cursor::new(bytes)).ok()?;
    Some(DynamicImage::from_decoder(decoder).ok()?.into_luma8())
}
