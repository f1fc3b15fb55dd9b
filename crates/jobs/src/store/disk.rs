//! What uploads and results have in common on disk. Everything here blocks.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use uuid::Uuid;

/// Where a folder keeps what is not published: on the same disk, so that a
/// rename publishes it, and under a name that is no id.
const STAGING: &str = ".staging";

/// Makes a folder and its staging place and proves that both can be written to.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join(STAGING))?;
    staged_file(folder)?.write_all(b"test")?;
    sync_dir(folder)
}

pub(super) fn staged_file(folder: &Path) -> io::Result<NamedTempFile> {
    builder(0o666).tempfile_in(folder.join(STAGING))
}

pub(super) fn staged_dir(folder: &Path) -> io::Result<TempDir> {
    builder(0o777).tempdir_in(folder.join(STAGING))
}

/// Temporary files are private by default, but these become published ones,
/// which another service's user may have to read: the umask decides.
fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Moves a staged folder to its place. `false`: there is one already, which stands.
pub(super) fn publish(staged: TempDir, place: &Path) -> io::Result<bool> {
    sync_files(staged.path())?;
    // A rename does not replace a folder that holds something: the first of two publishers wins.
    match fs::rename(staged.path(), place) {
        Ok(()) => {
            let _moved = staged.keep();
            sync_parent(place)?;
            Ok(true)
        }
        Err(_) if place.exists() => Ok(false),
        Err(err) => Err(err),
    }
}

/// Removes a published folder: out of sight in one step, then for good.
pub(super) fn remove(folder: &Path, id: Uuid) -> io::Result<bool> {
    let grave = folder.join(STAGING).join(format!("deleted-{id}-{}", Uuid::new_v4()));
    match fs::rename(folder.join(id.to_string()), &grave) {
        Ok(()) => fs::remove_dir_all(&grave).map(|()| true),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// The published folders that were written before `cutoff`.
pub(super) fn published_before(folder: &Path, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
    let names = names_before(folder, cutoff)?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// Removes what was staged before `cutoff`; answers how much it was.
pub(super) fn sweep(folder: &Path, cutoff: OffsetDateTime) -> io::Result<usize> {
    let staging = folder.join(STAGING);
    let mut removed = 0;
    for name in names_before(&staging, cutoff)? {
        let path = staging.join(name);
        let result = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match result {
            Ok(()) => removed += 1,
            // Its owner was faster.
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    Ok(removed)
}

fn names_before(folder: &Path, cutoff: OffsetDateTime) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) if OffsetDateTime::from(modified) < cutoff => names.push(entry.file_name()),
            Ok(_) => {}
            // Removed since the folder was listed.
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    Ok(names)
}

/// Brings a folder and the files in it to the disk, so that no crash after the
/// rename can leave a published file empty.
fn sync_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_dir(dir)
}

fn sync_parent(place: &Path) -> io::Result<()> {
    place.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix opens folders as files.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
