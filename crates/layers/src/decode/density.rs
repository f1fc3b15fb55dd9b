//! How large a picture is on paper, as its file says.

use std::io::{self, Cursor, SeekFrom};

use super::source::{Source, fill};
use super::tiff::Directory;
use crate::Density;

/// Units of the EXIF and TIFF tag `ResolutionUnit`.
const CENTIMETRE: u64 = 3;
const NO_UNIT: u64 = 1;
/// Tags (TIFF 6.0, section 8).
const X_RESOLUTION: u16 = 282;
const Y_RESOLUTION: u16 = 283;
const RESOLUTION_UNIT: u16 = 296;
/// Type of a fraction of two 32-bit numbers.
const RATIONAL: u16 = 5;

/// The data of a PNG's `pHYs` chunk (PNG, third edition, section 11.3.4.3).
pub(super) fn of_phys(data: &[u8]) -> Option<Density> {
    let (x, rest) = data.split_first_chunk()?;
    let (y, unit) = rest.split_first_chunk()?;
    // 0 says only how long and how wide a pixel is to its width.
    if unit.first() != Some(&1) {
        return None;
    }
    Density::per_metre(u32::from_be_bytes(*x), u32::from_be_bytes(*y))
}

/// The data of a JPEG's `APP0` segment (JFIF 1.02).
pub(super) fn of_jfif(data: &[u8]) -> Option<Density> {
    let [_, _, unit, a, b, c, d, ..] = data.strip_prefix(b"JFIF\0")? else { return None };
    let (x, y) = (f64::from(u16::from_be_bytes([*a, *b])), f64::from(u16::from_be_bytes([*c, *d])));
    match unit {
        1 => Density::new(x, y),
        2 => Density::new(x * 2.54, y * 2.54),
        _ => None,
    }
}

/// An EXIF block, with or without its `Exif` mark.
pub(super) fn of_exif(block: &[u8]) -> Option<Density> {
    let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    of_tiff(&mut Cursor::new(tiff)).ok().flatten()
}

/// The first directory of a TIFF file, which is what `reader` begins with.
pub(super) fn of_tiff(reader: &mut dyn Source) -> io::Result<Option<Density>> {
    let Some(directory) = Directory::open(reader)? else { return Ok(None) };
    let (mut x, mut y, mut unit) = (None, None, None);
    for _ in 0..directory.entries {
        let Some(entry) = directory.entry(reader)? else { break };
        match entry.tag {
            X_RESOLUTION if entry.kind == RATIONAL && entry.count == 1 => x = Some(entry),
            Y_RESOLUTION if entry.kind == RATIONAL && entry.count == 1 => y = Some(entry),
            RESOLUTION_UNIT => unit = directory.short(&entry),
            _ => {}
        }
    }
    let mut fraction = |entry: Option<super::tiff::Entry>| -> io::Result<Option<f64>> {
        let Some(entry) = entry else { return Ok(None) };
        if directory.is_big() {
            // Eight bytes fit into the entry itself.
            return Ok(directory.inline_fraction(&entry));
        }
        let mut bytes = [0; 8];
        reader.seek(SeekFrom::Start(entry.offset))?;
        Ok(if fill(reader, &mut bytes)? { directory.fraction(bytes) } else { None })
    };
    let (Some(x), Some(y)) = (fraction(x)?, fraction(y)?) else { return Ok(None) };
    Ok(match unit {
        Some(NO_UNIT) => None,
        Some(CENTIMETRE) => Density::new(x * 2.54, y * 2.54),
        // Inches are the default.
        _ => Density::new(x, y),
    })
}
