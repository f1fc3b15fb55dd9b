//! Changes of a file beside what was published. Processes take turns through a file lock, which the kernel drops with the
//! process that holds it. No thread waits for the lock: whoever finds it taken asks again later.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::staged_file;
use crate::store::backend::{Change, MAX_CHANGED, blocking, too_large};

/// Pauses between two looks at a lock that another process has.
const PAUSES_MS: [u64; 5] = [2, 5, 10, 25, 50];

/// What is to be changed.
#[derive(Clone)]
pub(super) struct Target {
    /// The folder of the shelf.
    pub shelf: std::sync::Arc<Path>,
    /// The published folder.
    pub place: PathBuf,
    pub name: String,
}

enum Tried {
    Done,
    Locked,
    NoFolder,
}

/// Changes the file; `false` when its folder is not there.
pub(super) async fn change(target: Target, change: Change, deadline: Instant) -> io::Result<bool> {
    let mut pauses = PAUSES_MS.into_iter().map(Duration::from_millis);
    let mut pause = Duration::ZERO;
    loop {
        let (target, change) = (target.clone(), change.clone());
        match blocking(move || attempt(&target, &change)).await? {
            Tried::Done => return Ok(true),
            Tried::NoFolder => return Ok(false),
            Tried::Locked if Instant::now() >= deadline => {
                return Err(io::Error::new(ErrorKind::ResourceBusy, "another process holds its lock"));
            }
            Tried::Locked => {
                pause = pauses.next().unwrap_or(pause);
                sleep(pause).await;
            }
        }
    }
}

/// Locks, reads, changes and writes in one go, or finds the lock taken.
fn attempt(target: &Target, change: &Change) -> io::Result<Tried> {
    let lock = target.place.join(format!("{}.lock", target.name));
    let lock = match File::options().create(true).append(true).open(lock) {
        Ok(file) => file,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Tried::NoFolder),
        Err(err) => return Err(err),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Tried::Locked),
        Err(TryLockError::Error(err)) => return Err(err),
    }
    let path = target.place.join(&target.name);
    let Some(after) = change(read(&path)?.as_deref())? else { return Ok(Tried::Done) };
    let mut staged = staged_file(&target.shelf)?;
    staged.write_all(&after)?;
    staged.as_file().sync_all()?;
    match staged.persist(path) {
        Ok(_) => Ok(Tried::Done),
        // Deleted since it was locked.
        Err(_) if !target.place.exists() => Ok(Tried::NoFolder),
        Err(err) => Err(err.error),
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(found) if found.len() > MAX_CHANGED => Err(too_large()),
        Ok(_) => fs::read(path).map(Some),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}
