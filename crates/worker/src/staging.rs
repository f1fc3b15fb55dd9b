//! A hidden folder in which a result is made, beside where it is to stand.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = ".unflatten-";

/// Locked as long as the process that made the folder lives; the system lets go of it however that ends.
const LOCK: &str = "lock";

/// A folder without a lock is one that is just being made, unless it is older than this.
const UNLOCKED: Duration = Duration::from_secs(600);

/// Removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    dir: TempDir,
    _lock: File,
}

impl Staging {
    /// A new folder in `out`; those that killed processes have left there are removed.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(crate) fn inside(out: &Path) -> io::Result<Self> {
        remove_abandoned(out)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(out)?;
        // It gets its name when it is locked: before, another process could take it for abandoned.
        let unnamed = tempfile::Builder::new().tempfile_in(dir.path())?;
        // Where the file system has no locks, the folder counts as in use by everybody: nothing is removed there.
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
            // Another process may be removing it too, and what stays is tried again next time.
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
            age.is_some_and(|age| age > UNLOCKED)
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
