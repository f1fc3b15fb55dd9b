use std::io;

use super::source::{LeftOut, Source, fill, skip};
use super::{DecodeError, MAX_METADATA_BYTES, from_io};

const EXTENSION: u8 = 0x21;
const GRAPHIC_CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;
/// Application of a block that holds an ICC profile (ICC.1, annex B.6).
const ICC: &[u8; 11] = b"ICCRGBG1012";

/// What stands in a GIF before its first frame.
#[derive(Default)]
pub(super) struct Survey {
    /// Comments, texts and what applications wrote: the decoder would keep some of it.
    pub left_out: LeftOut,
    pub profile: Option<Vec<u8>>,
}

/// Walks the blocks (GIF89a) up to the first frame. `reader` stands at the start of the file, which is at `start`.
pub(super) fn survey(reader: &mut dyn Source, start: u64) -> Result<Survey, DecodeError> {
    let mut survey = Survey::default();
    walk(reader, start, &mut survey).map_err(|error| match error {
        Stop::Io(error) => from_io(error, "gif"),
        Stop::Decode(error) => error,
    })?;
    Ok(survey)
}

enum Stop {
    Io(io::Error),
    Decode(DecodeError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn walk(reader: &mut dyn Source, start: u64, survey: &mut Survey) -> Result<(), Stop> {
    let mut header = [0; 13];
    if !fill(reader, &mut header)? {
        return Ok(());
    }
    let colours = if header[10] & 0x80 == 0 { 0 } else { 3 << ((header[10] & 7) + 1) };
    skip(reader, colours)?;
    let mut at = start + 13 + colours;
    let mut introducer = [0; 2];
    while fill(reader, &mut introducer)? && introducer[0] == EXTENSION {
        let (length, profile) = sub_blocks(reader, introducer[1] == APPLICATION && survey.profile.is_none())?;
        let end = at + 2 + length;
        if introducer[1] != GRAPHIC_CONTROL {
            survey.left_out.push(at..end, "gif").map_err(Stop::Decode)?;
        }
        survey.profile = survey.profile.take().or(profile);
        at = end;
    }
    Ok(())
}

/// Reads sub-blocks to their end. Their length in all, and the profile that they hold if `may_be_profile`.
fn sub_blocks(reader: &mut dyn Source, may_be_profile: bool) -> io::Result<(u64, Option<Vec<u8>>)> {
    let (mut length, mut size) = (0, [0]);
    let mut profile = None;
    while fill(reader, &mut size)? {
        let data = u64::from(size[0]);
        let first = length == 0;
        length += 1 + data;
        match &mut profile {
            _ if data == 0 => break,
            None if first && may_be_profile && data == ICC.len() as u64 => {
                let mut application = [0; ICC.len()];
                if fill(reader, &mut application)? && application == *ICC {
                    profile = Some(Vec::new());
                }
            }
            Some(bytes) if bytes.len() as u64 <= MAX_METADATA_BYTES => {
                let mut block = [0; 255];
                let block = &mut block[..usize::from(size[0])];
                if fill(reader, block)? {
                    bytes.extend_from_slice(block);
                }
            }
            _ => skip(reader, data)?,
        }
    }
    Ok((length, profile.filter(|bytes| bytes.len() as u64 <= MAX_METADATA_BYTES)))
}
