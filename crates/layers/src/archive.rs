use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

/// One file of an archive.
#[derive(Debug)]
pub struct ArchiveEntry<R> {
    /// Path inside the archive, with `/`.
    pub name: String,
    /// What the file contains, read to its end.
    pub content: R,
}

/// An archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// An entry could not be read or the writer failed.
    #[error("the archive could not be written: {0}")]
    Io(#[from] io::Error),
    /// The archive does not take an entry, such as a name that is used twice.
    #[error("the archive could not be written: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// Writes a ZIP archive of `entries` in their order, one at a time, so that a
/// lazy iterator keeps a single file open. Files that are compressed already
/// (PNG, JPEG) are stored. The same content gives the same bytes: every entry
/// is dated 1980-01-01.
///
/// # Errors
/// When an entry cannot be read, its name is used twice, or the writer fails.
pub fn write_zip<W: Write + Seek, R: Read>(
    writer: W,
    entries: impl IntoIterator<Item = io::Result<ArchiveEntry<R>>>,
) -> Result<W, ArchiveError> {
    let mut archive = ZipWriter::new(writer);
    for entry in entries {
        let mut entry = entry?;
        let options = if is_compressed(&entry.name) { stored() } else { deflated(6) };
        archive.start_file(entry.name, options)?;
        io::copy(&mut entry.content, &mut archive)?;
    }
    Ok(archive.finish()?)
}

/// [`write_zip`] for a body that is sent while it is written: files are added piece by piece, and what the archive has
/// grown by can be taken away at any time, so that no write ever waits for a slow reader.
///
/// PNGs are deflated at the fastest level: a stored entry whose size follows its data cannot be read by programs that
/// unpack while they receive. The same files give the same bytes when they are written in the same pieces.
pub struct ZipStream {
    archive: ZipWriter<StreamWriter<Grown>>,
    grown: Grown,
}

impl ZipStream {
    /// An archive without files.
    pub fn new() -> Self {
        let grown = Grown::default();
        Self { archive: ZipWriter::new_stream(grown.clone()), grown }
    }

    /// Begins the next file; what is written from now on is its content.
    ///
    /// # Errors
    /// When the name is used twice.
    pub fn start(&mut self, name: &str) -> Result<(), ArchiveError> {
        let level = if is_compressed(name) { 1 } else { 6 };
        Ok(self.archive.start_file(name, deflated(level))?)
    }

    /// Adds to the file that was begun last.
    ///
    /// # Errors
    /// When none was begun, or it grows beyond 4 GiB.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        Ok(self.archive.write_all(bytes)?)
    }

    /// Bytes that [`ZipStream::take`] would give.
    pub fn ready(&self) -> usize {
        self.grown.lock().len()
    }

    /// What the archive has grown by since the last call, in an allocation of just that size: it may wait long for a slow
    /// reader.
    pub fn take(&mut self) -> Vec<u8> {
        let mut grown = std::mem::take(&mut *self.grown.lock());
        grown.shrink_to_fit();
        grown
    }

    /// The end of the archive.
    ///
    /// # Errors
    /// When the last file grew too long.
    pub fn finish(self) -> Result<Vec<u8>, ArchiveError> {
        self.archive.finish()?;
        Ok(std::mem::take(&mut *self.grown.lock()))
    }
}

impl Default for ZipStream {
    fn default() -> Self {
        Self::new()
    }
}

/// What an archive has grown by. Shared, because the archive does not give its writer away before its end.
#[derive(Clone, Default)]
struct Grown(Arc<Mutex<Vec<u8>>>);

impl Grown {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes are appended in one step: nothing half-done is left by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Grown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored).last_modified_time(DateTime::DEFAULT)
}

/// `level` is 1 (fast) to 9.
pub(crate) fn deflated(level: i64) -> SimpleFileOptions {
    stored().compression_method(CompressionMethod::Deflated).compression_level(Some(level))
}

