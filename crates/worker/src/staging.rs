//! A hidden folder inside the output folder, in which a result is written before it is moved into place.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = ".unflatten-";

/// Locked while the process that created the folder lives; the system releases the lock however the process ends.
const LOCK: &str = "lock";

/// A folder without a lock file is still being created, unless it is older than this.
const MAX_UNLOCKED_AGE: Duration = Duration::from_secs(600);

/// A staging folder, removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    dir: TempDir,
    _lock: File,
}

impl Staging {
    /// Creates a folder in `out`, and removes those that killed processes left there.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(crate) fn inside(out: &Path) -> io::Result<Self> {
        remove_abandoned(out)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(out)?;
        // Named only once it is locked: before that, another process could take the folder for abandoned.
        let unnamed = tempfile::Builder::new().tempfile_in(dir.path())?;
        // On a file system without locks every folder counts as in use, and none is removed.
        let _ = unnamed.as_file().try_lock();
        let lock = unnamed.persist(dir.path().join(LOCK))?;
        Ok(Self { dir, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn remove_abandoned(out: &Path) -> io::Result<()> {
    for entry in fs::read_dir(out)?.filter_map(Result::ok) {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) && abandoned(&entry.path()) {
            // Another process may be removing it too; whatever stays is removed by a later run.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn abandoned(dir: &Path) -> bool {
    match File::open(dir.join(LOCK)).map(|lock| lock.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => false,
        Err(_) => {
            let age = dir.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
            age.is_some_and(|age| age > MAX_UNLOCKED_AGE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_whose_process_is_gone_are_removed() {
        let out = tempfile::tempdir().expect("a folder");
        let living = Staging::inside(out.path()).expect("made");
        // As a killed process leaves it: with a lock file that nobody holds.
        let dead = out.path().join(".unflatten-dead");
        fs::create_dir(&dead).expect("made");
        for file in [LOCK, "layer_0.png"] {
            fs::write(dead.join(file), "x").expect("written");
        }
        let young = out.path().join(".unflatten-young");
        fs::create_dir(&young).expect("made");
        let foreign = out.path().join(".other");
        fs::create_dir(&foreign).expect("made");

        let next = Staging::inside(out.path()).expect("made");
        assert!(!dead.exists(), "nobody uses it");
        assert!(living.path().exists() && young.exists() && foreign.exists() && next.path().exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists(), "an end without a kill leaves nothing");
    }
}
