//! Edits lie beside the result that they are of, and go with it.

use super::backend::Shelf;
use super::{Store, StoreError};
use crate::JobId;
use crate::edits::Edits;

const EDITS: &str = "edits.json";

impl Store {
    /// The edits of a result; none of them when nothing was changed or there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn edits(&self, id: JobId) -> Result<Edits, StoreError> {
        let edits = self.read_json(Shelf::Results, id, EDITS, || format!("the edits of job {id}")).await?;
        Ok(edits.unwrap_or_default())
    }

    /// Changes the edits of a result and raises their revision. Changes that
    /// come at once, from other processes too, follow one another; `change` may
    /// be asked again for that. `None` when there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn change_edits(
        &self,
        id: JobId,
        change: impl Fn(&mut Edits) + Send + Sync,
    ) -> Result<Option<Edits>, StoreError> {
        let what = || format!("changing the edits of job {id}");
        let change = |before: Option<&[u8]>| {
            let mut edits: Edits = before.map(serde_json::from_slice).transpose()?.unwrap_or_default();
            change(&mut edits);
            edits.revision += 1;
            Ok(serde_json::to_vec_pretty(&edits)?)
        };
        let changed = self.backend.change(Shelf::Results, id, EDITS, &change).await;
        let changed = changed.map_err(|source| StoreError::Io { what: what(), source })?;
        let read = |json: Vec<u8>| serde_json::from_slice(&json);
        changed.map(read).transpose().map_err(|source| StoreError::Corrupt { what: what(), source })
    }
}
