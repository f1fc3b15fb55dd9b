//! Whether a folder can be used.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Less free space than this takes no large upload any more. Of a small disk, an eighth is enough.
const LEAST_FREE: u64 = 64 << 20;

/// Writes and syncs a few bytes to `file`, which lies in `folder`, and looks at the free space there.
///
/// # Errors
/// When that fails, or the disk is as good as full (`StorageFull`).
pub(in crate::store) fn probe(mut file: NamedTempFile, folder: &Path) -> io::Result<()> {
    file.write_all(b"test")?;
    file.as_file().sync_all()?;
    drop(file);
    let (free, total) = (fs4::available_space(folder)?, fs4::total_space(folder)?);
    judge(free, total)
}

fn judge(free: u64, total: u64) -> io::Result<()> {
    let least = LEAST_FREE.min(total / 8);
    if free >= least {
        return Ok(());
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let text = format!("{:.1} MiB are free, at least {:.1} MiB must be; free some space", mib(free), mib(least));
    Err(io::Error::new(ErrorKind::StorageFull, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_before_its_last_byte() {
        assert!(judge(64 << 20, 1 << 40).is_ok());
        let error = judge((64 << 20) - 1, 1 << 40).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("64.0 MiB must be"), "{error}");
        // A small disk is not full from the start.
        assert!(judge(60 << 20, 60 << 20).is_ok());
        assert!(judge(7 << 20, 60 << 20).is_err());
        assert!(judge(0, 0).is_ok(), "a file system that tells no size");
    }
}
