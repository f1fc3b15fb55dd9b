//! What the store asks of a place that keeps files.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::io::AsyncRead;
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

/// How the content of a file changes: from what it was, if it was, to what it is to be.
/// May be asked more than once.
pub(super) type Change<'a> = &'a (dyn Fn(Option<&[u8]>) -> io::Result<Vec<u8>> + Send + Sync);

/// A place that keeps folders of files, each under an id on a shelf.
///
/// A folder appears whole or not at all, after a crash too, and no second one takes
/// its place. Only [`Backend::change`] changes a file in it later.
#[async_trait]
pub(super) trait Backend: Debug + Send + Sync {
    /// Where it is, for people.
    fn describe(&self) -> String;

    /// A temporary file on this machine.
    fn scratch(&self, shelf: Shelf) -> io::Result<NamedTempFile>;

    /// A temporary folder on this machine, on the same disk as [`Backend::scratch`].
    fn stage(&self, shelf: Shelf) -> io::Result<TempDir>;

    /// Makes a staged folder visible. `false`: there is one already, which stands.
    async fn publish(&self, shelf: Shelf, id: Uuid, staged: TempDir) -> io::Result<bool>;

    /// A file of a folder.
    async fn open(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<Option<StoredFile>>;

    /// Changes a file, or makes it, beside those that were published. Changes that come at once, from
    /// other processes too, follow one another. Answers with the new content; `None` when there is no such folder.
    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change<'_>) -> io::Result<Option<Vec<u8>>>;

    /// Removes a folder. `false`: there is none.
    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool>;

    /// The folders that were published before `cutoff`.
    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>>;

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize>;

    /// An address from which anyone can fetch the file for some time, where the place can give one.
    async fn signed_url(&self, shelf: Shelf, id: Uuid, name: &str, valid: Duration) -> io::Result<Option<String>>;

    /// Says whether it can be used, without much ado.
    async fn check(&self) -> io::Result<()>;
}

/// The whole content of a small file.
pub(super) async fn read_whole(
    backend: &dyn Backend,
    shelf: Shelf,
    id: Uuid,
    name: &str,
    what: impl Fn() -> String,
) -> Result<Option<Vec<u8>>, StoreError> {
    use tokio::io::AsyncReadExt;

    let failed = |source| StoreError::Io { what: what(), source };
    let Some(file) = backend.open(shelf, id, name).await.map_err(failed)? else { return Ok(None) };
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
