use std::io::{self, Write};

use image::{RgbaImage, imageops};

use crate::canvas::overlap;
use crate::resize::ResizeError;

/// Size of the pieces of compressed data that a PNG is written in.
const CHUNK_BYTES: usize = 64 << 10;

/// A picture could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The writer failed.
    #[error("the picture could not be written: {0}")]
    Io(#[from] io::Error),
    /// The encoder refused the picture; its own words.
    #[error("the picture could not be encoded: {0}")]
    Encode(String),
    /// The picture has no pixel to make a preview of.
    #[error(transparent)]
    Resize(#[from] ResizeError),
}

/// Writes a PNG: 8-bit RGBA, marked as sRGB, compressed for speed. Noise, which compression would enlarge, is stored.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn write_png(writer: impl Write, picture: &RgbaImage) -> Result<(), EncodeError> {
    write_placed_png(writer, picture, (0, 0), picture.dimensions())
}

/// [`write_png`] of a canvas of `size` with the picture at `at` and nothing around it. What of the picture lies outside is
/// cut off. The canvas itself is never in memory.
///
/// # Errors
/// When the writer fails or the canvas has no pixel.
pub fn write_placed_png(
    mut writer: impl Write,
    picture: &RgbaImage,
    at: (i32, i32),
    size: (u32, u32),
) -> Result<(), EncodeError> {
    let mut writer = KeepsError { writer: &mut writer, error: None };
    let written = encode_png(&mut writer, picture, at, size);
    written.map_err(|error| writer.error.map_or(error, EncodeError::Io))
}

/// Keeps the writer's own error. The encoder passes on only its text, but a full disk is recognised by its kind.
struct KeepsError<'a> {
    writer: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl KeepsError<'_> {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}

impl Write for KeepsError<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.writer.write(bytes);
        self.keep(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.writer.flush();
        self.keep(result)
    }
}

/// Not generic, so that the encoder is compiled once and not for every writer.
fn encode_png(
    writer: &mut KeepsError<'_>,
    picture: &RgbaImage,
    at: (i32, i32),
    size: (u32, u32),
) -> Result<(), EncodeError> {
    let is_whole = at == (0, 0) && picture.dimensions() == size;
    let mut encoder = png::Encoder::new(writer, size.0, size.1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    // What lies around a picture is worth compressing, whatever is in it.
    let is_stored = is_whole && grows(picture);
    encoder.set_compression(if is_stored { png::Compression::NoCompression } else { png::Compression::Fast });
    let mut writer = encoder.write_header().map_err(from_png)?;
    // Streamed: otherwise the encoder holds the whole compressed picture, several times over if it is noise.
    let mut pieces = writer.stream_writer_with_size(CHUNK_BYTES).map_err(from_png)?;
    if is_whole {
        pieces.write_all(picture.as_raw())?;
    } else {
        write_rows(&mut pieces, picture, at, size)?;
    }
    pieces.finish().map_err(from_png)?;
    writer.finish().map_err(from_png)
}

/// Writes the rows of a canvas of `size` with the picture at `at`.
fn write_rows(writer: &mut dyn Write, picture: &RgbaImage, at: (i32, i32), size: (u32, u32)) -> io::Result<()> {
    let columns = overlap(at.0, picture.width(), size.0);
    let row_bytes = picture.width() as usize * 4;
    // Where they begin on the canvas; 0 when there are none.
    let start = (i64::from(columns.start) + i64::from(at.0)).clamp(0, i64::from(size.0)) as usize * 4;
    let target = start..start + columns.len() * 4;
    let mut row = vec![0; size.0 as usize * 4];
    for y in 0..size.1 {
        let inside = u32::try_from(i64::from(y) - i64::from(at.1)).ok().filter(|y| *y < picture.height());
        match inside {
            Some(y) if !columns.is_empty() => {
                let from = y as usize * row_bytes + columns.start as usize * 4;
                row[target.clone()].copy_from_slice(&picture.as_raw()[from..from + target.len()]);
            }
            _ => row.fill(0),
        }
        writer.write_all(&row)?;
    }
    Ok(())
}

/// Whether fast compression would enlarge the picture, as it does with noise; judged from samples across it.
fn grows(picture: &RgbaImage) -> bool {
    const PARTS: u32 = 8;
    let (width, height) = (picture.width().min(512), picture.height().min(8));
    let mut sample = Vec::new();
    for part in 0..PARTS {
        let at = |side: u32, kept: u32| u64::from(side - kept) * u64::from(part) / u64::from(PARTS - 1);
        // At most a side, which is a u32.
        let (x, y) = (at(picture.width(), width) as u32, at(picture.height(), height) as u32);
        sample.extend(imageops::crop_imm(picture, x, y, width, height).to_image().into_raw());
    }
    let mut compressed = Vec::new();
    let mut encoder = png::Encoder::new(&mut compressed, width, height * PARTS);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        let mut pieces = writer.stream_writer()?;
        pieces.write_all(&sample)?;
        pieces.finish()
    });
    written.is_ok() && compressed.len() > sample.len() + 1024
}

