use std::io::{BufRead, Read};

use super::{DecodeError, from_io};

/// More scans than any encoder writes; a small file with thousands of them
/// would keep a decoder busy for minutes.
const MAX_SCANS: u32 = 200;

/// Walks the markers of a JPEG file and refuses what the decoder would let pass:
/// CMYK (it guesses at colours) and a missing end (it fills the rest with grey).
///
/// Markers as in ITU-T T.81, table B.1.
pub(super) fn check(reader: &mut impl BufRead) -> Result<(), DecodeError> {
    let mut scans = 0;
    if next_marker(reader)? != 0xD8 {
        return Err(damaged("it does not start as a JPEG file does"));
    }
    loop {
        match next_marker(reader)? {
            0xD9 if scans == 0 => return Err(damaged("it holds no picture data")),
            0xD9 => return Ok(()),
            // Without a length: restart markers, TEM, a second start.
            0x01 | 0xD0..=0xD8 => {}
            0xDA => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(DecodeError::Unsupported {
                        format: "jpeg",
                        reason: format!("more than {MAX_SCANS} scans"),
                    });
                }
                skip_segment(reader)?;
            }
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => check_frame(reader)?,
            _ => skip_segment(reader)?,
        }
    }
}

/// The next marker byte. Skips entropy-coded data, where FF is followed by 0.
fn next_marker(reader: &mut impl BufRead) -> Result<u8, DecodeError> {
    loop {
        reader.skip_until(0xFF).map_err(|error| from_io(error, "jpeg"))?;
        let mut byte = read_u8(reader)?;
        while byte == 0xFF {
            byte = read_u8(reader)?;
        }
        if byte != 0 {
            return Ok(byte);
        }
    }
}

/// A frame header: length, precision, height, width, number of components.
fn check_frame(reader: &mut impl BufRead) -> Result<(), DecodeError> {
    let mut header = [0; 8];
    reader.read_exact(&mut header).map_err(|error| from_io(error, "jpeg"))?;
    if header[7] == 4 {
        return Err(DecodeError::Cmyk { format: "jpeg" });
    }
    let length = u64::from(u16::from_be_bytes([header[0], header[1]]));
    skip(reader, length.saturating_sub(8))
}

fn skip_segment(reader: &mut impl BufRead) -> Result<(), DecodeError> {
    let length = u16::from_be_bytes([read_u8(reader)?, read_u8(reader)?]);
    skip(reader, u64::from(length).saturating_sub(2))
}

fn skip(reader: &mut impl BufRead, length: u64) -> Result<(), DecodeError> {
    let skipped =
        std::io::copy(&mut reader.take(length), &mut std::io::sink()).map_err(|error| from_io(error, "jpeg"))?;
    if skipped < length {
        return Err(damaged("it ends too early"));
    }
    Ok(())
}

fn read_u8(reader: &mut impl BufRead) -> Result<u8, DecodeError> {
    let mut byte = [0];
    reader.read_exact(&mut byte).map_err(|error| from_io(error, "jpeg"))?;
    Ok(byte[0])
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: "jpeg", reason: reason.into() }
}
