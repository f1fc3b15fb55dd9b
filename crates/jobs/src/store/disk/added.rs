//! Files that are put beside what was published.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use tempfile::NamedTempFile;
use time::OffsetDateTime;

use super::sync_dir;

/// Moves a staged file to its place in the folder `place`. `false` when that is not there.
pub(super) fn add(staged: NamedTempFile, place: &Path, target: &Path) -> io::Result<bool> {
    staged.as_file().sync_all()?;
    match staged.persist(target) {
        Ok(_) => sync_dir(place).map(|()| true),
        Err(_) if !place.try_exists()? => Ok(false),
        Err(err) => Err(err.error),
    }
}

/// The files in a folder, and when each was written.
pub(super) fn list(place: &Path) -> io::Result<Vec<(String, OffsetDateTime)>> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(err),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.metadata().and_then(|facts| facts.modified()) {
            Ok(modified) => found.push((name, modified.into())),
            // Removed since the folder was listed.
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    Ok(found)
}

/// Removes a file, if it is there.
pub(super) fn remove(target: &Path) -> io::Result<()> {
    match fs::remove_file(target) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}
