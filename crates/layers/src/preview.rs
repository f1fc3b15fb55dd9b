use std::io::Write;

use image::RgbaImage;
use image::codecs::jpeg::JpegEncoder;

use crate::composite::over_colour;
use crate::encode::EncodeError;
use crate::resize::thumbnail;

/// Longest side of a preview, in pixels.
pub const PREVIEW_SIDE: u32 = 1024;
/// JPEG quality, 0 to 100; higher values show no difference at preview size.
const PREVIEW_QUALITY: u8 = 85;

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

    use image::Rgba;

    use super::*;
    use crate::{Limits, decode};

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
        assert!(preview_jpeg(Vec::new(), &RgbaImage::new(0, 0)).is_err());
    }
}
