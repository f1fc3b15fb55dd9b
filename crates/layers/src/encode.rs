use std::io::{self, Write};

use image::{RgbaImage, imageops};

use crate::canvas::overlap;
use crate::resize::ResizeError;
use crate::spread::{REACH, spread};
use crate::{Density, Rect};

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

/// Writes a PNG: 8-bit RGBA, marked as sRGB, compressed for speed, every byte as it is. Noise, which compression would
/// enlarge, is stored.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn write_png(writer: impl Write, picture: &RgbaImage) -> Result<(), EncodeError> {
    write_dense_png(writer, picture, None)
}

/// [`write_png`] with a note of how densely the pixels lie on paper.
///
/// # Errors
/// When the writer fails or the picture has no pixel.
pub fn write_dense_png(
    mut writer: impl Write,
    picture: &RgbaImage,
    density: Option<Density>,
) -> Result<(), EncodeError> {
    let canvas = Canvas { size: picture.dimensions(), at: (0, 0), density };
    encode_kept(&mut writer, picture, &canvas)
}

/// Writes a layer as [`write_dense_png`] does: a canvas of `size` with the picture at `at` and nothing around it. What of
/// the picture lies outside is cut off. The canvas itself is never in memory.
///
/// The colours of what is visible are spread over the next transparent pixels, in the picture too; their alpha stays 0.
/// Readers that blend colours without weighing them by alpha show dark rims otherwise.
///
/// # Errors
/// When the writer fails or the canvas has no pixel.
pub fn write_layer_png(
    mut writer: impl Write,
    picture: &mut RgbaImage,
    at: (i32, i32),
    size: (u32, u32),
    density: Option<Density>,
) -> Result<(), EncodeError> {
    spread(picture);
    encode_kept(&mut writer, picture, &Canvas { size, at, density })
}

/// [`write_png`] of the part of a picture, which lies within it.
pub(crate) fn write_part_png(mut writer: impl Write, picture: &RgbaImage, part: Rect) -> Result<(), EncodeError> {
    let before = |at: u32| i32::try_from(at).map(|at| -at).map_err(|_| EncodeError::Encode("too large".into()));
    let at = (before(part.x)?, before(part.y)?);
    encode_kept(&mut writer, picture, &Canvas { size: (part.width, part.height), at, density: None })
}

fn encode_kept(writer: &mut dyn Write, picture: &RgbaImage, canvas: &Canvas) -> Result<(), EncodeError> {
    let mut writer = KeepsError { writer, error: None };
    let written = encode_png(&mut writer, picture, canvas);
    written.map_err(|error| writer.error.map_or(error, EncodeError::Io))
}

