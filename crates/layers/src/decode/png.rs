use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

use super::colour::{Chromaticities, CodePoints, Colours};
use super::density;
use super::source::{LeftOut, Source, fill, metadata, skip};
use super::{DecodeError, MAX_METADATA_BYTES, from_io};
use crate::Density;

/// What stands in a PNG beside its pixels.
#[derive(Default)]
pub(super) struct Survey {
    /// Profile, texts and EXIF: the decoder would keep, copy and inflate them.
    pub left_out: LeftOut,
    pub colours: Colours,
    /// From EXIF, which may stand before or behind the pixels.
    pub orientation: Option<Orientation>,
    pub density: Option<Density>,
    /// The mark of the end is missing.
    pub lacks_end: bool,
    /// Where the mark of the end is, or should be.
    pub end: u64,
}

/// The last chunk of a file.
pub(super) const END: &[u8] = b"\0\0\0\0IEND\xAE\x42\x60\x82";

/// Walks the chunks (PNG, third edition, section 5). `reader` stands at the start of the file, which is at `start`.
///
/// Of each chunk the first one counts, and what says how pixels look must stand before them.
pub(super) fn survey(reader: &mut dyn Source, start: u64) -> Result<Survey, DecodeError> {
    let mut survey = Survey { lacks_end: true, ..Survey::default() };
    let mut at = start + 8;
    skip(reader, 8).map_err(io_error)?;
    let (mut before_pixels, mut profile_seen, mut exif_seen) = (true, false, false);
    let mut printed = None;
    let mut header = [0; 8];
    while fill(reader, &mut header).map_err(io_error)? {
        let [a, b, c, d, kind @ ..] = header;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        // Header, data, checksum.
        let end = at + 8 + length + 4;
        let mut unread = length + 4;
        let colours = &mut survey.colours;
        let keep = match &kind {
            b"IEND" => {
                survey.lacks_end = false;
                break;
            }
            b"IDAT" => {
                before_pixels = false;
                true
            }
            b"iCCP" => {
                if before_pixels && !profile_seen {
                    profile_seen = true;
                    let mut data = (&mut *reader).take(length);
                    colours.profile = inflate_profile(&mut data).map_err(io_error)?;
                    unread = data.limit() + 4;
                }
                false
            }
            b"cICP" | b"sRGB" | b"gAMA" | b"cHRM" | b"pHYs" if before_pixels && length <= 32 => {
                let data = metadata(reader, length).map_err(io_error)?.unwrap_or_default();
                unread = 4;
                match &kind {
                    b"cICP" if colours.code_points.is_none() => colours.code_points = CodePoints::of(&data),
                    b"sRGB" => colours.is_srgb = true,
                    b"gAMA" if colours.gamma.is_none() => colours.gamma = gamma(&data),
                    b"cHRM" if colours.chromaticities.is_none() => colours.chromaticities = Chromaticities::of(&data),
                    b"pHYs" if survey.density.is_none() => survey.density = density::of_phys(&data),
                    _ => {}
                }
                // The decoder refuses pictures for some that make no sense.
                false
            }
            b"cICP" | b"sRGB" | b"gAMA" | b"cHRM" | b"pHYs" => false,
            b"tEXt" | b"zTXt" | b"iTXt" => false,
            b"eXIf" => {
                if !exif_seen && length <= MAX_METADATA_BYTES {
                    exif_seen = true;
                    let block = metadata(reader, length).map_err(io_error)?.unwrap_or_default();
                    unread = 4;
                    survey.orientation = Orientation::from_exif_chunk(&block);
                    printed = density::of_exif(&block);
                }
                false
            }
            _ => true,
        };
        if !keep {
            survey.left_out.push(at..end, "png")?;
        }
        skip(reader, unread).map_err(io_error)?;
        at = end;
    }
    survey.density = survey.density.or(printed);
    survey.end = at;
    Ok(survey)
}

/// The exponent of a gAMA chunk: samples are light to the power of it. `None` for 0.
fn gamma(data: &[u8]) -> Option<f64> {
    let value = u32::from_be_bytes(*data.first_chunk()?);
    (value > 0).then(|| f64::from(value) / 100_000.0)
}

/// The profile in the data of an iCCP chunk; none when it is damaged or inflates to more than metadata may have.
fn inflate_profile(data: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    // A name of at most 79 bytes that ends with 0, then the compression method, which is always 0.
    let mut name = 0;
    loop {
        match read_u8(data)? {
            Some(0) => break,
            Some(_) if name < 79 => name += 1,
            _ => return Ok(None),
        }
    }
    if read_u8(data)? != Some(0) {
        return Ok(None);
    }
    let mut profile = Vec::new();
    match ZlibDecoder::new(data).take(MAX_METADATA_BYTES + 1).read_to_end(&mut profile) {
        Ok(_) if profile.len() as u64 <= MAX_METADATA_BYTES => Ok(Some(profile)),
        Ok(_) => Ok(None),
        // Damaged data; a reader that fails fails again at the next chunk.
        Err(_) => Ok(None),
    }
}

fn read_u8(data: &mut dyn Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((data.read(&mut byte)? == 1).then_some(byte[0]))
}

fn io_error(error: io::Error) -> DecodeError {
    from_io(error, "png")
}
