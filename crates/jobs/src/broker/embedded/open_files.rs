//! Notices when the queue's path no longer names the files that are open.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::broker::BrokerError;

/// The queue's file and its write-ahead log, by path and by identity.
#[derive(Debug)]
pub(super) struct OpenFiles {
    path: PathBuf,
    file: Identity,
    /// `None` where the disk cannot have a log.
    wal: Option<Identity>,
    /// Of the file, which never becomes shorter.
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl OpenFiles {
    /// Remembers the files that were just opened.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let wal = fs::metadata(wal_path(path)).ok().map(|wal| Identity::of(&wal));
        Ok(Self { path: path.to_owned(), file: Identity::of(&metadata), wal, length: metadata.len() })
    }

    /// # Errors
    /// [`BrokerError::FileGone`] when the path no longer names the files that are open: what is written to them is
    /// lost with this process.
    pub(super) fn check(&mut self) -> Result<(), BrokerError> {
        let file = self.metadata(&self.path)?;
        let wal = match self.wal {
            Some(_) => Some(Identity::of(&self.metadata(&wal_path(&self.path))?)),
            None => None,
        };
        if Identity::of(&file) != self.file || wal != self.wal || file.len() < self.length {
            return Err(self.gone());
        }
        self.length = file.len();
        Ok(())
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, BrokerError> {
        fs::metadata(path).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.gone(),
            _ => err.into(),
        })
    }

    fn gone(&self) -> BrokerError {
        BrokerError::FileGone { file: self.path.clone() }
    }
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), number: metadata.ino() }
    }

    /// On other systems an open file cannot be removed or replaced.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self { device: 0, number: 0 }
    }
}

/// Where SQLite keeps changes that are not in the file yet.
pub(super) fn wal_path(file: &Path) -> PathBuf {
    with_suffix(file, "-wal")
}

/// A path with `suffix` added to its last name.
pub(super) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}
