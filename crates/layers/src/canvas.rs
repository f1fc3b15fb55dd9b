use image::RgbaImage;

use crate::Blend;

/// A canvas whose pixels do not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a canvas of {width} x {height} pixels does not fit into memory")]
pub struct CanvasTooLarge {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Premultiplied colours and alpha with 16 bits each: half the memory of
/// `f32`, and still two hundred times finer than the 8 bits that come out.
/// Takes no memory before something is drawn on it.
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    /// All pixels, or none while nothing was drawn.
    pixels: Vec<[u16; 4]>,
}

const FULL: f32 = 65_535.0;
/// Memory of one pixel of a canvas.
pub(crate) const PIXEL_BYTES: u64 = 8;

impl Canvas {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: Vec::new() }
    }

    /// Puts `picture` over the canvas with its top left corner at `at`; what lies outside is cut off.
    /// `opacity` is 0 to 1.
    ///
    /// # Errors
    /// When the canvas does not fit into memory.
    pub(crate) fn draw(
        &mut self,
        picture: &RgbaImage,
        at: (i32, i32),
        (opacity, blend): (f32, Blend),
    ) -> Result<(), CanvasTooLarge> {
        let columns = overlap(at.0, picture.width(), self.width);
        let rows = overlap(at.1, picture.height(), self.height);
        // Beside the canvas in one direction is beside the canvas.
        if columns.is_empty() || rows.is_empty() || opacity <= 0.0 {
            return Ok(());
        }
        self.allocate()?;
        for y in rows {
            let source = (y as usize * picture.width() as usize + columns.start as usize) * 4;
            let source = &picture.as_raw()[source..source + columns.len() * 4];
            let x = i64::from(columns.start) + i64::from(at.0);
            let row = i64::from(y) + i64::from(at.1);
            // Both are on the canvas by the choice of `columns` and `rows`.
            let target = row as usize * self.width as usize + x as usize;
            let target = &mut self.pixels[target..target + columns.len()];
            for (below, pixel) in target.iter_mut().zip(source.as_chunks::<4>().0) {
                if pixel[3] == 0 {
                    continue;
                }
                let alpha = f32::from(pixel[3]) / 255.0 * opacity;
                let colour = |value: u8| f32::from(value) / 255.0 * alpha * FULL;
                let top = [colour(pixel[0]), colour(pixel[1]), colour(pixel[2]), alpha * FULL];
                over(below, mixed(*below, top, blend));
            }
        }
        Ok(())
    }

    /// Puts another canvas of the same size over this one. `opacity` is 0 to 1.
    pub(crate) fn draw_canvas(&mut self, mut top: Canvas, (opacity, blend): (f32, Blend)) {
        if self.pixels.is_empty() {
            // Over nothing, the faded pixels themselves are the sum.
            for pixel in &mut top.pixels {
                *pixel = pixel.map(|value| (f32::from(value) * opacity).round() as u16);
            }
            self.pixels = top.pixels;
            return;
        }
        for (below, pixel) in self.pixels.iter_mut().zip(&top.pixels) {
            if pixel[3] > 0 {
                over(below, mixed(*below, pixel.map(|value| f32::from(value) * opacity), blend));
            }
        }
    }

    /// Straight 8 bit, rounded to nearest.
    ///
    /// # Errors
    /// When the picture does not fit into memory.
    pub(crate) fn into_picture(self) -> Result<RgbaImage, CanvasTooLarge> {
        reserve::<[u8; 4]>(self.width, self.height)?;
        let mut out = RgbaImage::new(self.width, self.height);
        for (out, sum) in out.pixels_mut().zip(&self.pixels) {
            let alpha = (u32::from(sum[3]) + 128) / 257;
            if alpha > 0 {
                let colour = |value: u16| (f32::from(value) / f32::from(sum[3]) * 255.0).round() as u8;
                out.0 = [colour(sum[0]), colour(sum[1]), colour(sum[2]), alpha as u8];
            }
        }
        Ok(out)
    }

    fn allocate(&mut self) -> Result<(), CanvasTooLarge> {
        if self.pixels.is_empty() {
            let pixels = reserve::<[u16; 4]>(self.width, self.height)?;
            self.pixels = vec![[0; 4]; pixels];
        }
        Ok(())
    }
}

