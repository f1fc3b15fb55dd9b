//! What the decoder of BMP does not read: alpha that only the header's mask tells of, profiles, density.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use image::DynamicImage;

use super::source::{Source, metadata, read_buffered};
use super::{DecodeError, from_io};
use crate::Density;

/// The file header, and the largest header of a picture.
const FILE_HEADER: usize = 14;
const MAX_HEADER: usize = FILE_HEADER + 124;

/// Values of the field `Compression`.
const RGB: u32 = 0;
const BIT_FIELDS: u32 = 3;
const ALPHA_BIT_FIELDS: u32 = 6;

/// Sizes of headers: the oldest with a compression, and the oldest that has a mask of alpha in it.
const INFO_HEADER: u32 = 40;
const V3_HEADER: u32 = 56;
const V5_HEADER: u32 = 124;

/// `PROFILE_EMBEDDED` as it lies in the file.
const EMBEDDED: &[u8; 4] = b"DEBM";

/// What stands in a BMP before its pixels.
#[derive(Default)]
pub(super) struct Survey {
    /// The first bytes of the file, so that the decoder sees the alpha.
    pub head: Vec<u8>,
    pub profile: Option<Vec<u8>>,
    pub density: Option<Density>,
}

/// Reads the headers (Microsoft, `BITMAPV5HEADER`). `reader` stands at the start of the file, which is at `start`.
pub(super) fn survey(reader: &mut dyn Source, start: u64) -> Result<Survey, DecodeError> {
    read(reader, start).map_err(|error| from_io(error, "bmp"))
}

fn read(reader: &mut dyn Source, start: u64) -> io::Result<Survey> {
    let mut head = Vec::new();
    (&mut *reader).take(MAX_HEADER as u64).read_to_end(&mut head)?;
    let mut survey = Survey::default();
    let u32_at = |at: usize| head.get(FILE_HEADER + at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if let (Some(size), Some(x), Some(y)) = (u32_at(0), u32_at(24), u32_at(28))
        && size >= INFO_HEADER
    {
        survey.density = Density::per_metre(x, y);
    }
    if u32_at(0) == Some(V5_HEADER)
        && head.get(FILE_HEADER + 56..FILE_HEADER + 60) == Some(EMBEDDED)
        && let (Some(offset), Some(length)) = (u32_at(112), u32_at(116))
    {
        reader.seek(SeekFrom::Start(start + FILE_HEADER as u64 + u64::from(offset)))?;
        survey.profile = metadata(reader, length.into())?;
    }
    survey.head = head;
    show_alpha(&mut survey.head);
    Ok(survey)
}

/// Turns a header whose alpha the decoder would not read into an equal one whose alpha it reads.
fn show_alpha(head: &mut [u8]) -> Option<()> {
    let u32_at = |head: &[u8], at: usize| head.get(FILE_HEADER + at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
    let (size, compression, alpha) = (u32_at(head, 0)?, u32_at(head, 16)?, u32_at(head, 52)?);
    let bits = u16::from_le_bytes(*head.get(FILE_HEADER + 14..)?.first_chunk()?);
    let mut put = |at: usize, value: u32| {
        if let Some(bytes) = head.get_mut(FILE_HEADER + at..).and_then(|rest| rest.first_chunk_mut()) {
            *bytes = value.to_le_bytes();
        }
    };
    match (compression, bits) {
        // The masks of the colours mean nothing here, and their places are fixed.
        (RGB, 16 | 32) if size >= V3_HEADER && alpha != 0 => {
            let masks: [u32; 4] = match bits {
                16 => [0x7C00, 0x03E0, 0x001F, 0x8000],
                _ => [0x00FF_0000, 0x0000_FF00, 0x0000_00FF, 0xFF00_0000],
            };
            put(16, BIT_FIELDS);
            masks.into_iter().enumerate().for_each(|(index, mask)| put(40 + 4 * index, mask));
        }
        // Its four masks lie where those of a larger header do.
        (ALPHA_BIT_FIELDS, 16 | 32) if size == INFO_HEADER => {
            put(0, V3_HEADER);
            put(16, BIT_FIELDS);
        }
        (ALPHA_BIT_FIELDS, 16 | 32) if size >= V3_HEADER => put(16, BIT_FIELDS),
        _ => {}
    }
    Some(())
}

/// Many programs write a mask of alpha and leave all alpha at 0; nobody means a picture that cannot be seen.
pub(super) fn uncover(picture: &mut DynamicImage) {
    if let DynamicImage::ImageRgba8(pixels) = picture
        && pixels.pixels().all(|pixel| pixel[3] == 0)
    {
        pixels.pixels_mut().for_each(|pixel| pixel[3] = 255);
    }
}

/// A file with other first bytes.
pub(super) struct WithHead<'a> {
    head: Vec<u8>,
    inner: &'a mut dyn Source,
    start: u64,
    /// From the start of the file; `inner` is there too, once it is behind the head.
    at: u64,
}

impl<'a> WithHead<'a> {
    /// `inner`, whose file starts at `start`, with its first bytes replaced by `head`.
    pub(super) fn new(inner: &'a mut dyn Source, start: u64, head: Vec<u8>) -> io::Result<Self> {
        inner.seek(SeekFrom::Start(start + head.len() as u64))?;
        Ok(Self { head, inner, start, at: 0 })
    }

    fn head_left(&self) -> &[u8] {
        usize::try_from(self.at).ok().and_then(|at| self.head.get(at..)).unwrap_or_default()
    }
}

impl BufRead for WithHead<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head_left().is_empty() { self.inner.fill_buf() } else { Ok(self.head_left()) }
    }

    fn consume(&mut self, amount: usize) {
        if self.head_left().is_empty() {
            self.inner.consume(amount);
        }
        self.at += amount as u64;
    }
}

