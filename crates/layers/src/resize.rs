use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbaImage;

/// Which kernel a resize uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Sharp; the usual choice for both directions.
    #[default]
    Lanczos3,
    /// Soft, never outside the range of its neighbours.
    Bilinear,
    /// Mean of the source pixels that fall into a target pixel.
    Area,
    /// The nearest source pixel.
    Nearest,
}

/// A picture could not be resized.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be resized to {width} x {height} pixels: {reason}")]
pub struct ResizeError {
    /// Width that was asked for, in pixels.
    pub width: u32,
    /// Height that was asked for, in pixels.
    pub height: u32,
    /// What is wrong with one of the sizes.
    pub reason: String,
}

/// Resizes with premultiplied colours, so that no colour of transparent pixels
/// bleeds into edges. Works in 16 bits per channel, because 8 bits would lose
/// the colours of nearly transparent pixels.
///
/// # Errors
/// When either size is zero.
pub fn resize(picture: &RgbaImage, width: u32, height: u32, filter: Filter) -> Result<RgbaImage, ResizeError> {
    if picture.dimensions() == (width, height) {
        return Ok(picture.clone());
    }
    let whole = (f64::from(picture.width()), f64::from(picture.height()));
    resize_part(picture, whole, width, height, filter)
}

/// What of a picture lies left of and above `part`, resized. In pixels, not necessarily whole ones.
fn resize_part(
    picture: &RgbaImage,
    part: (f64, f64),
    width: u32,
    height: u32,
    filter: Filter,
) -> Result<RgbaImage, ResizeError> {
    let fail = |reason: String| ResizeError { width, height, reason };
    if width == 0 || height == 0 || picture.width() == 0 || picture.height() == 0 {
        return Err(fail("a picture needs at least one pixel".into()));
    }
    let deep = picture.pixels().map(|pixel| U16x4::new(pixel.0.map(|value| u16::from(value) * 257))).collect();
    let source =
        TypedImage::from_pixels(picture.width(), picture.height(), deep).map_err(|error| fail(error.to_string()))?;
    let mut target = TypedImage::<U16x4>::new(width, height);
    let options = ResizeOptions::new().use_alpha(true).crop(0.0, 0.0, part.0, part.1).resize_alg(match filter {
        Filter::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Area => ResizeAlg::Convolution(FilterType::Box),
        Filter::Nearest => ResizeAlg::Nearest,
    });
    // The call for one pixel type: the one for any compiles the kernels of all of them into this crate.
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|error| fail(error.to_string()))?;
    let shallow = target.pixels().iter().flat_map(|pixel| pixel.0.map(|value| ((u32::from(value) + 128) / 257) as u8));
    RgbaImage::from_raw(width, height, shallow.collect()).ok_or_else(|| fail("the buffer has another size".into()))
}

/// The size of `width` x `height` scaled so that its longest side is at most
/// `longest`, never enlarged and never below one pixel.
pub fn fit(width: u32, height: u32, longest: u32) -> (u32, u32) {
    let side = width.max(height).max(1);
    if side <= longest {
        return (width, height);
    }
    let scale = |length: u32| {
        let scaled = (u64::from(length) * u64::from(longest) + u64::from(side) / 2) / u64::from(side);
        // At most `longest`, which is a u32.
        u32::try_from(scaled).unwrap_or(longest).max(1)
    };
    (scale(width), scale(height))
}

/// The picture so small that its longest side is at most `longest`; never enlarged. For pictures to look at: a large
/// one is first reduced by a whole factor, which needs little memory beside it.
///
/// # Errors
/// When the picture has no pixel.
pub(crate) fn thumbnail(picture: &RgbaImage, longest: u32) -> Result<RgbaImage, ResizeError> {
    let (width, height) = fit(picture.width(), picture.height(), longest);
    let side = picture.width().max(picture.height());
    // Twice as large as wanted, so that the kernel below decides how sharp it is.
    let factor = side / longest.saturating_mul(2).max(1);
    if factor < 2 || picture.is_empty() {
        return resize(picture, width, height, Filter::Lanczos3);
    }
    let part = |side: u32| f64::from(side) / f64::from(factor);
    let reduced = reduce(picture, factor);
    resize_part(&reduced, (part(picture.width()), part(picture.height())), width, height, Filter::Lanczos3)
}

