//! What the store asks of a place that keeps files.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::Error as _;
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;
use uuid::Uuid;

use super::StoreError;

/// What a place keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    Uploads,
    Results,
}

impl Shelf {
    pub(super) const ALL: [Self; 2] = [Self::Uploads, Self::Results];

    #[cfg(feature = "object-storage")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::Results => "results",
        }
    }
}

/// The content of a file that stands, from its first byte that was asked for.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// A file that was found, not read yet.
#[async_trait]
pub(super) trait Content: Send {
    /// Its bytes, or those in `range`, which lies within it.
    async fn read(self: Box<Self>, range: Option<Range<u64>>) -> io::Result<Reader>;
}

/// A stored file.
pub struct StoredFile {
    /// Length in bytes.
    pub len: u64,
    pub(super) content: Box<dyn Content>,
}

/// A published folder that was found: its files are opened without looking for the folder again.
#[async_trait]
pub(super) trait Folder: Debug + Send + Sync {
    /// A file of the folder.
    async fn open(&self, name: &str) -> io::Result<Option<StoredFile>>;

    /// A file that was added to the folder ([`Backend::add`]).
    async fn open_added(&self, name: &str) -> io::Result<Option<StoredFile>>;

    /// The whole content of a file that can change ([`Backend::change`]). One of more than [`MAX_CHANGED`] bytes is
    /// `InvalidData`.
    async fn read_changing(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// An address from which anyone can fetch the file for some time, where the place can give one.
    async fn signed_url(&self, name: &str, valid: Duration) -> io::Result<Option<String>>;
}

impl StoredFile {
    /// A file whose content was read already.
    pub(super) fn in_memory(content: Bytes) -> Self {
        Self { len: content.len() as u64, content: Box::new(InMemory(content)) }
    }

    /// All of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(self) -> io::Result<Reader> {
        self.content.read(None).await
    }

    /// A part of it, which must lie within it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_range(self, range: Range<u64>) -> io::Result<Reader> {
        self.content.read(Some(range)).await
    }
}

struct InMemory(Bytes);

#[async_trait]
impl Content for InMemory {
    async fn read(self: Box<Self>, range: Option<Range<u64>>) -> io::Result<Reader> {
        let Self(content) = *self;
        let Some(range) = range else { return Ok(Box::pin(std::io::Cursor::new(content))) };
        let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
        let (start, end) = (at(range.start), at(range.end));
        Ok(Box::pin(std::io::Cursor::new(content.slice(start..end.max(start)))))
    }
}

/// How the content of a file changes: from what it was, if it was, to what it is to be; `None` leaves it.
/// May be asked more than once.
pub(super) type Change = Arc<dyn Fn(Option<&[u8]>) -> io::Result<Option<Vec<u8>>> + Send + Sync>;

/// The most bytes that a file holds which can be changed. A larger one was not written by this service.
pub(super) const MAX_CHANGED: u64 = 8 << 20;

/// That a file which can be changed has more than [`MAX_CHANGED`] bytes.
pub(super) fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_CHANGED} bytes"))
}

/// A place that keeps folders of files, each under an id on a shelf.
///
/// A folder appears whole or not at all, after a crash too, and no second one takes
/// its place. Only [`Backend::change`] changes a file in it later, and [`Backend::add`] puts further ones beside them.
#[async_trait]
pub(super) trait Backend: Debug + Send + Sync {
    /// Where it is, for people.
    fn describe(&self) -> String;

    /// Where a shelf is and which setting says so, for people.
    fn place(&self, shelf: Shelf) -> String;

    /// A temporary file on this machine. Blocks.
    fn scratch(&self, shelf: Shelf) -> io::Result<NamedTempFile>;

    /// A temporary folder on this machine, on the same disk as [`Backend::scratch`]. Blocks.
    fn stage(&self, shelf: Shelf) -> io::Result<TempDir>;

    /// Makes a staged folder visible. `false`: there is one already, which stands.
    async fn publish(&self, shelf: Shelf, id: Uuid, staged: TempDir) -> io::Result<bool>;

    /// A published folder.
    async fn folder(&self, shelf: Shelf, id: Uuid) -> io::Result<Option<Arc<dyn Folder>>>;

    /// Changes a file, or makes it, beside those that were published. Changes that come at once, from
    /// other processes too, follow one another. `false` when there is no such folder.
    ///
    /// `ResourceBusy` when others have it until `deadline`, `InvalidData` when what it holds cannot be changed.
    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change, deadline: Instant) -> io::Result<bool>;

    /// Puts a file, from [`Backend::scratch`] of the same shelf, beside those that were published, whole or not at all; in
    /// place of one that was added under this name. `false` when there is no such folder.
    async fn add(&self, shelf: Shelf, id: Uuid, name: &str, file: NamedTempFile) -> io::Result<bool>;

    /// The names of files beside those that were published, and perhaps those too, and when each was written. None when
    /// there is no such folder.
    async fn added(&self, shelf: Shelf, id: Uuid) -> io::Result<Vec<(String, OffsetDateTime)>>;

    /// Removes a file that was added, if it is there.
    async fn remove_added(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<()>;

    /// Removes a folder. `false`: there is none.
    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool>;

    /// The folders that were published before `cutoff`.
    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>>;

    /// All folders, and the bytes of the files in each.
    async fn sizes(&self, shelf: Shelf) -> io::Result<Vec<(Uuid, u64)>>;

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize>;

    /// Writes a little to a shelf and removes it. `StorageFull` when there is too little space for an upload.
    async fn check(&self, shelf: Shelf) -> io::Result<()>;
}

/// Runs file work where it blocks no other task. The work itself must wait for no other.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // A join error means that the runtime shuts down or the work panicked.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)))
}

/// The most bytes of a file that holds JSON.
const MAX_JSON: u64 = 32 << 20;

/// The whole content of a picture's file.
pub(super) async fn read_whole(file: StoredFile) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(usize::try_from(file.len).unwrap_or_default().min(64 << 20));
    let mut reader = match file.read().await {
        Ok(reader) => reader,
        // Deleted since it was found.
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(err),
    };
    reader.read_to_end(&mut bytes).await?;
    Ok(Some(bytes))
}

/// The whole content of a file with JSON; `failed` names what failed. One that is too large for that was damaged.
pub(super) async fn read_json(
    file: StoredFile,
    what: impl Fn() -> String,
    failed: impl Fn(io::Error) -> StoreError,
) -> Result<Option<Vec<u8>>, StoreError> {
    if file.len > MAX_JSON {
        let source = serde_json::Error::custom(format!("it has more than {MAX_JSON} bytes"));
        return Err(StoreError::Corrupt { what: what(), source });
    }
    read_whole(file).await.map_err(failed)
}
