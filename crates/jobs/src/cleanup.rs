use std::collections::HashSet;
use std::time::Duration;

use time::OffsetDateTime;

use crate::JobId;
use crate::broker::{Broker, BrokerError};
use crate::store::{Store, StoreError};
use service::{SettingError, Settings, Variable};

pub(crate) const CLEANUP_AFTER_HOURS: Variable = Variable {
    name: "CLEANUP_AFTER_HOURS",
    default: "24",
    about: "Hours after which finished jobs, their results and uploads are removed; 0 keeps everything",
};

/// The age after which things are removed (`CLEANUP_AFTER_HOURS`); `None` keeps everything.
///
/// # Errors
/// When the setting is not a whole number.
pub fn cleanup_after(settings: &Settings) -> Result<Option<Duration>, SettingError> {
    let hours: u32 = settings.require(&CLEANUP_AFTER_HOURS)?;
    Ok((hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3600)))
}

/// What one [`cleanup`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub jobs: usize,
    pub results: usize,
    pub uploads: usize,
    /// What crashed processes had left half-written.
    pub leftovers: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Age after which what crashes left half-written is removed where nothing else is (`CLEANUP_AFTER_HOURS=0`): more than
/// any process writes at one thing.
const LEFTOVERS_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Removes what is older than `age`: finished jobs with their results, results
/// of jobs that the queue does not know, uploads, and leftovers of crashes.
/// Nothing that a waiting or running job needs.
///
/// Safe to call from several processes at once. What cannot be removed keeps nothing else from it.
///
/// # Errors
/// When the queue or the storage fails; what was removed by then stays removed.
pub async fn cleanup(broker: &dyn Broker, store: &Store, age: Duration) -> Result<Cleaned, CleanupError> {
    let cutoff = OffsetDateTime::now_utc() - age;
    let mut cleaned = Cleaned::default();
    let mut failed = None;
    let needed = split_at_present(broker, store).await?;
    for id in broker.finished_before(cutoff).await?.into_iter().filter(|id| !needed.contains(id)) {
        // The result goes first: a crash in between leaves a job to find again.
        match store.delete_result(id).await {
            Ok(removed) => {
                cleaned.results += usize::from(removed);
                cleaned.jobs += usize::from(broker.forget(id).await?);
            }
            Err(err) => {
                failed.get_or_insert(err);
            }
        }
    }
    for id in store.results_before(cutoff).await?.into_iter().filter(|id| !needed.contains(id)) {
        if broker.job(id).await?.is_none() {
            cleaned.results += count(store.delete_result(id).await, &mut failed);
        }
    }
    // In this order the gap is small in which someone can ask for a job on an
    // old upload and lose it; that job then says `InputGone`.
    let old_uploads = store.uploads_before(cutoff).await?;
    let in_use = broker.uploads_in_use().await?;
    for id in old_uploads.into_iter().filter(|id| !in_use.contains(id)) {
        cleaned.uploads += count(store.delete_upload(id).await, &mut failed);
    }
    cleaned.leftovers = store.sweep(cutoff).await?;
    failed.map_or(Ok(cleaned), |err| Err(err.into()))
}

/// Removes only what crashes left half-written, when it is older than a day.
///
/// # Errors
/// When the storage fails.
pub async fn sweep_leftovers(store: &Store) -> Result<Cleaned, CleanupError> {
    let leftovers = store.sweep(OffsetDateTime::now_utc() - LEFTOVERS_AFTER).await?;
    Ok(Cleaned { leftovers, ..Cleaned::default() })
}

/// 1 when something was removed.
fn count(removed: Result<bool, StoreError>, failed: &mut Option<StoreError>) -> usize {
    removed.map(usize::from).unwrap_or_else(|err| {
        failed.get_or_insert(err);
        0
    })
}

/// The results whose layers waiting and running jobs split, and those that these were split from.
async fn split_at_present(broker: &dyn Broker, store: &Store) -> Result<HashSet<JobId>, CleanupError> {
    let mut needed = HashSet::new();
    for upload in broker.uploads_in_use().await? {
        // One that is damaged is no reason to keep anything.
        let mut input = store.upload(upload).await.ok().flatten().map(|upload| upload.input);
        while let Some(parent) = input.and_then(|input| input.parent)
            && needed.insert(parent.job_id)
        {
            input = store.metadata(parent.job_id).await.ok().flatten().map(|metadata| metadata.input);
        }
    }
    Ok(needed)
}