/// The mean of every `factor` x `factor` pixels, premultiplied; what is left over at the right and below counts alone.
fn reduce(picture: &RgbaImage, factor: u32) -> RgbaImage {
    let width = picture.width().div_ceil(factor);
    let mut out = RgbaImage::new(width, picture.height().div_ceil(factor));
    let row_bytes = picture.width() as usize * 4;
    let mut sums = vec![[0_u64; 5]; width as usize];
    for (rows, target) in picture.as_raw().chunks(row_bytes * factor as usize).zip(out.rows_mut()) {
        sums.fill([0; 5]);
        for row in rows.chunks_exact(row_bytes) {
            for (pixels, sum) in row.chunks(4 * factor as usize).zip(&mut sums) {
                for pixel in pixels.as_chunks::<4>().0 {
                    let alpha = u64::from(pixel[3]);
                    for (sum, value) in sum.iter_mut().zip(&pixel[..3]) {
                        *sum += u64::from(*value) * alpha;
                    }
                    sum[3] += alpha;
                    sum[4] += 1;
                }
            }
        }
        for (pixel, sum) in target.zip(&sums) {
            let mean = |total: u64, count: u64| ((total + count / 2) / count.max(1)) as u8;
            pixel.0 = [mean(sum[0], sum[3]), mean(sum[1], sum[3]), mean(sum[2], sum[3]), mean(sum[3], sum[4])];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    #[test]
    fn a_transparent_neighbour_does_not_bleed() {
        // Opaque red beside transparent green: no green may show at any alpha.
        let picture =
            RgbaImage::from_fn(64, 64, |x, _| if x < 32 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) });
        for (width, height) in [(33, 47), (150, 150)] {
            for filter in [Filter::Lanczos3, Filter::Bilinear, Filter::Area] {
                let out = resize(&picture, width, height, filter).unwrap();
                assert_eq!(out.dimensions(), (width, height));
                assert!(out.pixels().all(|pixel| pixel[1] == 0 && pixel[2] == 0));
                assert!(out.pixels().all(|pixel| pixel[3] < 3 || pixel[0] >= 254), "{filter:?}");
            }
        }
    }

    #[test]
    fn colours_of_faint_pixels_survive() {
        let picture = RgbaImage::from_pixel(16, 16, Rgba([200, 100, 50, 3]));
        let out = resize(&picture, 8, 8, Filter::Lanczos3).unwrap();
        assert!(out.pixels().all(|pixel| pixel.0 == [200, 100, 50, 3]));
    }

    #[test]
    fn a_thumbnail_of_a_large_picture_is_that_of_a_resize() {
        let picture = RgbaImage::from_fn(643, 411, |x, y| {
            let alpha = if (x / 40 + y / 40) % 2 == 0 { 255 } else { (x % 256) as u8 };
            Rgba([(x / 3) as u8, (y / 2) as u8, 90, alpha])
        });
        let (found, wanted) = (thumbnail(&picture, 40).unwrap(), resize(&picture, 40, 26, Filter::Lanczos3).unwrap());
        assert_eq!(found.dimensions(), (40, 26));
        let difference = crate::Difference::between(&found, &wanted).unwrap();
        assert!(difference.mean < 2.0 && difference.max < 24, "{difference:?}");
        assert_eq!(thumbnail(&picture, 2000).unwrap(), picture);
        assert!(thumbnail(&RgbaImage::new(0, 100_000), 4).is_err());
    }

    #[test]
    fn a_size_of_zero_is_refused() {
        assert!(resize(&RgbaImage::new(4, 4), 0, 4, Filter::Lanczos3).is_err());
        assert!(resize(&RgbaImage::new(0, 4), 4, 4, Filter::Lanczos3).is_err());
    }

    #[test]
    fn fitting_keeps_the_shape_and_never_enlarges() {
        assert_eq!(fit(4000, 2000, 1024), (1024, 512));
        assert_eq!(fit(10, 20, 1024), (10, 20));
        assert_eq!(fit(100_000, 1, 1024), (1024, 1));
        assert_eq!(fit(u32::MAX, u32::MAX, 1024), (1024, 1024));
    }
}
