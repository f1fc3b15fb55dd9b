//! Edits lie beside the result that they are of, and go with it.

mod queue;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

pub(super) use self::queue::EditQueue;
use self::queue::Refused;
use super::backend::Shelf;
use super::{Store, StoreError};
use crate::JobId;
use crate::edits::Edits;

pub(super) const EDITS: &str = "edits.json";

/// How long a change waits for its turn.
const WAIT: Duration = Duration::from_secs(30);

/// The same for a result that is about to be deleted, which goes on without.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// What [`Store::link_child`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The job now stands for the layer, in place of this one.
    Made { replaced: Option<JobId> },
    /// The result is not there, or about to be deleted.
    NoResult,
}

impl Store {
    /// The edits of a result; none of them when nothing was changed or there is no such result.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn edits(&self, id: JobId) -> Result<Edits, StoreError> {
        match self.result(id).await? {
            Some(result) => result.edits().await,
            None => Ok(Edits::default()),
        }
    }

    /// Changes the edits of a result and raises their revision. Changes that
    /// come at once, from other processes too, follow one another; `change` may
    /// be asked again for that. `None` when there is no such result.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after 30 seconds, or at once when too many wait; [`StoreError::TooLarge`];
    /// and when the storage fails.
    pub async fn change_edits(
        &self,
        id: JobId,
        change: impl Fn(&mut Edits) + Send + Sync + 'static,
    ) -> Result<Option<Edits>, StoreError> {
        self.try_change_edits(id, made(change)).await
    }

    /// The same for a change that answers whether it was made; otherwise the edits stay as they were.
    ///
    /// # Errors
    /// As [`Store::change_edits`].
    pub async fn try_change_edits(
        &self,
        id: JobId,
        change: impl Fn(&mut Edits) -> bool + Send + Sync + 'static,
    ) -> Result<Option<Edits>, StoreError> {
        self.change_edits_within(WAIT, id, change).await
    }

    async fn change_edits_within(
        &self,
        wait: Duration,
        id: JobId,
        change: impl Fn(&mut Edits) -> bool + Send + Sync + 'static,
    ) -> Result<Option<Edits>, StoreError> {
        let what = format!("changing the edits of job {id}");
        let changing = self.changes.change(&self.backend, EDITS, id, Box::new(change));
        match timeout(wait, changing).await.unwrap_or(Err(Refused::Busy)) {
            Ok(edits) => Ok(Some(edits)),
            Err(Refused::NoResult) => Ok(None),
            Err(refused) => {
                let failed = |source: io::Error| self.failed(Shelf::Results, &what, source);
                Err(refused.told(what.clone(), failed))
            }
        }
    }

    /// Makes `child` the job that splits layer `layer` of a result.
    ///
    /// # Errors
    /// As [`Store::change_edits`].
    pub async fn link_child(&self, id: JobId, layer: u32, child: JobId) -> Result<Link, StoreError> {
        let replaced = Arc::new(Mutex::new(None));
        let found = Arc::clone(&replaced);
        let link = move |edits: &mut Edits| {
            if !edits.is_closed {
                let before = edits.children.insert(layer, child).filter(|before| *before != child);
                *found.lock().unwrap_or_else(PoisonError::into_inner) = before;
            }
        };
        let edits = self.change_edits(id, link).await?;
        if edits.is_none_or(|edits| edits.children.get(&layer) != Some(&child)) {
            return Ok(Link::NoResult);
        }
        let replaced = *replaced.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Link::Made { replaced })
    }

    /// Lets no layer of a result be split any more; answers with the jobs that split its layers.
    ///
    /// A storage that cannot write it down (a full disk) or a damaged record does not keep the result from being deleted.
    ///
    /// # Errors
    /// When the storage cannot be read either.
    pub async fn close(&self, id: JobId) -> Result<Vec<JobId>, StoreError> {
        let edits = match self.change_edits_within(CLOSE_WAIT, id, made(|edits| edits.is_closed = true)).await {
            Ok(edits) => edits.unwrap_or_default(),
            Err(StoreError::Corrupt { .. }) => Edits::default(),
            Err(error) => {
                tracing::warn!(job_id = %id, %error, "a result that is to be deleted could not be closed");
                match self.edits(id).await {
                    Err(StoreError::Corrupt { .. }) => Edits::default(),
                    edits => edits?,
                }
            }
        };
        Ok(edits.children.into_values().collect())
    }
}

/// A change that is always made.
fn made(change: impl Fn(&mut Edits)) -> impl Fn(&mut Edits) -> bool {
    move |edits| {
        change(edits);
        true
    }
}
