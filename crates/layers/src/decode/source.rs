//! What decoders read from.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;

use super::{DecodeError, MAX_METADATA_BYTES};

/// A reader of the whole file.
pub(super) trait Source: BufRead + Seek {}

impl<T: BufRead + Seek> Source for T {}

/// More parts than metadata has in any honest file; each costs a few bytes of memory.
const MAX_PARTS: usize = 10_000;

/// Byte ranges of a file, in order, that a decoder is not to see.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Vec<Range<u64>>);

impl LeftOut {
    /// `range` lies behind all others.
    pub(super) fn push(&mut self, range: Range<u64>, format: &'static str) -> Result<(), DecodeError> {
        let parts = self.0.len();
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if parts == MAX_PARTS => {
                let reason = format!("metadata in more than {MAX_PARTS} parts");
                return Err(DecodeError::Unsupported { format, reason });
            }
            _ => self.0.push(range),
        }
        Ok(())
    }
}

/// A file without some of its parts. It can only be read from front to back.
pub(super) struct Excerpt<'a> {
    inner: &'a mut dyn Source,
    left_out: std::iter::Peekable<std::vec::IntoIter<Range<u64>>>,
    /// Where `inner` is.
    at: u64,
    /// Where `inner` is over, and what comes instead of what follows there.
    end: u64,
    tail: &'static [u8],
}

impl<'a> Excerpt<'a> {
    /// `inner` stands at `at`.
    pub(super) fn new(inner: &'a mut dyn Source, at: u64, left_out: LeftOut) -> Self {
        Self { inner, left_out: left_out.0.into_iter().peekable(), at, end: u64::MAX, tail: &[] }
    }

    /// The file ends at `end` and goes on with `tail`, whatever follows there, if anything.
    pub(super) fn ending(self, end: u64, tail: &'static [u8]) -> Self {
        Self { end, tail, ..self }
    }
}

impl BufRead for Excerpt<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while let Some(range) = self.left_out.next_if(|range| range.start == self.at) {
            skip(self.inner, range.end - range.start)?;
            self.at = range.end;
        }
        if self.at >= self.end {
            return Ok(self.tail);
        }
        let next = self.left_out.peek().map_or(self.end, |range| range.start.min(self.end));
        let kept = next - self.at;
        let buffer = self.inner.fill_buf()?;
        let length = usize::try_from(kept).unwrap_or(usize::MAX).min(buffer.len());
        Ok(&buffer[..length])
    }

    fn consume(&mut self, amount: usize) {
        if self.at >= self.end {
            self.tail = self.tail.get(amount..).unwrap_or_default();
            return;
        }
        self.inner.consume(amount);
        self.at += amount as u64;
    }
}

impl Read for Excerpt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Decoders ask for it, but those that get an excerpt never seek.
impl Seek for Excerpt<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Reads what is buffered, as far as there is room.
pub(super) fn read_buffered(reader: &mut impl BufRead, into: &mut [u8]) -> io::Result<usize> {
    let available = reader.fill_buf()?;
    let length = available.len().min(into.len());
    into[..length].copy_from_slice(&available[..length]);
    reader.consume(length);
    Ok(length)
}

/// Goes on by `length` bytes, within the buffer where they lie in it. May end behind the end of the file.
pub(super) fn skip(reader: &mut dyn Source, length: u64) -> io::Result<()> {
    reader.seek_relative(i64::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?)
}

/// Whether `buffer` could be filled before the end of the file.
pub(super) fn fill(reader: &mut dyn Source, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The next `length` bytes; none when they are more than metadata may have, or the file ends before.
pub(super) fn metadata(reader: &mut dyn Source, length: u64) -> io::Result<Option<Vec<u8>>> {
    if length > MAX_METADATA_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == length).then_some(bytes))
}
