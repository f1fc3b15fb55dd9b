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
    about: "Hours after which finished jobs, their results and uploads are removed; 0 keeps them",
};

/// The age after which jobs, results and uploads are removed (`CLEANUP_AFTER_HOURS`); `None` keeps everything.
///
/// # Errors
/// When the setting is not an integer.
pub fn cleanup_after(settings: &Settings) -> Result<Option<Duration>, SettingError> {
    let hours: u32 = settings.require(&CLEANUP_AFTER_HOURS)?;
    Ok((hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3600)))
}

/// What one [`cleanup`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanupReport {
    pub jobs: usize,
    pub results: usize,
    pub uploads: usize,
    /// Incomplete files of crashed processes.
    pub leftovers: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The age after which incomplete files are removed with `CLEANUP_AFTER_HOURS=0`; no process writes one file for so long.
const LEFTOVERS_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Removes what is older than `age` and not needed by a waiting or running job: finished jobs with their results, results
/// of jobs that the queue does not know, uploads, and leftovers of crashes. What somebody asked to be kept longer stays.
///
/// Safe to call from several processes at once. A result or upload that cannot be removed does not keep the others from
/// being removed.
///
/// # Errors
/// When the queue or the storage fails; removals up to then are not undone.
pub async fn cleanup(broker: &dyn Broker, store: &Store, age: Duration) -> Result<CleanupReport, CleanupError> {
    let cutoff = OffsetDateTime::now_utc() - age;
    let mut report = CleanupReport::default();
    let mut failed = None;
    let mut needed = results_being_split(broker, store).await?;
    let mut kept_uploads = HashSet::new();
    for id in broker.finished_before(cutoff).await?.into_iter().chain(store.results_before(cutoff).await?) {
        if is_kept(store, id).await {
            needed.insert(id);
            kept_uploads.extend(broker.job(id).await?.map(|job| job.upload_id));
        }
    }
    for id in broker.finished_before(cutoff).await?.into_iter().filter(|id| !needed.contains(id)) {
        // The result goes first: after a crash in between the job is found again.
        match store.delete_result(id).await {
            Ok(removed) => {
                report.results += usize::from(removed);
                report.jobs += usize::from(broker.forget(id).await?);
            }
            Err(err) => {
                failed.get_or_insert(err);
            }
        }
    }
    for id in store.results_before(cutoff).await?.into_iter().filter(|id| !needed.contains(id)) {
        if broker.job(id).await?.is_none() {
            report.results += count(store.delete_result(id).await, &mut failed);
        }
    }
    // This order keeps the time short in which a new job on an old upload can lose it; that job fails with `InputGone`.
    let old_uploads = store.uploads_before(cutoff).await?;
    let in_use = broker.uploads_in_use().await?;
    for id in old_uploads.into_iter().filter(|id| !in_use.contains(id) && !kept_uploads.contains(id)) {
        report.uploads += count(store.delete_upload(id).await, &mut failed);
    }
    report.leftovers = store.sweep(cutoff).await?;
    failed.map_or(Ok(report), |err| Err(err.into()))
}

/// Removes only leftovers of crashes that are older than a day.
///
/// # Errors
/// When the storage fails.
pub async fn sweep_leftovers(store: &Store) -> Result<CleanupReport, CleanupError> {
    let leftovers = store.sweep(OffsetDateTime::now_utc() - LEFTOVERS_AFTER).await?;
    Ok(CleanupReport { leftovers, ..CleanupReport::default() })
}

/// 1 when something was removed; remembers the first error.
fn count(removed: Result<bool, StoreError>, failed: &mut Option<StoreError>) -> usize {
    removed.map(usize::from).unwrap_or_else(|err| {
        failed.get_or_insert(err);
        0
    })
}

/// Whether somebody asked for a result to be kept, or for the one that it is a part of. A damaged one is not.
async fn is_kept(store: &Store, id: JobId) -> bool {
    let Ok(Some(result)) = store.result(id).await else { return false };
    let Ok(outermost) = store.outermost(&result).await else { return false };
    let until = outermost.edits().await.ok().and_then(|edits| edits.keep_until);
    until.is_some_and(|until| until > OffsetDateTime::now_utc())
}

/// The results whose layers are being split by waiting or running jobs, and their ancestors.
async fn results_being_split(broker: &dyn Broker, store: &Store) -> Result<HashSet<JobId>, CleanupError> {
    let mut needed = HashSet::new();
    for upload in broker.uploads_in_use().await? {
        // A damaged upload protects no result.
        let mut input = store.upload(upload).await.ok().flatten().map(|upload| upload.input);
        while let Some(parent) = input.and_then(|input| input.parent)
            && needed.insert(parent.job_id)
        {
            input = store.metadata(parent.job_id).await.ok().flatten().map(|metadata| metadata.input);
        }
    }
    Ok(needed)
}
