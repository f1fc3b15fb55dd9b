use std::io;

use tempfile::NamedTempFile;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError, Upload, blocking, disk, read_json};

const IMAGE: &str = "image.png";
const FACTS: &str = "upload.json";

impl Store {
    /// A temporary file on the same disk as the uploads, for a body that is still arriving.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<NamedTempFile, StoreError> {
        disk::staged_file(&self.uploads)
            .map_err(|source| StoreError::Io { what: "making a temporary file".to_owned(), source })
    }

    /// Stores a decoded picture: `png` (from [`Store::scratch`]) is moved in, synced and made visible in one step.
    ///
    /// # Errors
    /// When the storage fails, or there is an upload of this id.
    pub async fn put_upload(&self, upload: &Upload, png: NamedTempFile) -> Result<(), StoreError> {
        let what = format!("storing upload {}", upload.id);
        let place = self.uploads.join(upload.id.to_string());
        let folder = self.uploads.clone();
        let facts =
            serde_json::to_vec_pretty(upload).map_err(|source| StoreError::Corrupt { what: what.clone(), source })?;
        blocking(what, move || {
            let staged = disk::staged_dir(&folder)?;
            png.persist(staged.path().join(IMAGE))?;
            std::fs::write(staged.path().join(FACTS), facts)?;
            if disk::publish(staged, &place)? { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        })
        .await
    }

    /// What is known of an upload; `None` when there is no such one.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload(&self, id: Uuid) -> Result<Option<Upload>, StoreError> {
        read_json(&self.uploads.join(id.to_string()).join(FACTS), format!("upload {id}")).await
    }

    /// The PNG of an upload: 8 bit, RGB or RGBA, sRGB, upright.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn upload_png(&self, id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        match tokio::fs::read(self.uploads.join(id.to_string()).join(IMAGE)).await {
            Ok(png) => Ok(Some(png)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { what: format!("reading upload {id}"), source }),
        }
    }

    /// `false` when there is no such upload.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_upload(&self, id: Uuid) -> Result<bool, StoreError> {
        let folder = self.uploads.clone();
        blocking(format!("deleting upload {id}"), move || disk::remove(&folder, id)).await
    }

    /// Uploads stored before `cutoff`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn uploads_before(&self, cutoff: OffsetDateTime) -> Result<Vec<Uuid>, StoreError> {
        let folder = self.uploads.clone();
        blocking("listing the uploads".to_owned(), move || disk::published_before(&folder, cutoff)).await
    }
}
