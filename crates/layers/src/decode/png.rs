use std::io::{self, Read};

use flate2::read::ZlibDecoder;

use super::source::{LeftOut, Source, fill, skip};
use super::{DecodeError, MAX_METADATA_BYTES, from_io};

/// What stands in a PNG beside its pixels.
#[derive(Default)]
pub(super) struct Survey {
    /// Profile, texts and oversized EXIF: the decoder would keep, copy and inflate them.
    pub left_out: LeftOut,
    pub profile: Option<Vec<u8>>,
}

/// Walks the chunks (PNG, third edition, section 5). `reader` stands at the start of the file, which is at `start`.
pub(super) fn survey(reader: &mut dyn Source, start: u64) -> Result<Survey, DecodeError> {
    let mut survey = Survey::default();
    let mut at = start + 8;
    skip(reader, 8).map_err(io_error)?;
    let mut profile_may_come = true;
    let mut header = [0; 8];
    while fill(reader, &mut header).map_err(io_error)? {
        let [a, b, c, d, kind @ ..] = header;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        // Header, data, checksum.
        let end = at + 8 + length + 4;
        let mut unread = length + 4;
        let keep = match &kind {
            b"IEND" => break,
            b"IDAT" => {
                profile_may_come = false;
                true
            }
            b"iCCP" => {
                if profile_may_come {
                    profile_may_come = false;
                    let mut data = (&mut *reader).take(length);
                    survey.profile = inflate_profile(&mut data).map_err(io_error)?;
                    unread = data.limit() + 4;
                }
                false
            }
            b"tEXt" | b"zTXt" | b"iTXt" => false,
            b"eXIf" => length <= MAX_METADATA_BYTES,
            _ => true,
        };
        if !keep {
            survey.left_out.push(at..end, "png")?;
        }
        skip(reader, unread).map_err(io_error)?;
        at = end;
    }
    Ok(survey)
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
