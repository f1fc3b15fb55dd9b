//! Holds uploads and results. Today a folder each; object storage fits behind
//! the same calls, so no path of a published file leaves this module.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::io::AsyncRead;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::settings::{SettingError, Settings, Variable};
use crate::{InputInfo, JobId, Metadata};

pub(crate) const UPLOAD_DIR: Variable =
    Variable { name: "UPLOAD_DIR", default: "storage/uploads", about: "Folder of the uploaded pictures" };
pub(crate) const RESULTS_DIR: Variable =
    Variable { name: "RESULTS_DIR", default: "storage/results", about: "Folder of the results" };

/// Where uploads and results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `UPLOAD_DIR`
    pub uploads: PathBuf,
    /// `RESULTS_DIR`
    pub results: PathBuf,
}

impl StoreConfig {
    /// # Errors
    /// When a setting cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self { uploads: settings.require(&UPLOAD_DIR)?, results: settings.require(&RESULTS_DIR)? })
    }
}

/// A picture that was uploaded, decoded to sRGB RGBA and stored upright.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    pub id: Uuid,
    pub input: InputInfo,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// A stored file, open for reading.
pub struct StoredFile {
    pub len: u64,
    pub modified_at: OffsetDateTime,
    pub reader: Pin<std::boxed::Box<dyn AsyncRead + Send>>,
}

/// A folder that one attempt at a job writes its result into; nobody sees it
/// before [`Store::publish`]. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct Staging {
    job_id: JobId,
    dir: tempfile::TempDir,
}

impl Staging {
    /// Where to write `layer_0.png`, ..., `metadata.json`, `preview.jpg`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// What [`Store::publish`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Now,
    /// An earlier attempt had published already; its result stands.
    Before,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the storage failed at {what}")]
    Io { what: String, source: std::io::Error },
    #[error("{what} in the storage cannot be read")]
    Corrupt { what: String, source: serde_json::Error },
}

/// Uploads and results. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    uploads: std::sync::Arc<Path>,
    results: std::sync::Arc<Path>,
}

#[allow(clippy::todo, unused_variables, clippy::unused_async)]
impl Store {
    /// Opens (and makes, where missing) the two folders and proves that they can be written to.
    pub async fn open(uploads: &Path, results: &Path) -> Result<Self, StoreError> {
        todo!()
    }

    /// A temporary file on the same disk as the uploads, for a body that is still arriving.
    pub fn scratch(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        todo!()
    }

    /// Stores a decoded picture: `png` is moved in, synced and made visible in one step.
    pub async fn put_upload(&self, upload: &Upload, png: tempfile::NamedTempFile) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn upload(&self, id: Uuid) -> Result<Option<Upload>, StoreError> {
        todo!()
    }

    /// The PNG of an upload: 8 bit, RGB or RGBA, sRGB, upright.
    pub async fn upload_png(&self, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    pub async fn delete_upload(&self, id: Uuid) -> Result<bool, StoreError> {
        todo!()
    }

    /// Uploads stored before `cutoff`.
    pub async fn uploads_before(&self, cutoff: OffsetDateTime) -> Result<Vec<Uuid>, StoreError> {
        todo!()
    }

    /// A place for one attempt to write its result.
    pub fn stage(&self, job_id: JobId) -> Result<Staging, StoreError> {
        todo!()
    }

    /// Syncs a staged result and makes it visible in one step, unless there is one already.
    pub async fn publish(&self, staging: Staging) -> Result<Published, StoreError> {
        todo!()
    }

    /// The metadata of a published result.
    pub async fn metadata(&self, id: JobId) -> Result<Option<Metadata>, StoreError> {
        todo!()
    }

    /// A file of a published result, by its plain name; `None` for names that no result has.
    pub async fn result_file(&self, id: JobId, name: &str) -> Result<Option<StoredFile>, StoreError> {
        todo!()
    }

    pub async fn delete_result(&self, id: JobId) -> Result<bool, StoreError> {
        todo!()
    }

    /// Results published before `cutoff`.
    pub async fn results_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, StoreError> {
        todo!()
    }

    /// Removes what crashed processes left half-written before `cutoff`; answers how much it was.
    pub async fn sweep(&self, cutoff: OffsetDateTime) -> Result<usize, StoreError> {
        todo!()
    }
}

/// Kept here so that the metadata's input and an upload's cannot drift apart.
impl From<&Upload> for InputInfo {
    fn from(upload: &Upload) -> Self {
        upload.input.clone()
    }
}
