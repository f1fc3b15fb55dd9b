use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::Error as _;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use super::backend::{Folder, Shelf, read_json};
use super::edits::EDITS;
use super::{Store, StoreError, StoredFile};
use crate::edits::Edits;
use crate::{JobId, Metadata, ParentLayer};

const METADATA: &str = "metadata.json";
const PREVIEW: &str = "preview.jpg";
const RENDERING: &str = "rendering.png";

/// A folder that one attempt at a job writes its result into; nobody sees it
/// before [`Store::publish`]. Dropping it unpublished removes it.
#[derive(Debug)]
pub struct Staging {
    job_id: JobId,
    dir: TempDir,
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

impl Store {
    /// A place for one attempt to write its result. Blocks; [`Store::make_staging`] does not.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self, job_id: JobId) -> Result<Staging, StoreError> {
        let dir = self.backend.stage(Shelf::Results);
        let dir = dir.map_err(|source| self.failed(Shelf::Results, making(job_id), source))?;
        Ok(Staging { job_id, dir })
    }

    /// A place for one attempt to write its result.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_staging(&self, job_id: JobId) -> Result<Staging, StoreError> {
        let what = making(job_id);
        let dir = self.off_thread(Shelf::Results, &what, |backend| backend.stage(Shelf::Results)).await?;
        Ok(Staging { job_id, dir })
    }

    /// Makes a staged result visible in one step, unless there is one already.
    ///
    /// That of a job which split a layer is removed again when the result that it split was deleted meanwhile:
    /// nobody could reach it any more.
    ///
    /// # Errors
    /// When the storage fails, or `metadata.json` is missing.
    pub async fn publish(&self, staging: Staging) -> Result<Published, StoreError> {
        let Staging { job_id, dir } = staging;
        let failed = |source| self.failed(Shelf::Results, format!("publishing the result of job {job_id}"), source);
        let staged = tokio::fs::read(dir.path().join(METADATA)).await.map_err(failed)?;
        let is_first = self.backend.publish(Shelf::Results, job_id, dir).await.map_err(failed)?;
        if let Some(parent) = split_by(&staged, job_id)
            && matches!(self.has_result(parent).await, Ok(false))
        {
            tracing::info!(%job_id, %parent, "the split result was deleted meanwhile; its part goes too");
            self.delete_result(job_id).await?;
        }
        Ok(if is_first { Published::Now } else { Published::Before })
    }

    /// Whether a job has a published result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn has_result(&self, id: JobId) -> Result<bool, StoreError> {
        Ok(self.result(id).await?.is_some())
    }

    /// Opens a published result; `None` if it does not exist.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn result(&self, id: JobId) -> Result<Option<StoredResult>, StoreError> {
        let found = self.backend.folder(Shelf::Results, id).await;
        let found =
            found.map_err(|source| self.failed(Shelf::Results, format!("opening the result of job {id}"), source))?;
        Ok(found.map(|folder| {
            let place = self.backend.place(Shelf::Results);
            StoredResult(Arc::new(OpenResult { id, place, folder, metadata: OnceCell::new() }))
        }))
    }

    /// The metadata of a published result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn metadata(&self, id: JobId) -> Result<Option<Metadata>, StoreError> {
        match self.result(id).await? {
            Some(result) => result.metadata().await,
            None => Ok(None),
        }
    }

    /// A file of a published result, by its plain name; `None` for names that no result has.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn result_file(&self, id: JobId, name: &str) -> Result<Option<StoredFile>, StoreError> {
        match self.result(id).await? {
            Some(result) => result.open(name).await,
            None => Ok(None),
        }
    }

    /// An address from which anyone can fetch a file of a result for some time; `None` where the storage gives none.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn result_url(&self, id: JobId, name: &str, valid: Duration) -> Result<Option<String>, StoreError> {
        match self.result(id).await? {
            Some(result) => result.url(name, valid).await,
            None => Ok(None),
        }
    }

    /// `false` when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_result(&self, id: JobId) -> Result<bool, StoreError> {
        let removed = self.backend.remove(Shelf::Results, id).await;
        removed.map_err(|source| self.failed(Shelf::Results, format!("deleting the result of job {id}"), source))
    }

    /// Results published before `cutoff`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn results_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, StoreError> {
        let found = self.backend.published_before(Shelf::Results, cutoff).await;
        found.map_err(|source| self.failed(Shelf::Results, "listing the results", source))
    }
}

/// A published result, opened once: whoever holds it reads its files without looking for it again. Its files never
/// change; once it is deleted, reading them fails or finds nothing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoredResult(Arc<OpenResult>);

#[derive(Debug)]
struct OpenResult {
    id: JobId,
    /// Where the storage is, for errors.
    place: String,
    folder: Arc<dyn Folder>,
    /// Read when it is first asked for.
    metadata: OnceCell<(Bytes, Metadata)>,
}

