use std::collections::BTreeMap;
use std::ops::Range;

use super::source::Source;
use super::{DecodeError, Limits, MAX_METADATA_BYTES, check_size, density, from_io};
use crate::Density;

mod bits;
mod scan;
mod tables;

use scan::Frame;

/// More scans than any encoder writes; a small file with thousands of them
/// would keep a decoder busy for minutes.
const MAX_SCANS: u32 = 200;

/// A JPEG file that a decoder may have.
pub(super) struct Jpeg {
    /// The file up to its end marker, without comments and metadata other than JFIF, EXIF and Adobe's colour transform.
    pub bytes: Vec<u8>,
    pub profile: Option<Vec<u8>>,
    pub density: Option<Density>,
    /// Whether the file had its end marker.
    pub is_ended: bool,
}

/// Walks the markers of a JPEG file and refuses what the decoder would let pass: CMYK (it guesses at colours), missing
/// blocks (it fills the rest with grey), and more scans than are reasonable. A missing end marker is put there.
///
/// Markers as in ITU-T T.81, table B.1.
pub(super) fn read(reader: &mut dyn Source, limits: &Limits) -> Result<Jpeg, DecodeError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| from_io(error, "jpeg"))?;
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(damaged("it does not start as a JPEG file does"));
    }
    let mut walk = Walk {
        bytes,
        kept: 2,
        at: 2,
        scans: 0,
        exif: false,
        density: Densities::default(),
        frame: None,
        profile: Profile::default(),
    };
    let ended = walk.segments(limits)?;
    walk.finish(ended)
}

struct Walk {
    bytes: Vec<u8>,
    /// How many of the bytes were kept, moved to the front.
    kept: usize,
    at: usize,
    scans: u32,
    exif: bool,
    density: Densities,
    frame: Option<Frame>,
    profile: Profile,
}

/// What says how large the picture is on paper; JFIF goes first.
#[derive(Default)]
struct Densities {
    jfif: Option<Density>,
    exif: Option<Density>,
}

impl Walk {
    /// Whether there was an end marker.
    fn segments(&mut self, limits: &Limits) -> Result<bool, DecodeError> {
        while let Some(marker) = self.next_marker() {
            let start = self.at - 2;
            match marker {
                0xD9 if self.scans == 0 => return Err(damaged("it holds no picture data")),
                0xD9 => return Ok(true),
                // Without a length: restart markers, TEM, a second start.
                0x01 | 0xD0..=0xD8 => self.keep(start..self.at),
                _ => {
                    let Some(segment) = self.segment() else {
                        // Cut off behind all that matters, or before.
                        return if self.scans > 0 { Ok(false) } else { Err(damaged("it ends too early")) };
                    };
                    self.take_segment(marker, segment, limits)?;
                }
            }
        }
        if self.scans == 0 { Err(damaged("it ends too early")) } else { Ok(false) }
    }

    fn take_segment(&mut self, marker: u8, segment: Range<usize>, limits: &Limits) -> Result<(), DecodeError> {
        // With the marker and the length.
        let whole = segment.start - 4..segment.end;
        let data = &self.bytes[segment.clone()];
        match marker {
            0xE1 if !self.exif && data.starts_with(b"Exif\0\0") => {
                self.exif = true;
                self.density.exif = density::of_exif(data);
            }
            0xE2 => {
                self.profile.add(data);
                return Ok(());
            }
            0xE0 if self.density.jfif.is_none() => self.density.jfif = density::of_jfif(data),
            0xE0 | 0xEE => {}
            0xE1..=0xEF | 0xFE => return Ok(()),
            0xC9..=0xCB | 0xCD..=0xCF => return Err(DecodeError::ArithmeticJpeg),
            0xC0..=0xC3 | 0xC5..=0xC7 => {
                if data.get(5) == Some(&4) {
                    return Err(DecodeError::Cmyk { format: "jpeg" });
                }
                let frame = Frame::new(marker, data).ok_or_else(|| damaged("its frame header is too short"))?;
                check_size(frame.width.into(), frame.height.into(), "jpeg", limits)?;
                self.frame = Some(frame.with_tables_of(self.frame.take()));
            }
            0xC4 | 0xDD => self.frame.get_or_insert_default().take_tables(marker, data),
            0xDA => {
                self.scans += 1;
                if self.scans > MAX_SCANS {
                    let reason = format!("more than {MAX_SCANS} scans");
                    return Err(DecodeError::Unsupported { format: "jpeg", reason });
                }
                let end = scan::end(&self.bytes, segment.end);
                let frame = self.frame.get_or_insert_default();
                if frame.check_scan(data, &self.bytes[segment.end..end]) == scan::Found::TooFewBlocks {
                    return Err(damaged("it ends too early"));
                }
                self.at = end;
                self.keep(whole.start..end);
                return Ok(());
            }
            _ => {}
        }
        self.keep(whole);
        Ok(())
    }

    /// Goes behind the next marker, over whatever stands before it.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let found = self.bytes[self.at..].iter().position(|byte| *byte == 0xFF)?;
            self.at += found;
            let fill = self.bytes[self.at..].iter().position(|byte| *byte != 0xFF)?;
            self.at += fill + 1;
            let marker = self.bytes[self.at - 1];
            if marker != 0 {
                return Some(marker);
            }
        }
    }

    /// Goes behind the segment whose length stands here. Where its data lies, if the file has all of it.
    fn segment(&mut self) -> Option<Range<usize>> {
        let length = self.bytes.get(self.at..self.at + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        let data = self.at + 2..self.at + length;
        self.bytes.get(data.clone())?;
        self.at += length;
        Some(data)
    }

    fn keep(&mut self, range: Range<usize>) {
        let length = range.len();
        self.bytes.copy_within(range, self.kept);
        self.kept += length;
    }

    fn finish(mut self, ended: bool) -> Result<Jpeg, DecodeError> {
        if self.frame.as_ref().is_some_and(|frame| !frame.is_complete(ended)) {
            return Err(damaged("it ends too early"));
        }
        self.bytes.truncate(self.kept);
        self.bytes.extend([0xFF, 0xD9]);
        let density = self.density.jfif.or(self.density.exif);
        Ok(Jpeg { bytes: self.bytes, profile: self.profile.finish(), density, is_ended: ended })
    }
}

/// An ICC profile, which comes in numbered pieces (ICC.1, annex B.4).
#[derive(Default)]
struct Profile {
    pieces: BTreeMap<u8, Vec<u8>>,
    bytes: u64,
    count: u8,
    broken: bool,
}

impl Profile {
    fn add(&mut self, segment: &[u8]) {
        let Some([number, count, data @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") else { return };
        self.bytes += data.len() as u64;
        self.broken |= self.bytes > MAX_METADATA_BYTES || self.pieces.contains_key(number);
        self.broken |= !self.pieces.is_empty() && self.count != *count;
        self.count = *count;
        if self.broken {
            self.pieces.clear();
        } else {
            self.pieces.insert(*number, data.to_vec());
        }
    }

    /// None for one that lacks pieces or is larger than metadata may be.
    fn finish(self) -> Option<Vec<u8>> {
        let whole = !self.broken && self.count > 0 && self.pieces.keys().copied().eq(1..=self.count);
        whole.then(|| self.pieces.into_values().flatten().collect())
    }
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::Damaged { format: "jpeg", reason: reason.into() }
}

#[cfg(test)]
mod tests;
