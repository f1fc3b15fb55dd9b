//! Holds uploads and results: in folders, or (cargo feature `object-storage`) in
//! a bucket. Both are a `Backend`, and no path or key of a published
//! file leaves this module.

mod backend;
mod config;
mod disk;
mod edits;
mod health;
#[cfg(feature = "object-storage")]
mod objects;
mod pictures;
mod results;
mod trees;
mod uploads;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use self::backend::{Backend, Shelf, blocking};
pub use self::backend::{Reader, StoredFile};
pub use self::config::{Place, StoreConfig};
pub(crate) use self::config::{RESULTS_DIR, STORAGE_URL, UPLOAD_DIR};
use self::disk::Disk;
use self::edits::EditQueue;
pub use self::edits::Link;
use self::health::Health;
pub use self::pictures::PictureStored;
pub use self::results::{Published, Staging, StoredResult, layer_file};
pub use self::trees::{StoredDocument, StoredTree};
use crate::InputInfo;

/// A picture that was uploaded, decoded to sRGB RGBA and stored upright.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    pub id: Uuid,
    pub input: InputInfo,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Kept here so that the metadata's input and an upload's cannot drift apart.
impl From<&Upload> for InputInfo {
    fn from(upload: &Upload) -> Self {
        upload.input.clone()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `what` names the folder or bucket and the setting that says where it is.
    #[error(
        "the storage failed at {what}; check that it is there, that this service may write to it and that it has free \
         space (of a bucket: its address and credentials)"
    )]
    Io { what: String, source: io::Error },
    #[error("{what} in the storage cannot be read; delete its folder if it was changed by hand")]
    Corrupt { what: String, source: serde_json::Error },
    /// Too many changes of one result wait, or another process keeps its lock.
    #[error("{what} takes too long because others change it too; try again in a moment")]
    Busy { what: String },
    #[error(
        "{what} failed: its document may have {} elements with {} lines and runs of words, and {} MB with its history and \
         versions; leave some out or delete versions",
        crate::document::Document::MAX_ELEMENTS,
        crate::document::Document::MAX_TEXT_RUNS,
        crate::edits::Edits::MAX_BYTES >> 20
    )]
    TooLarge { what: String },
}

/// That something failed on a shelf.
fn failed(backend: &dyn Backend, shelf: Shelf, what: impl std::fmt::Display, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("{what} in {}", backend.place(shelf)), source }
}

/// What the store holds: ids and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredSizes {
    pub uploads: Vec<(Uuid, u64)>,
    pub results: Vec<(Uuid, u64)>,
}

/// Uploads and results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    changes: EditQueue,
    health: Health,
}

impl Store {
    /// Opens (and makes, where missing) the two folders and proves that they can be written to.
    /// [`StoreConfig::open`] opens whatever the settings name.
    ///
    /// # Errors
    /// When a folder cannot be made or written to.
    pub async fn open(uploads: &Path, results: &Path) -> Result<Self, StoreError> {
        Self::open_folders(uploads, results, [UPLOAD_DIR.name, RESULTS_DIR.name]).await
    }

    async fn open_folders(uploads: &Path, results: &Path, settings: [&'static str; 2]) -> Result<Self, StoreError> {
        let disk = Disk::new(uploads, results, settings);
        for shelf in Shelf::ALL {
            let prepared = disk.prepare(shelf).await;
            prepared.map_err(|source| failed(&disk, shelf, "making the folder", source))?;
        }
        Ok(Self::on(disk))
    }

    fn on(backend: impl Backend + 'static) -> Self {
        Self { backend: Arc::new(backend), changes: EditQueue::default(), health: Health::default() }
    }

    fn failed(&self, shelf: Shelf, what: impl std::fmt::Display, source: io::Error) -> StoreError {
        failed(self.backend.as_ref(), shelf, what, source)
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Says whether it can be used: a few bytes can be written and synced, and there is room for uploads (64 MiB, or an
    /// eighth of a smaller disk). Answers hold for a second, so any number may ask at any time.
    ///
    /// # Errors
    /// When it cannot; of kind `StorageFull` when there is too little room.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.health.check(&self.backend).await
    }

    /// Like [`Store::check`], but looks anew whatever was found a moment ago: for one caller after a fault.
    ///
    /// # Errors
    /// As [`Store::check`].
    pub async fn check_anew(&self) -> Result<(), StoreError> {
        self.health.check_anew(&self.backend).await
    }

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn sweep(&self, cutoff: OffsetDateTime) -> Result<usize, StoreError> {
        let swept = self.backend.sweep(cutoff).await;
        swept.map_err(|source| StoreError::Io { what: format!("sweeping {}", self.describe()), source })
    }

    /// The ids of all uploads and results, each with the bytes of its files.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn sizes(&self) -> Result<StoredSizes, StoreError> {
        let of = async |shelf| {
            let found = self.backend.sizes(shelf).await;
            found.map_err(|source| self.failed(shelf, "listing the folders", source))
        };
        Ok(StoredSizes { uploads: of(Shelf::Uploads).await?, results: of(Shelf::Results).await? })
    }

    /// Runs work on the store that blocks where it blocks no other task.
    async fn off_thread<T: Send + 'static>(
        &self,
        shelf: Shelf,
        what: &str,
        work: impl FnOnce(&dyn Backend) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let backend = Arc::clone(&self.backend);
        blocking(move || work(backend.as_ref())).await.map_err(|source| self.failed(shelf, what, source))
    }

    /// One file of a folder.
    async fn open_file(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<Option<StoredFile>> {
        match self.backend.folder(shelf, id).await? {
            Some(folder) => folder.open(name).await,
            None => Ok(None),
        }
    }
}

/// The value that a file's JSON holds.
fn parse<T: serde::de::DeserializeOwned>(
    json: Option<Vec<u8>>,
    what: impl Fn() -> String,
) -> Result<Option<T>, StoreError> {
    let read = |json: Vec<u8>| serde_json::from_slice(&json);
    json.map(read).transpose().map_err(|source| StoreError::Corrupt { what: what(), source })
}
