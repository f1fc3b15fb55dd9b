//! Files in a folder for each shelf, such as a disk that all processes see.
//!
//! ```text
//! UPLOAD_DIR/{upload_id}/image.png, upload.json
//! RESULTS_DIR/{job_id}/layer_0.png, ..., metadata.json, preview.jpg, edits.json
//! either/.staging/   what is being written, or deleted, at the moment
//! ```
//!
//! A folder is filled and synced in `.staging` and then renamed to its place,
//! so it is seen whole or not at all, also after a crash.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use uuid::Uuid;

use super::backend::{Backend, Change, Content, Reader, Shelf, StoredFile};

/// Where a folder keeps what is not published: on the same disk, so that a
/// rename publishes it, and under a name that is no id.
const STAGING: &str = ".staging";

/// A folder for each shelf.
#[derive(Debug)]
pub(super) struct Disk {
    uploads: Arc<Path>,
    results: Arc<Path>,
}

impl Disk {
    pub(super) fn new(uploads: &Path, results: &Path) -> Self {
        Self { uploads: uploads.into(), results: results.into() }
    }

    pub(super) fn folder(&self, shelf: Shelf) -> Arc<Path> {
        match shelf {
            Shelf::Uploads => self.uploads.clone(),
            Shelf::Results => self.results.clone(),
        }
    }

    fn place(&self, shelf: Shelf, id: Uuid) -> PathBuf {
        self.folder(shelf).join(id.to_string())
    }

    /// Makes the folder of a shelf and proves that it can be written to.
    pub(super) async fn prepare(&self, shelf: Shelf) -> io::Result<()> {
        let folder = self.folder(shelf);
        blocking(move || prepare(&folder)).await
    }
}

#[async_trait]
impl Backend for Disk {
    fn describe(&self) -> String {
        format!("{} and {}", self.uploads.display(), self.results.display())
    }

    fn scratch(&self, shelf: Shelf) -> io::Result<NamedTempFile> {
        staged_file(&self.folder(shelf))
    }

    fn stage(&self, shelf: Shelf) -> io::Result<TempDir> {
        builder(0o777).tempdir_in(self.folder(shelf).join(STAGING))
    }

    async fn publish(&self, shelf: Shelf, id: Uuid, staged: TempDir) -> io::Result<bool> {
        let place = self.place(shelf, id);
        blocking(move || publish(staged, &place)).await
    }

    async fn open(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<Option<StoredFile>> {
        let file = match tokio::fs::File::open(self.place(shelf, id).join(name)).await {
            Ok(file) => file,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        let metadata = file.metadata().await?;
        let modified_at = metadata.modified()?.into();
        Ok(Some(StoredFile { len: metadata.len(), modified_at, content: Box::new(Opened(file)) }))
    }

    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change<'_>) -> io::Result<Option<Vec<u8>>> {
        let (place, folder, name) = (self.place(shelf, id), self.folder(shelf), name.to_owned());
        let path = place.join(&name);
        let lock = {
            let name = format!("{name}.lock");
            blocking(move || lock(&place.join(name))).await?
        };
        let Some(_lock) = lock else { return Ok(None) };
        let before = match tokio::fs::read(&path).await {
            Ok(before) => Some(before),
            Err(err) if err.kind() == ErrorKind::NotFound => None,
            Err(err) => return Err(err),
        };
        let after = change(before.as_deref())?;
        let written = after.clone();
        blocking(move || {
            let mut staged = staged_file(&folder)?;
            staged.write_all(&written)?;
            staged.as_file().sync_all()?;
            staged.persist(path)?;
            Ok(())
        })
        .await?;
        Ok(Some(after))
    }

    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool> {
        let folder = self.folder(shelf);
        blocking(move || remove(&folder, id)).await
    }

    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
        let folder = self.folder(shelf);
        blocking(move || published_before(&folder, cutoff)).await
    }

    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize> {
        let folders = Shelf::ALL.map(|shelf| self.folder(shelf));
        blocking(move || folders.iter().map(|folder| sweep(folder, cutoff)).sum()).await
    }

    async fn signed_url(&self, _: Shelf, _: Uuid, _: &str, _: Duration) -> io::Result<Option<String>> {
        Ok(None)
    }

    async fn check(&self) -> io::Result<()> {
        Shelf::ALL.into_iter().try_for_each(|shelf| self.scratch(shelf).map(drop))
    }
}

/// Stays readable when its folder is deleted meanwhile.
struct Opened(tokio::fs::File);

#[async_trait]
impl Content for Opened {
    async fn read(self: Box<Self>, range: Option<Range<u64>>) -> io::Result<Reader> {
        let Self(mut file) = *self;
        let Some(range) = range else { return Ok(Box::pin(file)) };
        file.seek(SeekFrom::Start(range.start)).await?;
        Ok(Box::pin(file.take(range.end - range.start)))
    }
}

/// Runs file work where it blocks no other task.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // A join error means that the runtime shuts down or the work panicked.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
}

/// Waits for a lock that lasts as long as the file is open. `None`: its folder is not there.
fn lock(path: &Path) -> io::Result<Option<File>> {
    match File::options().create(true).append(true).open(path) {
        Ok(file) => file.lock().map(|()| Some(file)),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}

/// Makes a folder and its staging place and proves that both can be written to.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join(STAGING))?;
    staged_file(folder)?.write_all(b"test")?;
    sync_dir(folder)
}

fn staged_file(folder: &Path) -> io::Result<NamedTempFile> {
    builder(0o666).tempfile_in(folder.join(STAGING))
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

/// Removes a published folder: out of sight in one step, then for good.
fn remove(folder: &Path, id: Uuid) -> io::Result<bool> {
    let grave = folder.join(STAGING).join(format!("deleted-{id}-{}", Uuid::new_v4()));
    match fs::rename(folder.join(id.to_string()), &grave) {
        Ok(()) => fs::remove_dir_all(&grave).map(|()| true),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

/// The published folders that were written before `cutoff`.
fn published_before(folder: &Path, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
    let names = names_before(folder, cutoff)?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// Removes what was staged before `cutoff`; answers how much it was.
fn sweep(folder: &Path, cutoff: OffsetDateTime) -> io::Result<usize> {
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
