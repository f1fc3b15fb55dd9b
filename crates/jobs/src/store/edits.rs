//! Edits lie beside the result that they are of, and go with it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::{Store, StoreError, blocking, disk, read_json};
use crate::JobId;
use crate::edits::Edits;

const EDITS: &str = "edits.json";
const LOCK: &str = "edits.lock";

impl Store {
    /// The edits of a result; none of them when nothing was changed or there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn edits(&self, id: JobId) -> Result<Edits, StoreError> {
        let path = self.results.join(id.to_string()).join(EDITS);
        Ok(read_json(&path, format!("the edits of job {id}")).await?.unwrap_or_default())
    }

    /// Changes the edits of a result and raises their revision. Changes that
    /// come at once, from other processes too, follow one another.
    /// `None` when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn change_edits(
        &self,
        id: JobId,
        change: impl FnOnce(&mut Edits) + Send + 'static,
    ) -> Result<Option<Edits>, StoreError> {
        let results = self.results.clone();
        blocking(format!("changing the edits of job {id}"), move || {
            let dir = results.join(id.to_string());
            let lock = match File::options().create(true).append(true).open(dir.join(LOCK)) {
                Ok(lock) => lock,
                Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
                Err(err) => return Err(err),
            };
            lock.lock()?;
            let mut edits = read(&dir.join(EDITS))?;
            change(&mut edits);
            edits.revision += 1;
            let mut staged = disk::staged_file(&results)?;
            staged.write_all(&serde_json::to_vec_pretty(&edits)?)?;
            staged.as_file().sync_all()?;
            staged.persist(dir.join(EDITS))?;
            Ok(Some(edits))
        })
        .await
    }
}

fn read(path: &Path) -> io::Result<Edits> {
    match std::fs::read(path) {
        Ok(json) => Ok(serde_json::from_slice(&json)?),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(Edits::default()),
        Err(err) => Err(err),
    }
}