/// What a picture is written on.
struct Canvas {
    size: (u32, u32),
    /// Where the picture lies.
    at: (i32, i32),
    density: Option<Density>,
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
fn encode_png(writer: &mut KeepsError<'_>, picture: &RgbaImage, canvas: &Canvas) -> Result<(), EncodeError> {
    let Canvas { size, at, density } = *canvas;
    let is_whole = at == (0, 0) && picture.dimensions() == size;
    let mut encoder = png::Encoder::new(writer, size.0, size.1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    encoder.set_pixel_dims(density.map(|density| {
        let (xppu, yppu) = density.to_per_metre();
        png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter }
    }));
    // What lies around a picture is worth compressing, whatever is in it.
    let is_covered = covers(picture, canvas);
    let is_stored = is_covered && grows(picture);
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

/// Whether the canvas has nothing around the picture.
fn covers(picture: &RgbaImage, canvas: &Canvas) -> bool {
    let along = |at: i32, length: u32, size: u32| at <= 0 && i64::from(at) + i64::from(length) >= i64::from(size);
    along(canvas.at.0, picture.width(), canvas.size.0) && along(canvas.at.1, picture.height(), canvas.size.1)
}

/// Writes the rows of a canvas of `size` with the picture at `at`. Within [`REACH`] of the picture the canvas has the
/// colours of its edge, with an alpha of 0.
fn write_rows(writer: &mut dyn Write, picture: &RgbaImage, at: (i32, i32), size: (u32, u32)) -> io::Result<()> {
    let columns = overlap(at.0, picture.width(), size.0);
    let (pixels, _) = picture.as_raw().as_chunks::<4>();
    // Where they begin on the canvas; 0 when there are none.
    let start = (i64::from(columns.start) + i64::from(at.0)).clamp(0, i64::from(size.0)) as usize;
    let target = start..start + columns.len();
    let mut row = vec![[0; 4]; size.0 as usize];
    let reach = i64::from(REACH);
    for y in 0..size.1 {
        let from = i64::from(y) - i64::from(at.1);
        // The nearest row of the picture.
        let nearest = from.clamp(0, i64::from(picture.height()) - 1);
        row.fill([0; 4]);
        if !columns.is_empty() && nearest >= 0 && (from - nearest).abs() <= reach {
            let row_start = nearest as usize * picture.width() as usize;
            let columns = columns.start as usize..columns.end as usize;
            row[target.clone()].copy_from_slice(&pixels[row_start + columns.start..row_start + columns.end]);
            extend(&mut row, &target, usize::from(REACH));
            if from != nearest {
                row.iter_mut().for_each(|pixel| pixel[3] = 0);
            }
        }
        writer.write_all(row.as_flattened())?;
    }
    Ok(())
}

/// Continues the colours of the first and the last pixel of `filled`, with an alpha of 0.
fn extend(row: &mut [[u8; 4]], filled: &std::ops::Range<usize>, reach: usize) {
    let clear = |[r, g, b, _]: [u8; 4]| [r, g, b, 0];
    let (first, last) = (clear(row[filled.start]), clear(row[filled.end - 1]));
    row[filled.start.saturating_sub(reach)..filled.start].fill(first);
    let end = (filled.end + reach).min(row.len());
    row[filled.end..end].fill(last);
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
        fn a_layer_is_the_canvas_with_it(colours: [[u8; 4]; 6], x in -4..5, y in -4..5) {
            let picture = RgbaImage::from_fn(3, 2, |x, y| Rgba(colours[(y * 3 + x) as usize]));
            let mut canvas = RgbaImage::new(4, 3);
            image::imageops::replace(&mut canvas, &picture, i64::from(x), i64::from(y));
            let mut bytes = Vec::new();
            write_layer_png(&mut bytes, &mut { picture }, (x, y), (4, 3), Density::new(300.0, 72.0)).unwrap();
            let read = decode(Cursor::new(bytes), &Limits::default()).unwrap();
            let visible = |picture: &RgbaImage| -> Vec<_> { picture.pixels().map(|pixel| crate::premultiply(*pixel)).collect() };
            prop_assert_eq!(visible(&read.pixels), visible(&canvas));
            prop_assert_eq!(read.density, Density::new(300.0, 72.0));
        }
    }

    #[test]
    fn colours_go_on_around_a_layer_and_alpha_does_not() {
        let picture = RgbaImage::from_fn(6, 6, |x, y| if x + y < 6 { Rgba([200, 100, 50, 255]) } else { Rgba([0; 4]) });
        let mut bytes = Vec::new();
        write_layer_png(&mut bytes, &mut { picture }, (20, 20), (60, 50), None).unwrap();
        let read = decode(Cursor::new(bytes), &Limits::default()).unwrap().pixels;
        for (x, y, pixel) in read.enumerate_pixels() {
            let is_visible = (20..26).contains(&x) && (20..26).contains(&y) && x + y < 46;
            assert_eq!(pixel[3], if is_visible { 255 } else { 0 }, "{x} {y}");
            let is_near = (19..=26).contains(&x) && (19..=26).contains(&y);
            if is_near || is_visible {
                assert_eq!(pixel.0[..3], [200, 100, 50], "{x} {y}");
            }
            let is_far = !(12..34).contains(&x) || !(12..34).contains(&y);
            assert!(!is_far || pixel.0 == [0; 4], "{x} {y}: {pixel:?}");
        }
    }

    #[test]
    fn a_picture_far_outside_leaves_an_empty_canvas() {
        for at in [(i32::MAX, 0), (i32::MIN, 0), (0, i32::MAX), (0, i32::MIN)] {
            let mut bytes = Vec::new();
            write_layer_png(&mut bytes, &mut RgbaImage::from_pixel(3, 3, Rgba([9; 4])), at, (5, 2), None).unwrap();
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