fn is_compressed(name: &str) -> bool {
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "png" | "jpg" | "jpeg" | "webp" | "zip")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use zip::ZipArchive;

    fn entries() -> Vec<io::Result<ArchiveEntry<&'static [u8]>>> {
        let entry = |name: &str, content| Ok(ArchiveEntry { name: name.into(), content });
        vec![entry("layer_0.png", &[7; 5000][..]), entry("metadata.json", &[b' '; 5000][..]), entry("글자.png", b"x")]
    }

    fn check(bytes: Vec<u8>) -> ZipArchive<Cursor<Vec<u8>>> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["layer_0.png", "metadata.json", "글자.png"]);
        for (name, size) in [("layer_0.png", 5000), ("metadata.json", 5000), ("글자.png", 1)] {
            let mut content = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
            assert_eq!(content.len(), size);
        }
        archive
    }

    #[test]
    fn pngs_are_stored_and_texts_compressed() {
        let mut archive = check(write_zip(Cursor::new(Vec::new()), entries()).unwrap().into_inner());
        assert_eq!(archive.by_name("layer_0.png").unwrap().compression(), CompressionMethod::Stored);
        assert!(archive.by_name("metadata.json").unwrap().compressed_size() < 100);
    }

    /// `entries` through a [`ZipStream`], in pieces of `size` bytes.
    fn streamed(size: usize, entries: Vec<io::Result<ArchiveEntry<&[u8]>>>) -> Result<Vec<u8>, ArchiveError> {
        let (mut stream, mut out) = (ZipStream::new(), Vec::new());
        for entry in entries {
            let entry = entry?;
            stream.start(&entry.name)?;
            for piece in entry.content.chunks(size) {
                stream.write(piece)?;
                assert_eq!(stream.ready(), stream.grown.lock().len());
                out.extend(stream.take());
            }
        }
        out.extend(stream.finish()?);
        Ok(out)
    }

    /// An archive written to its end in one go, in the pieces in which `io::copy` reads a file.
    fn at_once(entries: Vec<io::Result<ArchiveEntry<&[u8]>>>) -> Vec<u8> {
        let mut archive = ZipWriter::new_stream(Vec::new());
        for entry in entries {
            let entry = entry.unwrap();
            let level = if is_compressed(&entry.name) { 1 } else { 6 };
            archive.start_file(entry.name, deflated(level)).unwrap();
            // A slice alone would be copied in one piece.
            io::copy(&mut entry.content.take(u64::MAX), &mut archive).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn a_stream_is_a_valid_archive() {
        let mut archive = check(streamed(700, entries()).unwrap());
        assert_eq!(archive.by_name("layer_0.png").unwrap().compression(), CompressionMethod::Deflated);
    }

    #[test]
    fn a_stream_has_the_bytes_of_an_archive_written_at_once() {
        let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let entries = || -> Vec<io::Result<ArchiveEntry<&[u8]>>> {
            let entry = |name: &str, content| Ok(ArchiveEntry { name: name.into(), content });
            vec![entry("layer_0.png", &noise[..]), entry("metadata.json", &[b' '; 90_000][..]), entry("empty", &[][..])]
        };
        assert!(streamed(8 << 10, entries()).unwrap() == at_once(entries()));
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(streamed(8 << 10, entries()).unwrap(), streamed(8 << 10, entries()).unwrap());
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_an_error() {
        let broken = [Err::<ArchiveEntry<&[u8]>, _>(io::Error::other("gone"))];
        assert!(matches!(write_zip(Cursor::new(Vec::new()), broken), Err(ArchiveError::Io(_))));
        let twice = || entries().into_iter().chain(entries());
        assert!(matches!(write_zip(Cursor::new(Vec::new()), twice()), Err(ArchiveError::Zip(_))));
        assert!(matches!(streamed(64, twice().collect()), Err(ArchiveError::Zip(_))));
    }
}