impl Read for WithHead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl Seek for WithHead<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.inner.seek(SeekFrom::End(by))?.checked_sub(self.start),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.seek(SeekFrom::Start(self.start + self.at.max(self.head.len() as u64)))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Limits, Picture, decode};

    /// 2 x 1 pixels, blue, green, red and alpha.
    const PIXELS: [u8; 8] = [0x28, 0x1E, 0xC8, 0x80, 1, 2, 3, 0xFF];

    fn bmp(header: u32, compression: u32, bits: u16, rest: &[u8], pixels: &[u8]) -> Vec<u8> {
        let size = header.max(INFO_HEADER + rest.len() as u32) as usize;
        let mut file = vec![0; FILE_HEADER + size];
        file[..2].copy_from_slice(b"BM");
        let mut put = |at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(2, (FILE_HEADER + size + pixels.len()) as u32);
        put(10, (FILE_HEADER + size) as u32);
        put(14, header);
        put(18, (pixels.len() * 8 / usize::from(bits)) as u32);
        put(22, 1);
        put(26, 1 | u32::from(bits) << 16);
        put(30, compression);
        put(38, 11_811);
        put(42, 11_811);
        file[54..54 + rest.len()].copy_from_slice(rest);
        file.extend(pixels);
        file
    }

    fn masks(masks: [u32; 4]) -> Vec<u8> {
        masks.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn read(file: &[u8]) -> Picture {
        decode(Cursor::new(file), &Limits::default()).expect("a picture")
    }

    fn pixels(file: &[u8]) -> Vec<[u8; 4]> {
        read(file).pixels.pixels().map(|pixel| pixel.0).collect()
    }

    #[test]
    fn a_mask_of_alpha_counts_whatever_the_compression() {
        let with_alpha = masks([0x00FF_0000, 0xFF00, 0xFF, 0xFF00_0000]);
        let expected = [[200, 30, 40, 128], [3, 2, 1, 255]];
        for header in [56, 108, 124] {
            for compression in [RGB, BIT_FIELDS] {
                let file = bmp(header, compression, 32, &with_alpha, &PIXELS);
                assert_eq!(pixels(&file), expected, "{header} {compression}");
            }
            // Only alpha has a mask.
            let file = bmp(header, RGB, 32, &masks([0, 0, 0, 0xFF00_0000]), &PIXELS);
            assert_eq!(pixels(&file), expected, "{header}");
            let opaque = [[200, 30, 40, 255], [3, 2, 1, 255]];
            let file = bmp(header, RGB, 32, &masks([0x00FF_0000, 0xFF00, 0xFF, 0]), &PIXELS);
            assert_eq!(pixels(&file), opaque, "{header} without alpha");
        }
        assert_eq!(pixels(&bmp(INFO_HEADER, ALPHA_BIT_FIELDS, 32, &with_alpha, &PIXELS)), expected);
        // 40 bytes have no place for a mask: the fourth byte is padding.
        assert_eq!(pixels(&bmp(INFO_HEADER, RGB, 32, &[], &PIXELS))[0], [200, 30, 40, 255]);
    }

    #[test]
    fn alpha_of_one_bit_is_read() {
        // Red, green and blue of five bits, then alpha: opaque red, clear blue.
        let file = bmp(108, RGB, 16, &masks([0, 0, 0, 0x8000]), &[0, 0xFC, 0x1F, 0]);
        assert_eq!(pixels(&file), [[255, 0, 0, 255], [0, 0, 255, 0]]);
    }

    #[test]
    fn a_picture_whose_alpha_is_0_everywhere_is_opaque() {
        let file = bmp(124, RGB, 32, &masks([0, 0, 0, 0xFF00_0000]), &[1, 2, 3, 0, 4, 5, 6, 0]);
        assert_eq!(pixels(&file), [[3, 2, 1, 255], [6, 5, 4, 255]]);
    }

    #[test]
    fn an_embedded_profile_and_the_density_are_read() {
        let profile = moxcms::ColorProfile::new_display_p3().encode().expect("a profile");
        let mut rest = vec![0; 84];
        rest[..16].copy_from_slice(&masks([0x00FF_0000, 0xFF00, 0xFF, 0xFF00_0000]));
        rest[16..20].copy_from_slice(EMBEDDED);
        // From the start of the picture's header: behind it and eight bytes of pixels.
        rest[72..76].copy_from_slice(&132_u32.to_le_bytes());
        rest[76..80].copy_from_slice(&(profile.len() as u32).to_le_bytes());
        let mut file = bmp(124, BIT_FIELDS, 32, &rest, &[50, 100, 200, 255, 50, 100, 200, 255]);
        file.extend(&profile);
        let picture = read(&file);
        for (found, expected) in picture.pixels.get_pixel(0, 0).0.into_iter().zip([215_u8, 93, 31, 255]) {
            assert!(found.abs_diff(expected) <= 1, "{found} {expected}");
        }
        assert_eq!(picture.density, Density::new(300.0, 300.0));
    }
}