fn from_png(error: png::EncodingError) -> EncodeError {
    match error {
        png::EncodingError::IoError(error) => EncodeError::Io(error),
        other => EncodeError::Encode(other.to_string()),
    }
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
            let mut bytes = Vec::new();
            write_png(&mut bytes, &picture).unwrap();
            prop_assert!(bytes.windows(4).any(|chunk| chunk == b"sRGB"));
            let read = decode(Cursor::new(bytes), &Limits::default()).unwrap();
            prop_assert_eq!(&read.pixels, &picture);
        }
    }

    proptest! {
        #[test]
        fn a_placed_picture_is_the_canvas_with_it(colours: [[u8; 4]; 6], x in -4..5, y in -4..5) {
            let picture = RgbaImage::from_fn(3, 2, |x, y| Rgba(colours[(y * 3 + x) as usize]));
            let mut canvas = RgbaImage::new(4, 3);
            image::imageops::replace(&mut canvas, &picture, i64::from(x), i64::from(y));
            let mut bytes = Vec::new();
            write_placed_png(&mut bytes, &picture, (x, y), (4, 3)).unwrap();
            prop_assert_eq!(decode(Cursor::new(bytes), &Limits::default()).unwrap().pixels, canvas);
        }
    }

    #[test]
    fn a_picture_far_outside_leaves_an_empty_canvas() {
        let picture = RgbaImage::from_pixel(3, 3, Rgba([9; 4]));
        for at in [(i32::MAX, 0), (i32::MIN, 0), (0, i32::MAX), (0, i32::MIN)] {
            let mut bytes = Vec::new();
            write_placed_png(&mut bytes, &picture, at, (5, 2)).unwrap();
            let read = decode(Cursor::new(bytes), &Limits::default()).unwrap();
            assert_eq!(read.pixels, RgbaImage::new(5, 2), "{at:?}");
        }
    }

    #[test]
    fn noise_is_not_made_larger() {
        let mut state = 1_u32;
        let mut noise = RgbaImage::new(300, 200);
        noise.iter_mut().for_each(|byte| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        });
        let mut bytes = Vec::new();
        write_png(&mut bytes, &noise).unwrap();
        assert!(bytes.len() < noise.as_raw().len() * 101 / 100, "{}", bytes.len());
        assert_eq!(decode(Cursor::new(bytes), &Limits::default()).unwrap().pixels, noise);
    }

    #[test]
    fn a_full_disk_is_told_by_its_kind() {
        struct Disk(usize);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let picture = RgbaImage::from_fn(400, 300, |x, y| Rgba([(x * y) as u8, (x ^ y) as u8, x as u8, 255]));
        let mut bytes = Vec::new();
        write_png(&mut bytes, &picture).unwrap();
        for room in [0, 40, 5000, 100_000, bytes.len() - 1] {
            let error = write_png(Disk(room.min(bytes.len() - 1)), &picture).unwrap_err();
            assert!(matches!(&error, EncodeError::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{error}");
        }
        write_png(Disk(bytes.len()), &picture).unwrap();
    }

    #[test]
    fn a_picture_without_pixels_is_an_error() {
        assert!(write_png(Vec::new(), &RgbaImage::new(0, 0)).is_err());
    }
}
