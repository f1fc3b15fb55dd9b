//! Files in a folder for each shelf, such as a disk that all processes see.
//!
//! ```text
//! UPLOAD_DIR/{upload_id}/image.png, upload.json
//! RESULTS_DIR/{job_id}/layer_0.png, ..., metadata.json, preview.jpg, edits.json, picture_ID.png
//! either/.staging/   what is being written, or deleted, at the moment
//! ```
//!
//! A folder is filled and synced in `.staging` and then renamed to its place,
//! so it is seen whole or not at all, also after a crash.

mod added;
mod change;
mod folder;
mod identity;
pub(super) mod probe;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use self::change::Target;
use self::folder::DiskFolder;
use super::backend::{Backend, Change, Folder, Shelf, blocking};

/// Where a folder keeps what is not published: on the same disk, so that a
/// rename publishes it, and under a name that is not an id.
const STAGING: &str = ".staging";

/// The files without which a folder is not an upload or a result.
const FACTS: [&str; 2] = ["upload.json", "metadata.json"];

fn facts(shelf: Shelf) -> &'static str {
    let [upload, result] = FACTS;
    match shelf {
        Shelf::Uploads => upload,
        Shelf::Results => result,
    }
}

/// A folder for each shelf.
#[derive(Debug)]
pub(super) struct Disk {
    uploads: Arc<Path>,
    results: Arc<Path>,
    /// Names of the settings that say where they are.
    settings: [&'static str; 2],
    /// Of the uploads and of the results.
    opened: [Arc<identity::FolderIdentity>; 2],
}

impl Disk {
    pub(super) fn new(uploads: &Path, results: &Path, settings: [&'static str; 2]) -> Self {
        Self { uploads: uploads.into(), results: results.into(), settings, opened: Default::default() }
    }

    fn opened(&self, shelf: Shelf) -> &Arc<identity::FolderIdentity> {
        let [uploads, results] = &self.opened;
        match shelf {
            Shelf::Uploads => uploads,
            Shelf::Results => results,
        }
    }

    /// Fails when the folder of the shelf is not the one that was opened. Blocks.
    fn verify_now(&self, shelf: Shelf) -> io::Result<()> {
        self.opened(shelf).verify(&self.folder(shelf))
    }

    /// Like [`Disk::verify_now`]: for before it is said that something is not there.
    async fn verify(&self, shelf: Shelf) -> io::Result<()> {
        let (opened, folder) = (Arc::clone(self.opened(shelf)), self.folder(shelf));
        blocking(move || opened.verify(&folder)).await
    }

    fn folder(&self, shelf: Shelf) -> Arc<Path> {
        match shelf {
            Shelf::Uploads => self.uploads.clone(),
            Shelf::Results => self.results.clone(),
        }
    }

    fn published(&self, shelf: Shelf, id: Uuid) -> PathBuf {
        self.folder(shelf).join(id.to_string())
    }

    /// Makes the folder of a shelf and proves that it can be written to.
    pub(super) async fn prepare(&self, shelf: Shelf) -> io::Result<()> {
        let (opened, folder) = (Arc::clone(self.opened(shelf)), self.folder(shelf));
        blocking(move || prepare(&folder).and_then(|()| opened.remember(&folder))).await
    }
}

#[async_trait]
impl Backend for Disk {
    fn describe(&self) -> String {
        format!("{} and {}", self.uploads.display(), self.results.display())
    }

    fn place(&self, shelf: Shelf) -> String {
        let setting = match (self.settings, shelf) {
            ([setting, _], Shelf::Uploads) | ([_, setting], Shelf::Results) => setting,
        };
        format!("{} ({setting})", self.folder(shelf).display())
    }

    fn scratch(&self, shelf: Shelf) -> io::Result<NamedTempFile> {
        self.verify_now(shelf)?;
        staged_file(&self.folder(shelf))
    }

    fn stage(&self, shelf: Shelf) -> io::Result<TempDir> {
        self.verify_now(shelf)?;
        let folder = self.folder(shelf);
        in_staging(&folder, |staging| builder(0o777).tempdir_in(staging))
    }

    async fn publish(&self, shelf: Shelf, id: Uuid, staged: TempDir) -> io::Result<bool> {
        let place = self.published(shelf, id);
        blocking(move || publish(staged, &place)).await
    }

    async fn folder(&self, shelf: Shelf, id: Uuid) -> io::Result<Option<Arc<dyn Folder>>> {
        let place = self.published(shelf, id);
        if !tokio::fs::try_exists(place.join(facts(shelf))).await? {
            return self.verify(shelf).await.map(|()| None);
        }
        let (shelf, identity) = (self.folder(shelf), Arc::clone(self.opened(shelf)));
        Ok(Some(Arc::new(DiskFolder { place, shelf, identity })))
    }

    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change, deadline: Instant) -> io::Result<bool> {
        let target = Target { shelf: self.folder(shelf), place: self.published(shelf, id), name: name.to_owned() };
        let changed = change::change(target, change, deadline).await?;
        if !changed {
            self.verify(shelf).await?;
        }
        Ok(changed)
    }

