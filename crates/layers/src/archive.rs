use std::io::{self, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// One file of an archive.
#[derive(Debug)]
pub struct ArchiveEntry<R> {
    /// Path inside the archive, with `/`.
    pub name: String,
    pub content: R,
}

/// An archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the archive could not be written: {0}")]
    Io(#[from] io::Error),
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

/// [`write_zip`] to a writer that cannot seek, such as a response body.
///
/// PNGs are deflated at the fastest level: a stored entry whose size follows
/// its data cannot be read by programs that unpack while they receive.
///
/// # Errors
/// As [`write_zip`].
pub fn stream_zip<W: Write, R: Read>(
    writer: W,
    entries: impl IntoIterator<Item = io::Result<ArchiveEntry<R>>>,
) -> Result<W, ArchiveError> {
    let mut archive = ZipWriter::new_stream(writer);
    for entry in entries {
        let mut entry = entry?;
        let level = if is_compressed(&entry.name) { 1 } else { 6 };
        archive.start_file(entry.name, deflated(level))?;
        io::copy(&mut entry.content, &mut archive)?;
    }
    Ok(archive.finish()?.into_inner())
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

    #[test]
    fn a_stream_is_a_valid_archive() {
        let mut archive = check(stream_zip(Vec::new(), entries()).unwrap());
        assert_eq!(archive.by_name("layer_0.png").unwrap().compression(), CompressionMethod::Deflated);
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let once = stream_zip(Vec::new(), entries()).unwrap();
        assert_eq!(once, stream_zip(Vec::new(), entries()).unwrap());
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_an_error() {
        let broken = [Err::<ArchiveEntry<&[u8]>, _>(io::Error::other("gone"))];
        assert!(matches!(stream_zip(Vec::new(), broken), Err(ArchiveError::Io(_))));
        let twice = entries().into_iter().chain(entries());
        assert!(matches!(stream_zip(Vec::new(), twice), Err(ArchiveError::Zip(_))));
    }
}
