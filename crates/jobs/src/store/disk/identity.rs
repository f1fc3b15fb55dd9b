//! Whether a folder is still the one that was opened. Where a disk is not mounted, an empty folder lies in its place:
//! what is not found there is not gone, and what is written there is lost when the disk is back.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// What tells one folder from another at the same path: device and inode.
type Identity = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct FolderIdentity(OnceLock<Identity>);

impl FolderIdentity {
    /// Remembers the folder, the first time.
    pub(super) fn remember(&self, folder: &Path) -> io::Result<()> {
        if let Some(identity) = identity(folder)? {
            let _ = self.0.set(identity);
        }
        Ok(())
    }

    /// # Errors
    /// When another folder lies at the path, or none.
    pub(super) fn verify(&self, folder: &Path) -> io::Result<()> {
        match (identity(folder)?, self.0.get()) {
            (Some(found), Some(opened)) if found != *opened => Err(io::Error::other(
                "another folder lies there than at the start: mount its disk again; if it was replaced on purpose, \
                 restart the service",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
fn identity(folder: &Path) -> io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).map(|metadata| Some((metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
fn identity(folder: &Path) -> io::Result<Option<Identity>> {
    std::fs::metadata(folder).map(|_| None)
}