/// The number of pixels, once it is known that memory for so many can be had: an allocation that fails later would
/// end the process.
fn reserve<T>(width: u32, height: u32) -> Result<usize, CanvasTooLarge> {
    let too_large = CanvasTooLarge { width, height };
    let pixels = usize::try_from(u64::from(width) * u64::from(height)).map_err(|_| too_large)?;
    let mut probe = Vec::<T>::new();
    probe.try_reserve_exact(pixels).map_err(|_| too_large)?;
    // An allocation that nobody looks at may be optimised away, and the answer with it.
    std::hint::black_box(&probe);
    Ok(pixels)
}

/// What is put over `below` in place of `top`, both premultiplied, 0 to 65535: its colours mixed as far as there is something
/// below.
fn mixed(below: [u16; 4], top: [f32; 4], blend: Blend) -> [f32; 4] {
    if blend.is_normal() || below[3] == 0 || top[3] <= 0.0 {
        return top;
    }
    let [alpha, covered] = [top[3], f32::from(below[3])];
    let mut out = top;
    for (channel, out) in out.iter_mut().take(3).enumerate() {
        let (own, other) = ((*out / alpha).min(1.0), (f32::from(below[channel]) / covered).min(1.0));
        let share = covered / FULL;
        *out = alpha * (own * (1.0 - share) + blend.mix(other, own) * share);
    }
    out
}

/// `top` is premultiplied, 0 to 65535.
fn over(below: &mut [u16; 4], top: [f32; 4]) {
    let rest = 1.0 - top[3] / FULL;
    for (below, top) in below.iter_mut().zip(top) {
        *below = (top + f32::from(*below) * rest).round() as u16;
    }
}

/// Which of `length` pixels that begin at `offset` lie inside `0..limit`.
pub(crate) fn overlap(offset: i32, length: u32, limit: u32) -> std::ops::Range<u32> {
    let offset = i64::from(offset);
    let start = (-offset).clamp(0, i64::from(length));
    let end = (i64::from(limit) - offset).clamp(start, i64::from(length));
    // Both lie in 0..=length, which is a u32.
    start as u32..end as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;
    use proptest::prelude::*;

    #[test]
    fn what_lies_outside_is_cut_off() {
        let picture = RgbaImage::from_fn(3, 3, |x, y| Rgba([x as u8 * 10, y as u8 * 10, 5, 255]));
        let mut canvas = Canvas::new(4, 2);
        for at in [(-1, -2), (3, 1), (i32::MAX, i32::MIN), (-3, 0), (4, 0), (0, 2), (0, -3), (i32::MIN, 1)] {
            canvas.draw(&picture, at, (1.0, Blend::Normal)).unwrap();
        }
        let out = canvas.into_picture().unwrap();
        assert_eq!(out.get_pixel(0, 0).0, [10, 20, 5, 255]);
        assert_eq!(out.get_pixel(1, 0).0, [20, 20, 5, 255]);
        assert_eq!(out.get_pixel(3, 1).0, [0, 0, 5, 255]);
        assert_eq!(out.pixels().filter(|pixel| pixel[3] > 0).count(), 3);
    }

    #[test]
    fn a_canvas_beyond_all_memory_is_an_error() {
        let mut canvas = Canvas::new(u32::MAX, u32::MAX);
        let picture = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 255]));
        let error = CanvasTooLarge { width: u32::MAX, height: u32::MAX };
        assert_eq!(canvas.draw(&picture, (0, 0), (1.0, Blend::Normal)), Err(error));
        assert_eq!(canvas.into_picture(), Err(error));
    }

    proptest! {
        #[test]
        fn sixteen_bits_round_as_floats_do(pixels in prop::collection::vec(any::<[u8; 4]>(), 1..12)) {
            let pictures: Vec<_> = pixels.iter().map(|pixel| RgbaImage::from_pixel(1, 1, Rgba(*pixel))).collect();
            let mut canvas = Canvas::new(1, 1);
            for picture in &pictures {
                canvas.draw(picture, (0, 0), (1.0, Blend::Normal)).unwrap();
            }
            let expected = crate::flatten_pictures(1, 1, &pictures.iter().collect::<Vec<_>>()).unwrap();
            let found = canvas.into_picture().unwrap();
            prop_assert!(crate::Difference::between(&found, &expected).unwrap().max <= 1);
        }
    }
}