    async fn add(&self, shelf: Shelf, id: Uuid, name: &str, file: NamedTempFile) -> io::Result<bool> {
        let place = self.published(shelf, id);
        let target = place.join(name);
        let is_there = blocking(move || added::add(file, &place, &target)).await?;
        if !is_there {
            self.verify(shelf).await?;
        }
        Ok(is_there)
    }

    async fn added(&self, shelf: Shelf, id: Uuid) -> io::Result<Vec<(String, OffsetDateTime)>> {
        let place = self.published(shelf, id);
        blocking(move || added::list(&place)).await
    }

    async fn remove_added(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<()> {
        let target = self.published(shelf, id).join(name);
        blocking(move || added::remove(&target)).await
    }

    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool> {
        let folder = self.folder(shelf);
        let removed = blocking(move || remove(&folder, id)).await?;
        if !removed {
            self.verify(shelf).await?;
        }
        Ok(removed)
    }

    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
        let folder = self.folder(shelf);
        blocking(move || published_before(&folder, cutoff)).await
    }

    async fn sizes(&self, shelf: Shelf) -> io::Result<Vec<(Uuid, u64)>> {
        let folder = self.folder(shelf);
        blocking(move || sizes(&folder)).await
    }

    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize> {
        let folders = Shelf::ALL.map(|shelf| self.folder(shelf));
        blocking(move || sweep_all(&folders, cutoff)).await
    }

    async fn check(&self, shelf: Shelf) -> io::Result<()> {
        let (opened, folder) = (Arc::clone(self.opened(shelf)), self.folder(shelf));
        blocking(move || {
            opened.verify(&folder)?;
            probe::probe(staged_file(&folder)?, &folder)
        })
        .await
    }
}

/// Makes a folder and its staging place and proves that both can be written to.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join(STAGING))?;
    staged_file(folder)?.write_all(b"test")?;
    sync_dir(folder)
}

fn staged_file(folder: &Path) -> io::Result<NamedTempFile> {
    in_staging(folder, |staging| builder(0o666).tempfile_in(staging))
}

/// Makes something in the staging place of a folder, which is made again when somebody has removed it.
/// The folder itself is not: where a disk is not mounted, nothing is to be written in its place.
fn in_staging<T>(folder: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let staging = folder.join(STAGING);
    match make(&staging) {
        Err(err) if err.kind() == ErrorKind::NotFound => match fs::create_dir(&staging) {
            Err(err) if err.kind() != ErrorKind::AlreadyExists => Err(err),
            _ => make(&staging),
        },
        made => made,
    }
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
fn publish(staged: TempDir, place: &Path) -> io::Result<bool> {
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

/// Removes a published folder: out of sight in one step, then for good. What cannot be removed then is left to [`sweep`].
fn remove(folder: &Path, id: Uuid) -> io::Result<bool> {
    let place = folder.join(id.to_string());
    let grave = folder.join(STAGING).join(format!("deleted-{id}-{}", Uuid::new_v4()));
    match fs::rename(&place, &grave) {
        Ok(()) => {
            if let Err(error) = fs::remove_dir_all(&grave) {
                tracing::warn!(folder = %grave.display(), %error, "a deleted folder is still there; it is removed later");
            }
            Ok(true)
        }
        Err(_) if !place.try_exists()? => Ok(false),
        // No room to move it, or no staging place: it goes where it is, the file first that makes it a result.
        Err(_) => {
            for fact in FACTS {
                match fs::remove_file(place.join(fact)) {
                    Err(err) if err.kind() != ErrorKind::NotFound => return Err(err),
                    _ => {}
                }
            }
            fs::remove_dir_all(&place).map(|()| true)
        }
    }
}

/// The published folders that were written before `cutoff`.
fn published_before(folder: &Path, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
    let names = names_before(folder, cutoff)?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// The folders and their sizes. What disappears meanwhile is left out.
fn sizes(folder: &Path) -> io::Result<Vec<(Uuid, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(files) = fs::read_dir(entry.path()) else { continue };
        let bytes = files.flatten().filter_map(|file| file.metadata().ok()).map(|facts| facts.len()).sum();
        found.push((id, bytes));
    }
    Ok(found)
}

fn sweep_all(folders: &[Arc<Path>], cutoff: OffsetDateTime) -> io::Result<usize> {
    let (mut removed, mut failed) = (0, None);
    for folder in folders {
        if let Err(err) = sweep(folder, cutoff, &mut removed) {
            failed.get_or_insert(err);
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// Removes what was staged before `cutoff` and counts it. One thing that cannot be removed keeps no other.
fn sweep(folder: &Path, cutoff: OffsetDateTime, removed: &mut usize) -> io::Result<()> {
    let staging = folder.join(STAGING);
    let mut failed = None;
    for name in names_before(&staging, cutoff)? {
        let path = staging.join(name);
        let result = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match result {
            Ok(()) => *removed += 1,
            // Its owner was faster.
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => {
                failed.get_or_insert(err);
            }
        }
    }
    failed.map_or(Ok(()), Err)
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
