//! What is on its way to a bucket lies in the system's temporary folder, under names that say which bucket it is for:
//! what a killed process leaves there is found by the next one.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;

/// Temporary files and folders of one bucket.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    folder: PathBuf,
    prefix: String,
}

impl Scratch {
    /// For the bucket of this address, at the endpoint that `options` name.
    pub(super) fn of(url: &str, options: &[(String, String)]) -> Self {
        let mut hash = Sha256::new();
        hash.update(url);
        let mut endpoints: Vec<_> = options.iter().filter(|(name, _)| name.contains("endpoint")).collect();
        endpoints.sort();
        for (name, value) in endpoints {
            hash.update(format!("\n{name}={value}"));
        }
        let name: String = hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { folder: std::env::temp_dir(), prefix: format!("unflatten-{name}-") }
    }

    pub(super) fn place(&self) -> &Path {
        &self.folder
    }

    /// Says that the temporary folder failed, not the bucket.
    pub(super) fn failed(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("the temporary folder {} (TMPDIR): {error}", self.folder.display()))
    }

    pub(super) fn file(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(&self.prefix).tempfile_in(&self.folder)
    }

    pub(super) fn folder(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix(&self.prefix).tempdir_in(&self.folder)
    }

    /// Removes what was written last before `cutoff`; answers how much it was.
    pub(super) fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(&self.prefix) {
                continue;
            }
            // A link, which only someone else can have put there, is removed as one, and not followed.
            let gone = entry.metadata().and_then(|found| match OffsetDateTime::from(found.modified()?) < cutoff {
                false => Ok(false),
                true if found.is_dir() => fs::remove_dir_all(entry.path()).map(|()| true),
                true => fs::remove_file(entry.path()).map(|()| true),
            });
            match gone {
                Ok(gone) => removed += usize::from(gone),
                // Its owner was faster; or it is another user's, who will remove it.
                Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                Err(err) => return Err(err),
            }
        }
        Ok(removed)
    }
}
