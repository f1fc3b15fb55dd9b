use std::io;
use std::path::Path;

use tempfile::TempDir;
use time::OffsetDateTime;

use super::{Store, StoreError, StoredFile, blocking, disk, read_json};
use crate::{JobId, Metadata};

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
    /// A place for one attempt to write its result.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self, job_id: JobId) -> Result<Staging, StoreError> {
        let dir = disk::staged_dir(&self.results)
            .map_err(|source| StoreError::Io { what: format!("making a folder for job {job_id}"), source })?;
        Ok(Staging { job_id, dir })
    }

    /// Syncs a staged result and makes it visible in one step, unless there is one already.
    ///
    /// # Errors
    /// When the storage fails, or `metadata.json` is missing.
    pub async fn publish(&self, staging: Staging) -> Result<Published, StoreError> {
        let Staging { job_id, dir } = staging;
        let place = self.results.join(job_id.to_string());
        blocking(format!("publishing the result of job {job_id}"), move || {
            std::fs::metadata(dir.path().join(METADATA))?;
            Ok(if disk::publish(dir, &place)? { Published::Now } else { Published::Before })
        })
        .await
    }

    /// The metadata of a published result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn metadata(&self, id: JobId) -> Result<Option<Metadata>, StoreError> {
        read_json(&self.results.join(id.to_string()).join(METADATA), format!("the result of job {id}")).await
    }

    /// A file of a published result, by its plain name; `None` for names that no result has.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn result_file(&self, id: JobId, name: &str) -> Result<Option<StoredFile>, StoreError> {
        if !is_result_name(name) {
            return Ok(None);
        }
        match open(&self.results.join(id.to_string()).join(name)).await {
            Ok(file) => Ok(Some(file)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { what: format!("opening {name} of job {id}"), source }),
        }
    }

    /// `false` when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_result(&self, id: JobId) -> Result<bool, StoreError> {
        let folder = self.results.clone();
        blocking(format!("deleting the result of job {id}"), move || disk::remove(&folder, id)).await
    }

    /// Results published before `cutoff`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn results_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, StoreError> {
        let folder = self.results.clone();
        blocking("listing the results".to_owned(), move || disk::published_before(&folder, cutoff)).await
    }
}

/// Whether a result can have a file of this name. A list of what may be, rather
/// than of what may not, leaves no way to another file.
fn is_result_name(name: &str) -> bool {
    let layer = name.strip_prefix("layer_").or_else(|| name.strip_prefix("model_layer_"));
    let layer = layer.and_then(|rest| rest.strip_suffix(".png"));
    match layer {
        // Parsed and written again, so that `+1` and `01` are no names.
        Some(number) => number.parse::<u8>().is_ok_and(|n| n.to_string() == number),
        None => [METADATA, PREVIEW, RENDERING].contains(&name),
    }
}

async fn open(path: &Path) -> io::Result<StoredFile> {
    let file = tokio::fs::File::open(path).await?;
    let metadata = file.metadata().await?;
    Ok(StoredFile { len: metadata.len(), modified_at: metadata.modified()?.into(), reader: Box::pin(file) })
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
