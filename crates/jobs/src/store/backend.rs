//! What the store asks of a place that keeps files.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::Error as _;
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;
use uuid::Uuid;

use super::{StoreError, failed};

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
    pub modified_at: OffsetDateTime,
    pub(super) content: Box<dyn Content>,
}

impl StoredFile {
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

/// How the content of a file changes: from what it was, if it was, to what it is to be; `None` leaves it.
/// May be asked more than once.
pub(super) type Change = Arc<dyn Fn(Option<&[u8]>) -> io::Result<Option<Vec<u8>>> + Send + Sync>;

/// The most bytes that a file holds which can be changed. A larger one was not written by this service.
pub(super) const MAX_CHANGED: u64 = 8 << 20;

/// A place that keeps folders of files, each under an id on a shelf.
///
/// A folder appears whole or not at all, after a crash too, and no second one takes
/// its place. Only [`Backend::change`] changes a file in it later.
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

    /// A file of a folder.
    async fn open(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<Option<StoredFile>>;

    /// Changes a file, or makes it, beside those that were published. Changes that come at once, from
    /// other processes too, follow one another. `false` when there is no such folder.
    ///
    /// `ResourceBusy` when others have it until `deadline`, `InvalidData` when what it holds cannot be changed.
    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change, deadline: Instant) -> io::Result<bool>;

    /// Removes a folder. `false`: there is none.
    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool>;

    /// The folders that were published before `cutoff`.
    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>>;

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize>;

    /// An address from which anyone can fetch the file for some time, where the place can give one.
    async fn signed_url(&self, shelf: Shelf, id: Uuid, name: &str, valid: Duration) -> io::Result<Option<String>>;

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
pub(super) async fn read_whole(
    backend: &dyn Backend,
    shelf: Shelf,
    id: Uuid,
    name: &str,
    what: impl Fn() -> String,
) -> Result<Option<Vec<u8>>, StoreError> {
    read_up_to(u64::MAX, backend, shelf, id, name, what).await
}

/// The whole content of a file with JSON. One that is too large for that was damaged.
pub(super) async fn read_json(
    backend: &dyn Backend,
    shelf: Shelf,
    id: Uuid,
    name: &str,
    what: impl Fn() -> String,
) -> Result<Option<Vec<u8>>, StoreError> {
    read_up_to(MAX_JSON, backend, shelf, id, name, what).await
}

async fn read_up_to(
    limit: u64,
    backend: &dyn Backend,
    shelf: Shelf,
    id: Uuid,
    name: &str,
    what: impl Fn() -> String,
) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |source| failed(backend, shelf, what(), source);
    let Some(file) = backend.open(shelf, id, name).await.map_err(failed)? else { return Ok(None) };
    if file.len > limit {
        let source = serde_json::Error::custom(format!("it has more than {limit} bytes"));
        return Err(StoreError::Corrupt { what: what(), source });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(file.len).unwrap_or_default().min(64 << 20));
    let mut reader = match file.read().await {
        Ok(reader) => reader,
        // Deleted since it was found.
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed(err)),
    };
    reader.read_to_end(&mut bytes).await.map_err(failed)?;
    Ok(Some(bytes))
}
