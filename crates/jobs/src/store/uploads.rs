use std::fs;
use std::io;
use std::time::Duration;

use tempfile::NamedTempFile;
use time::OffsetDateTime;
use uuid::Uuid;

use super::backend::{Backend, Shelf, read_json, read_whole};
use super::{Store, StoreError, StoredFile, Upload, parse};

const IMAGE: &str = "image.png";
const FACTS: &str = "upload.json";
const SCRATCH: &str = "making a temporary file";

impl Store {
    /// A temporary file. Blocks; [`Store::make_scratch`] does not.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<NamedTempFile, StoreError> {
        let file = self.backend.scratch(Shelf::Uploads);
        file.map_err(|source| self.failed(Shelf::Uploads, SCRATCH, source))
    }

    /// A temporary file, for a body that is still arriving.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_scratch(&self) -> Result<NamedTempFile, StoreError> {
        self.off_thread(Shelf::Uploads, SCRATCH, |backend| backend.scratch(Shelf::Uploads)).await
    }

    /// Stores a decoded picture: `png` (from [`Store::scratch`]) is moved in and made visible in one step.
    ///
    /// # Errors
    /// When the storage fails, or there is an upload of this id.
    pub async fn put_upload(&self, upload: &Upload, png: NamedTempFile) -> Result<(), StoreError> {
        let what = format!("storing upload {}", upload.id);
        let facts = serde_json::to_vec_pretty(upload)
            .map_err(|source| StoreError::Corrupt { what: format!("upload {}", upload.id), source })?;
        let stage = move |backend: &dyn Backend| {
            let staged = backend.stage(Shelf::Uploads)?;
            png.persist(staged.path().join(IMAGE))?;
            fs::write(staged.path().join(FACTS), facts)?;
            Ok(staged)
        };
        let staged = self.off_thread(Shelf::Uploads, &what, stage).await?;
        match self.backend.publish(Shelf::Uploads, upload.id, staged).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failed(Shelf::Uploads, what, io::ErrorKind::AlreadyExists.into())),
            Err(source) => Err(self.failed(Shelf::Uploads, what, source)),
        }
    }

    /// What is known of an upload; `None` if it does not exist.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload(&self, id: Uuid) -> Result<Option<Upload>, StoreError> {
        let what = || format!("upload {id}");
        let failed = |source| self.failed(Shelf::Uploads, what(), source);
        match self.open_file(Shelf::Uploads, id, FACTS).await.map_err(failed)? {
            Some(file) => parse(read_json(file, what, failed).await?, what),
            None => Ok(None),
        }
    }

    /// The PNG of an upload, whole: 8 bit, RGB or RGBA, sRGB, upright.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload_png(&self, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |source| self.failed(Shelf::Uploads, format!("reading upload {id}"), source);
        match self.open_file(Shelf::Uploads, id, IMAGE).await.map_err(failed)? {
            Some(file) => read_whole(file).await.map_err(failed),
            None => Ok(None),
        }
    }

    /// The PNG of an upload as a file.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload_file(&self, id: Uuid) -> Result<Option<StoredFile>, StoreError> {
        let found = self.open_file(Shelf::Uploads, id, IMAGE).await;
        found.map_err(|source| self.failed(Shelf::Uploads, format!("opening upload {id}"), source))
    }

    /// An address from which anyone can fetch an upload's PNG for some time; `None` where the storage gives none.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload_url(&self, id: Uuid, valid: Duration) -> Result<Option<String>, StoreError> {
        let failed = |source| self.failed(Shelf::Uploads, format!("signing for upload {id}"), source);
        match self.backend.folder(Shelf::Uploads, id).await.map_err(failed)? {
            Some(folder) => folder.signed_url(IMAGE, valid).await.map_err(failed),
            None => Ok(None),
        }
    }

    /// `false` when there is no such upload.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_upload(&self, id: Uuid) -> Result<bool, StoreError> {
        let removed = self.backend.remove(Shelf::Uploads, id).await;
        removed.map_err(|source| self.failed(Shelf::Uploads, format!("deleting upload {id}"), source))
    }

    /// Uploads stored before `cutoff`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn uploads_before(&self, cutoff: OffsetDateTime) -> Result<Vec<Uuid>, StoreError> {
        let found = self.backend.published_before(Shelf::Uploads, cutoff).await;
        found.map_err(|source| self.failed(Shelf::Uploads, "listing the uploads", source))
    }
}
