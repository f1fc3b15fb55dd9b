use std::time::Duration;

use time::OffsetDateTime;

use crate::broker::{Broker, BrokerError};
use crate::settings::{SettingError, Settings, Variable};
use crate::store::{Store, StoreError};

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

/// Removes what is older than `age`: finished jobs with their results, results
/// of jobs that the queue does not know, uploads, and leftovers of crashes.
/// Nothing that a waiting or running job needs.
///
/// Safe to call from several processes at once.
///
/// # Errors
/// When the queue or the storage fails; what was removed by then stays removed.
pub async fn cleanup(broker: &dyn Broker, store: &Store, age: Duration) -> Result<Cleaned, CleanupError> {
    let cutoff = OffsetDateTime::now_utc() - age;
    let mut cleaned = Cleaned::default();
    for id in broker.finished_before(cutoff).await? {
        // The result goes first: a crash in between leaves a job to find again.
        cleaned.results += usize::from(store.delete_result(id).await?);
        cleaned.jobs += usize::from(broker.forget(id).await?);
    }
    for id in store.results_before(cutoff).await? {
        if broker.job(id).await?.is_none() {
            cleaned.results += usize::from(store.delete_result(id).await?);
        }
    }
    // In this order the gap is small in which someone can ask for a job on an
    // old upload and lose it; that job then says `InputGone`.
    let old_uploads = store.uploads_before(cutoff).await?;
    let in_use = broker.uploads_in_use().await?;
    for id in old_uploads.into_iter().filter(|id| !in_use.contains(id)) {
        cleaned.uploads += usize::from(store.delete_upload(id).await?);
    }
    cleaned.leftovers = store.sweep(cutoff).await?;
    Ok(cleaned)
}
