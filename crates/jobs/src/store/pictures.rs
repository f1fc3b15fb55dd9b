//! Pictures of a document lie beside the result that it belongs to, and go with it.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use tempfile::NamedTempFile;
use time::OffsetDateTime;

use super::backend::Shelf;
use super::results::StoredResult;
use super::{Store, StoreError, StoredFile};
use crate::JobId;
use crate::document::{Document, PictureId};
use crate::edits::Edits;

const PREFIX: &str = "picture_";
const SUFFIX: &str = ".png";

/// How long a picture stays that no document, step or version has, after it was last stored: its sender is about to put it
/// into the document.
const UNUSED_FOR: Duration = Duration::from_secs(60 * 60);

/// What [`Store::put_picture`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureStored {
    Now,
    /// There are [`Store::MAX_PICTURES`] of them.
    TooMany,
    NoResult,
}

impl Store {
    /// The most pictures beside one result, those of its history included.
    pub const MAX_PICTURES: usize = 500;

    /// A temporary file for [`Store::put_picture`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_picture_scratch(&self) -> Result<NamedTempFile, StoreError> {
        self.off_thread(Shelf::Results, "making a temporary file", |backend| backend.scratch(Shelf::Results)).await
    }

    /// Keeps a PNG beside a result; `png` is from [`Store::make_picture_scratch`]. Pictures that are needed no more, in no
    /// step and no version, go when there are many.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn put_picture(
        &self,
        job_id: JobId,
        id: PictureId,
        png: NamedTempFile,
    ) -> Result<PictureStored, StoreError> {
        let what = || format!("storing a picture of job {job_id}");
        let failed = |source| self.failed(Shelf::Results, what(), source);
        let Some(result) = self.result(job_id).await? else { return Ok(PictureStored::NoResult) };
        let stored = self.list_pictures(job_id).await?;
        if stored.len() >= Self::MAX_PICTURES / 2 {
            let left = self.drop_unused_pictures(&result, &stored).await?;
            if left >= Self::MAX_PICTURES && !stored.iter().any(|(other, _)| *other == id) {
                return Ok(PictureStored::TooMany);
            }
        }
        let is_there = self.backend.add(Shelf::Results, job_id, &file_name(id), png).await.map_err(failed)?;
        Ok(if is_there { PictureStored::Now } else { PictureStored::NoResult })
    }

    /// The pictures beside a result; none when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn pictures(&self, job_id: JobId) -> Result<HashSet<PictureId>, StoreError> {
        Ok(self.list_pictures(job_id).await?.into_iter().map(|(id, _)| id).collect())
    }

    /// Each with the time at which it was last stored.
    async fn list_pictures(&self, job_id: JobId) -> Result<Vec<(PictureId, OffsetDateTime)>, StoreError> {
        let added = self.backend.added(Shelf::Results, job_id).await;
        let what = || format!("listing the pictures of job {job_id}");
        let added = added.map_err(|source| self.failed(Shelf::Results, what(), source))?;
        Ok(added.into_iter().filter_map(|(name, at)| Some((id_of(&name)?, at))).collect())
    }

    /// Removes pictures that are needed no more; answers how many are left.
    async fn drop_unused_pictures(
        &self,
        result: &StoredResult,
        stored: &[(PictureId, OffsetDateTime)],
    ) -> Result<usize, StoreError> {
        let used = result.edits().await?.pictures();
        let cutoff = OffsetDateTime::now_utc() - UNUSED_FOR;
        let unused = stored.iter().filter(|(id, at)| !used.contains(id) && *at < cutoff);
        let mut left = stored.len();
        for (id, _) in unused {
            let removed = self.backend.remove_added(Shelf::Results, result.id(), &file_name(*id)).await;
            removed.map_err(|source| self.failed(Shelf::Results, "removing a picture", source))?;
            left -= 1;
        }
        Ok(left)
    }
}

impl StoredResult {
    /// A picture of the document that belongs to this result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn open_picture(&self, id: PictureId) -> Result<Option<StoredFile>, StoreError> {
        let found = self.folder().open_added(&file_name(id)).await;
        found.map_err(|source: io::Error| self.failed(format!("opening picture {id} of job {}", self.id()), source))
    }
}

impl Edits {
    /// All pictures that the document, a step or a version needs.
    pub fn pictures(&self) -> HashSet<PictureId> {
        let steps = self.past.iter().chain(&self.future).flat_map(|step| step.pictures());
        let documents = self.document.iter().chain(self.versions.iter().map(|version| &version.document));
        documents.flat_map(Document::pictures).chain(steps).collect()
    }
}

fn file_name(id: PictureId) -> String {
    format!("{PREFIX}{id}{SUFFIX}")
}

fn id_of(name: &str) -> Option<PictureId> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}
