use std::io::{self, Write};

use image::RgbaImage;
use image::codecs::jpeg::JpegEncoder;

use crate::composite::over_colour;
use crate::resize::{ResizeError, thumbnail};

/// Longest side of a preview, in pixels.
pub const PREVIEW_SIDE: u32 = 1024;
/// 0 to 100; higher shows no difference at preview size.
const PREVIEW_QUALITY: u8 = 85;

/// A picture could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the picture could not be written: {0}; check the free space of the storage")]
    Io(#[from] io::Error),
    #[error("the picture could not be encoded: {0}")]
    Encode(String),
    #[error(transparent)]
    Resize(#[from] ResizeError),
}

/// How much time a PNG may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// About ten times as fast as `Small`.
    #[default]
    Fast,
    Small,
}

/// Writes a PNG (8-bit RGBA, marked as sRGB) with [`Compression::Fast`].
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn write_png(writer: impl Write, picture: &RgbaImage) -> Result<(), EncodeError> {
    write_png_with(writer, picture, Compression::Fast)
}

/// [`write_png`] with a choice of compression.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn write_png_with(
    mut writer: impl Write,
    picture: &RgbaImage,
    compression: Compression,
) -> Result<(), EncodeError> {
    // Not generic below, so that the encoder is compiled once and not for every writer.
    let writer: &mut dyn Write = &mut writer;
    let mut encoder = png::Encoder::new(writer, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    encoder.set_compression(match compression {
        Compression::Fast => png::Compression::Fast,
        Compression::Small => png::Compression::High,
    });
    let mut writer = encoder.write_header().map_err(from_png)?;
    writer.write_image_data(picture.as_raw()).map_err(from_png)?;
    writer.finish().map_err(from_png)
}

fn from_png(error: png::EncodingError) -> EncodeError {
    match error {
        png::EncodingError::IoError(error) => EncodeError::Io(error),
        other => EncodeError::Encode(other.to_string()),
    }
}

/// Writes a JPEG of the picture over white, at most [`PREVIEW_SIDE`] pixels on its longest side.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn preview_jpeg(writer: impl Write, picture: &RgbaImage) -> Result<(), EncodeError> {
    thumbnail_jpeg(writer, picture, PREVIEW_SIDE)
}

/// [`preview_jpeg`] with another longest side.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn thumbnail_jpeg(mut writer: impl Write, picture: &RgbaImage, longest: u32) -> Result<(), EncodeError> {
    let writer: &mut dyn Write = &mut writer;
    let small = over_colour(&thumbnail(picture, longest)?, [255; 3]);
    JpegEncoder::new_with_quality(writer, PREVIEW_QUALITY).encode_image(&small).map_err(|error| match error {
        image::ImageError::IoError(error) => EncodeError::Io(error),
        other => EncodeError::Encode(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Limits, decode};
    use image::Rgba;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_png_gives_back_every_byte(width in 1_u32..20, height in 1_u32..20, seed: [u8; 16]) {
            let picture = RgbaImage::from_fn(width, height, |x, y| {
                let at = |n: u32| seed[((x * 7 + y * 3 + n) % 16) as usize];
                Rgba([at(0), at(1), at(2), at(3)])
            });
            for compression in [Compression::Fast, Compression::Small] {
                let mut bytes = Vec::new();
                write_png_with(&mut bytes, &picture, compression).unwrap();
                prop_assert!(bytes.windows(4).any(|chunk| chunk == b"sRGB"));
                let read = decode(Cursor::new(bytes), &Limits::default()).unwrap();
                prop_assert_eq!(&read.pixels, &picture);
            }
        }
    }

    #[test]
    fn a_preview_is_small_and_over_white() {
        let picture = RgbaImage::from_pixel(2048, 100, Rgba([0, 0, 0, 0]));
        let mut bytes = Vec::new();
        preview_jpeg(&mut bytes, &picture).unwrap();
        let read = decode(Cursor::new(bytes), &Limits::default()).unwrap();
        assert_eq!((read.format, read.pixels.dimensions()), ("jpeg", (1024, 50)));
        assert!(read.pixels.pixels().all(|pixel| pixel.0 == [255; 4]));
    }

    #[test]
    fn a_picture_without_pixels_is_an_error() {
        assert!(write_png(Vec::new(), &RgbaImage::new(0, 0)).is_err());
        assert!(preview_jpeg(Vec::new(), &RgbaImage::new(0, 0)).is_err());
    }
}
