use std::io::SeekFrom;

use ::tiff::TiffError;
use ::tiff::decoder::Decoder;
use ::tiff::tags::Tag;
use image::DynamicImage;

use super::source::{Source, fill, metadata, skip};
use super::{DecodeError, from_io};

/// `ExtraSamples` value of alpha that the colours are already multiplied with (TIFF 6.0, section 18).
const ASSOCIATED: u16 = 1;
/// `PhotometricInterpretation` value of separated (printing) colours.
const SEPARATED: u16 = 5;

/// Type of numbers of two bytes.
const SHORT: u16 = 3;
/// Type of numbers of four bytes.
const LONG: u16 = 4;

/// Tags that only raw files of cameras have in their first directory: DNG's version, and a note that what follows is a
/// reduced picture, as in NEF and ARW.
const DNG_VERSION: u16 = 50_706;
const NEW_SUBFILE_TYPE: u16 = 254;

/// Tag of the ICC profile (ICC.1, annex B.2).
const ICC_PROFILE: u16 = 34_675;
/// Tags with an entry for every strip or tile, and the most values that they may have. The decoder turns each value into
/// 32 bytes.
const PARTS: ([u16; 4], u64) = ([273, 279, 324, 325], 1 << 20);
/// The other tags whose values the decoder reads, and the most values that they may have: width, length, bits per
/// sample, compression, photometric interpretation, orientation, samples per pixel, rows per strip, planar
/// configuration, predictor, tile width and length, extra samples, sample format, JPEG tables, chroma subsampling.
const READ: ([u16; 16], u64) =
    ([256, 257, 258, 259, 262, 274, 277, 278, 284, 317, 322, 323, 338, 339, 347, 530], 1 << 16);

/// The profile of the first picture. Refuses tags with so many values that the decoder would fill the memory with them.
///
/// TIFF 6.0, section 2; BigTIFF as described by the library libtiff.
pub(super) fn survey(reader: &mut dyn Source) -> Result<Option<Vec<u8>>, DecodeError> {
    let io_error = |error| from_io(error, "tiff");
    let Some(directory) = Directory::open(reader).map_err(io_error)? else { return Ok(None) };
    let mut profile = None;
    for _ in 0..directory.entries {
        let Some(entry) = directory.entry(reader).map_err(io_error)? else { break };
        for (tags, most) in [(&PARTS.0[..], PARTS.1), (&READ.0[..], READ.1)] {
            if tags.contains(&entry.tag) && entry.count > most {
                let reason = format!("{} values in tag {}, more than {most}", entry.count, entry.tag);
                return Err(DecodeError::Unsupported { format: "tiff", reason });
            }
        }
        let is_reduced = entry.tag == NEW_SUBFILE_TYPE && directory.long(&entry).is_some_and(|bits| bits & 1 == 1);
        if entry.tag == DNG_VERSION || is_reduced {
            let reason = "a camera's raw file, or one that begins with a reduced picture".to_owned();
            return Err(DecodeError::Unsupported { format: "tiff", reason });
        }
        if entry.tag == ICC_PROFILE && entry.is_bytes() {
            profile = Some(entry);
        }
    }
    let Some(profile) = profile else { return Ok(None) };
    reader.seek(SeekFrom::Start(profile.offset)).map_err(io_error)?;
    metadata(reader, profile.count).map_err(io_error)
}

/// The first directory of tags.
pub(super) struct Directory {
    little_endian: bool,
    big: bool,
    pub entries: u64,
}

pub(super) struct Entry {
    pub tag: u16,
    pub kind: u16,
    pub count: u64,
    /// Where the values lie, if they are too large to lie here.
    pub offset: u64,
}

impl Entry {
    /// BYTE or UNDEFINED, and so many that they lie elsewhere.
    fn is_bytes(&self) -> bool {
        matches!(self.kind, 1 | 7) && self.count > 8
    }
}

impl Directory {
    /// `reader` stands at the start of the file and then at the first entry. None when there is no directory, of which
    /// the decoder tells more.
    pub(super) fn open(reader: &mut dyn Source) -> std::io::Result<Option<Self>> {
        let mut head = [0; 4];
        if !fill(reader, &mut head)? {
            return Ok(None);
        }
        let directory = Self { little_endian: head[0] == b'I', big: head.contains(&43), entries: 0 };
        if directory.big {
            // The size of offsets.
            skip(reader, 4)?;
        }
        let Some(start) = directory.number(reader, if directory.big { 8 } else { 4 })? else { return Ok(None) };
        reader.seek(SeekFrom::Start(start))?;
        let entries = directory.number(reader, if directory.big { 8 } else { 2 })?;
        Ok(entries.map(|entries| Self { entries, ..directory }))
    }

