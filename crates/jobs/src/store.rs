//! Holds uploads and results: in folders, or (cargo feature `object-storage`) in
//! a bucket. Both are a [`backend::Backend`], and no path or key of a published
//! file leaves this module.

mod backend;
mod config;
mod disk;
mod edits;
#[cfg(feature = "object-storage")]
mod objects;
mod results;
mod uploads;

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use self::backend::{Backend, Shelf};
pub use self::backend::{Reader, StoredFile};
pub use self::config::{Place, StoreConfig};
pub(crate) use self::config::{RESULTS_DIR, STORAGE_URL, UPLOAD_DIR};
use self::disk::Disk;
pub use self::results::{Published, Staging};
use crate::InputInfo;

/// A picture that was uploaded, decoded to sRGB RGBA and stored upright.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[error(
        "the storage failed at {what}; check its permissions and its free space, and in a bucket its address (STORAGE_URL) \
         and credentials"
    )]
    Io { what: String, source: io::Error },
    #[error("{what} in the storage cannot be read; delete its folder if it was changed by hand")]
    Corrupt { what: String, source: serde_json::Error },
}

/// Uploads and results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens (and makes, where missing) the two folders and proves that they can be written to.
    /// [`StoreConfig::open`] opens whatever the settings name.
    ///
    /// # Errors
    /// When a folder cannot be made or written to.
    pub async fn open(uploads: &Path, results: &Path) -> Result<Self, StoreError> {
        let disk = Disk::new(uploads, results);
        for shelf in Shelf::ALL {
            let failed = |source| StoreError::Io { what: format!("opening {}", disk.folder(shelf).display()), source };
            disk.prepare(shelf).await.map_err(failed)?;
        }
        Ok(Self { backend: Arc::new(disk) })
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Says whether it can be used; cheap enough to be asked every few seconds.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.backend.check().await.map_err(|source| StoreError::Io { what: self.describe(), source })
    }

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn sweep(&self, cutoff: OffsetDateTime) -> Result<usize, StoreError> {
        self.backend.sweep(cutoff).await.map_err(|source| StoreError::Io { what: "sweeping".to_owned(), source })
    }

    /// The JSON in a file, `None` when there is no such file.
    async fn read_json<T: serde::de::DeserializeOwned>(
        &self,
        shelf: Shelf,
        id: Uuid,
        name: &str,
        what: impl Fn() -> String,
    ) -> Result<Option<T>, StoreError> {
        let json = backend::read_whole(self.backend.as_ref(), shelf, id, name, &what).await?;
        let read = |json: Vec<u8>| {
            serde_json::from_slice(&json).map_err(|source| StoreError::Corrupt { what: what(), source })
        };
        json.map(read).transpose()
    }
}
