use std::io;

use super::source::{Source, fill, metadata, skip};
use super::{DecodeError, MAX_METADATA_BYTES, density, from_io};
use crate::Density;

/// What stands in a WebP beside its pixels.
#[derive(Default)]
pub(super) struct Survey {
    pub profile: Option<Vec<u8>>,
    /// The EXIF block is so large that it is left alone.
    pub exif_too_large: bool,
    pub density: Option<Density>,
}

/// Walks the chunks of the file (RFC 9649). `reader` stands at the start of the file.
pub(super) fn survey(reader: &mut dyn Source) -> Result<Survey, DecodeError> {
    walk(reader).map_err(|error| from_io(error, "webp"))
}

fn walk(reader: &mut dyn Source) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let (mut profile_seen, mut exif_seen) = (false, false);
    // RIFF, its length, WEBP.
    skip(reader, 12)?;
    let mut header = [0; 8];
    while fill(reader, &mut header)? {
        let [kind @ .., a, b, c, d] = header;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let padded = length + length % 2;
        match &kind {
            b"ICCP" if !profile_seen && length <= MAX_METADATA_BYTES => {
                survey.profile = metadata(reader, length)?;
                skip(reader, padded - length)?;
                profile_seen = true;
                continue;
            }
            b"ICCP" => profile_seen = true,
            // The first one counts.
            b"EXIF" if !exif_seen => {
                exif_seen = true;
                survey.exif_too_large = length > MAX_METADATA_BYTES;
                if !survey.exif_too_large {
                    survey.density = metadata(reader, length)?.as_deref().and_then(density::of_exif);
                    skip(reader, padded - length)?;
                    continue;
                }
            }
            _ => {}
        }
        skip(reader, padded)?;
    }
    Ok(survey)
}