    pub(super) fn entry(&self, reader: &mut dyn Source) -> std::io::Result<Option<Entry>> {
        let offset_bytes = if self.big { 8 } else { 4 };
        let mut numbers = [0; 4];
        for (number, bytes) in numbers.iter_mut().zip([2, 2, offset_bytes, offset_bytes]) {
            match self.number(reader, bytes)? {
                Some(found) => *number = found,
                None => return Ok(None),
            }
        }
        let [tag, kind, count, offset] = numbers;
        // Both were read from two bytes.
        Ok(Some(Entry { tag: tag as u16, kind: kind as u16, count, offset }))
    }

    pub(super) fn is_big(&self) -> bool {
        self.big
    }

    /// The one number of two bytes that lies in the entry itself.
    pub(super) fn short(&self, entry: &Entry) -> Option<u64> {
        let bits = if self.big { 64 } else { 32 };
        let value = if self.little_endian { entry.offset & 0xFFFF } else { entry.offset >> (bits - 16) };
        (entry.kind == SHORT && entry.count == 1).then_some(value)
    }

    /// The one number of four bytes that lies in the entry itself.
    fn long(&self, entry: &Entry) -> Option<u64> {
        let value = if self.little_endian || !self.big { entry.offset & 0xFFFF_FFFF } else { entry.offset >> 32 };
        (entry.kind == LONG && entry.count == 1).then_some(value)
    }

    /// The fraction in eight bytes of the file.
    pub(super) fn fraction(&self, bytes: [u8; 8]) -> Option<f64> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let number = |bytes| if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        let (above, below) = (number([a, b, c, d]), number([e, f, g, h]));
        (below != 0).then(|| f64::from(above) / f64::from(below))
    }

    /// The fraction that lies in the entry itself, where that has room for it.
    pub(super) fn inline_fraction(&self, entry: &Entry) -> Option<f64> {
        self.fraction(if self.little_endian { entry.offset.to_le_bytes() } else { entry.offset.to_be_bytes() })
    }

    /// A number of `bytes` bytes, at most 8; none at the end of the file.
    fn number(&self, reader: &mut dyn Source, bytes: usize) -> std::io::Result<Option<u64>> {
        let mut buffer = [0; 8];
        let part = &mut buffer[..bytes];
        if !fill(reader, part)? {
            return Ok(None);
        }
        if !self.little_endian {
            part.reverse();
        }
        Ok(Some(u64::from_le_bytes(buffer)))
    }
}

/// Whether the colours of the first picture are premultiplied, which the decoder does not undo.
pub(super) fn has_associated_alpha(reader: &mut dyn Source) -> Result<bool, DecodeError> {
    let mut decoder = Decoder::new(reader).map_err(translate)?;
    let photometric: Option<u16> = decoder.find_tag_unsigned(Tag::PhotometricInterpretation).map_err(translate)?;
    if photometric == Some(SEPARATED) {
        return Err(DecodeError::Cmyk { format: "tiff" });
    }
    let extra: Option<Vec<u16>> = decoder.find_tag_unsigned_vec(Tag::ExtraSamples).map_err(translate)?;
    Ok(extra.is_some_and(|kinds| kinds.first() == Some(&ASSOCIATED)))
}

/// Divides the colours by alpha.
pub(super) fn unpremultiply(picture: &mut DynamicImage) {
    match picture {
        DynamicImage::ImageRgba8(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
        }
        DynamicImage::ImageLumaA8(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
        }
        DynamicImage::ImageRgba16(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
        }
        DynamicImage::ImageLumaA16(pixels) => {
            pixels.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
        }
        _ => {}
    }
}

fn divide<T: Copy + Into<u64> + TryFrom<u64>>(pixel: &mut [T], full: u64) {
    let Some((alpha, colours)) = pixel.split_last_mut() else { return };
    let alpha: u64 = (*alpha).into();
    for colour in colours {
        let value: u64 = (*colour).into();
        let straight = (value * full + alpha / 2).checked_div(alpha).unwrap_or(0).min(full);
        if let Ok(straight) = T::try_from(straight) {
            *colour = straight;
        }
    }
}

fn translate(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) => from_io(error, "tiff"),
        TiffError::UnsupportedError(error) => DecodeError::Unsupported { format: "tiff", reason: error.to_string() },
        TiffError::LimitsExceeded => DecodeError::TooMuchMemory { format: "tiff" },
        other => DecodeError::Damaged { format: "tiff", reason: other.to_string() },
    }
}
