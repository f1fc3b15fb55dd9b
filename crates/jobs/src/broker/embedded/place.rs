//! What the queue's path names, to notice when it names something else.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::broker::BrokerError;

/// The files that are open, by their path and by what identifies them whatever they are called.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    is_open: Identity,
    /// `None` where the disk can have no log.
    log_is_open: Option<Identity>,
    /// The file never becomes shorter.
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl Place {
    /// Remembers the files that were just opened.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let found = fs::metadata(file)?;
        let log_is_open = fs::metadata(log_of(file)).ok().map(|log| Identity::of(&log));
        Ok(Self { file: file.to_owned(), is_open: Identity::of(&found), log_is_open, length: found.len() })
    }

    /// # Errors
    /// [`BrokerError::FileGone`] when the path no longer names the files that are open: what is written to them is
    /// lost with this process.
    pub(super) fn check(&mut self) -> Result<(), BrokerError> {
        let found = self.find(&self.file)?;
        let log = match self.log_is_open {
            Some(_) => Some(Identity::of(&self.find(&log_of(&self.file))?)),
            None => None,
        };
        if Identity::of(&found) != self.is_open || log != self.log_is_open || found.len() < self.length {
            return Err(self.gone());
        }
        self.length = found.len();
        Ok(())
    }

    fn find(&self, file: &Path) -> Result<Metadata, BrokerError> {
        fs::metadata(file).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.gone(),
            _ => err.into(),
        })
    }

    fn gone(&self) -> BrokerError {
        BrokerError::FileGone { file: self.file.clone() }
    }
}

impl Identity {
    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: found.dev(), number: found.ino() }
    }

    /// Elsewhere a file that is open cannot be removed or replaced.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self { device: 0, number: 0 }
    }
}

/// Where SQLite keeps what is not in the file yet.
pub(super) fn log_of(file: &Path) -> PathBuf {
    with_suffix(file, "-wal")
}

/// A path with something behind its last name.
pub(super) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}
