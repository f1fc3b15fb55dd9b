//! Holds uploads and results. Today a folder each; object storage fits behind
//! the same calls, so no path of a published file leaves this module.
//!
//! ```text
//! UPLOAD_DIR/{upload_id}/image.png, upload.json
//! RESULTS_DIR/{job_id}/layer_0.png, ..., metadata.json, preview.jpg
//!                      edits.json   what was changed since; the only file that ever changes
//! either/.staging/   what is being written, or deleted, at the moment
//! ```
//!
//! A folder is filled and synced in `.staging` and then renamed to its place,
//! so it is seen whole or not at all, also after a crash.

mod config;
mod disk;
mod edits;
mod results;
mod uploads;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::io::AsyncRead;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::config::StoreConfig;
pub(crate) use self::config::{RESULTS_DIR, UPLOAD_DIR};
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

/// A stored file, open for reading.
pub struct StoredFile {
    /// Length in bytes.
    pub len: u64,
    pub modified_at: OffsetDateTime,
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the storage failed at {what}; check the folder's permissions and the free space on its disk")]
    Io { what: String, source: io::Error },
    #[error("{what} in the storage cannot be read; delete its folder if it was changed by hand")]
    Corrupt { what: String, source: serde_json::Error },
}

/// Uploads and results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    uploads: Arc<Path>,
    results: Arc<Path>,
}

impl Store {
    /// Opens (and makes, where missing) the two folders and proves that they can be written to.
    ///
    /// # Errors
    /// When a folder cannot be made or written to.
    pub async fn open(uploads: &Path, results: &Path) -> Result<Self, StoreError> {
        let store = Self { uploads: uploads.into(), results: results.into() };
        for folder in [store.uploads.clone(), store.results.clone()] {
            blocking(format!("opening {}", folder.display()), move || disk::prepare(&folder)).await?;
        }
        Ok(store)
    }

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn sweep(&self, cutoff: OffsetDateTime) -> Result<usize, StoreError> {
        let folders = [self.uploads.clone(), self.results.clone()];
        let sweep = move || {
            let mut removed = 0;
            for folder in &folders {
                removed += disk::sweep(folder, cutoff)?;
            }
            Ok(removed)
        };
        blocking("sweeping".to_owned(), sweep).await
    }
}

/// Runs file work where it blocks no other task; `what` names it in an error.
async fn blocking<T: Send + 'static>(
    what: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    // A join error means that the runtime shuts down or the work panicked.
    let result = tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err)));
    result.map_err(|source| StoreError::Io { what, source })
}

/// The JSON in a file, `None` when there is no such file.
async fn read_json<T: serde::de::DeserializeOwned>(path: &Path, what: String) -> Result<Option<T>, StoreError> {
    match tokio::fs::read(path).await {
        Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|source| StoreError::Corrupt { what, source }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Io { what, source }),
    }
}