impl StoredResult {
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// What is known of the result, without the jobs that split its layers again; `None` when it was deleted meanwhile.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn metadata(&self) -> Result<Option<Metadata>, StoreError> {
        if let Some((_, metadata)) = self.0.metadata.get() {
            return Ok(Some(metadata.clone()));
        }
        let what = || format!("the result of job {}", self.0.id);
        let failed = |source| self.failed(what(), source);
        let Some(file) = self.0.folder.open(METADATA).await.map_err(failed)? else { return Ok(None) };
        let Some(json) = read_json(file, what, failed).await? else { return Ok(None) };
        let metadata: Metadata =
            serde_json::from_slice(&json).map_err(|source| StoreError::Corrupt { what: what(), source })?;
        let (_, metadata) = self.0.metadata.get_or_init(|| async move { (json.into(), metadata) }).await;
        Ok(Some(metadata.clone()))
    }

    /// A file of the result, by its plain name; `None` for names that no result has.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn open(&self, name: &str) -> Result<Option<StoredFile>, StoreError> {
        if !is_result_name(name) {
            return Ok(None);
        }
        if let Some((json, _)) = self.0.metadata.get().filter(|_| name == METADATA) {
            return Ok(Some(StoredFile::in_memory(json.clone())));
        }
        let found = self.0.folder.open(name).await;
        found.map_err(|source| self.failed(format!("opening {name} of job {}", self.0.id), source))
    }

    /// What people changed of the result; the default when nobody did.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn edits(&self) -> Result<Edits, StoreError> {
        let what = || format!("the edits of job {}", self.0.id);
        let json = self.0.folder.read_changing(EDITS).await.map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => {
                StoreError::Corrupt { what: what(), source: serde_json::Error::custom(source) }
            }
            _ => self.failed(what(), source),
        })?;
        let edits = json.map(|json| Edits::from_json(&json)).transpose();
        Ok(edits.map_err(|source| StoreError::Corrupt { what: what(), source })?.unwrap_or_default())
    }

    /// An address from which anyone can fetch a file for some time; `None` where the storage gives none.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn url(&self, name: &str, valid: Duration) -> Result<Option<String>, StoreError> {
        if !is_result_name(name) {
            return Ok(None);
        }
        let url = self.0.folder.signed_url(name, valid).await;
        url.map_err(|source| self.failed(format!("signing for {name} of job {}", self.0.id), source))
    }

    pub(super) fn folder(&self) -> &dyn Folder {
        self.0.folder.as_ref()
    }

    pub(super) fn failed(&self, what: impl std::fmt::Display, source: io::Error) -> StoreError {
        StoreError::Io { what: format!("{what} in {}", self.0.place), source }
    }
}

/// The file of a layer, by its number; 0 is the lowest.
pub fn layer_file(number: usize) -> String {
    format!("layer_{number}.png")
}

fn making(job_id: JobId) -> String {
    format!("making a folder for job {job_id}")
}

/// The job whose layer `job_id` was started to split, by its metadata.
fn split_by(metadata: &[u8], job_id: JobId) -> Option<JobId> {
    #[derive(Deserialize)]
    struct Facts {
        input: Input,
    }
    #[derive(Deserialize)]
    struct Input {
        parent: Option<ParentLayer>,
    }
    let facts: Facts = serde_json::from_slice(metadata).ok()?;
    facts.input.parent.filter(|parent| parent.split_by == Some(job_id)).map(|parent| parent.job_id)
}

/// Whether a result can have a file of this name. A list of what may be, rather
/// than of what may not, leaves no way to another file.
fn is_result_name(name: &str) -> bool {
    let layer = name.strip_prefix("layer_").or_else(|| name.strip_prefix("model_layer_"));
    let layer = layer.and_then(|rest| rest.strip_suffix(".png"));
    match layer {
        // Parsed and written again, so that `+1` and `01` are not accepted as names.
        Some(number) => number.parse::<u8>().is_ok_and(|n| n.to_string() == number),
        None => [METADATA, PREVIEW, RENDERING].contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::is_result_name;

    #[test]
    fn only_the_names_of_results_are_names() {
        for name in ["layer_0.png", "layer_10.png", "model_layer_3.png", "metadata.json", "preview.jpg"] {
            assert!(is_result_name(name), "{name} was refused");
        }
        let hostile = [
            "",
            ".",
            "..",
            "../x/metadata.json",
            "..\\metadata.json",
            "/etc/passwd",
            "layer_.png",
            "layer_01.png",
            "layer_+1.png",
            "layer_1.png/..",
            "layer_1.png\0",
            "layer_1000.png",
            "layer_../../1.png",
            "LAYER_1.PNG",
            "metadata.json ",
            ".staging",
        ];
        for name in hostile {
            assert!(!is_result_name(name), "{name:?} was taken");
        }
    }
}
