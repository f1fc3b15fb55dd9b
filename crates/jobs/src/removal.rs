//! Removes a job with everything that was split from it.

use std::collections::HashSet;
use std::time::Duration;

use time::OffsetDateTime;

use crate::broker::Broker;
use crate::cleanup::CleanupError;
use crate::store::{Store, StoreError};
use crate::{Job, JobId};

/// What [`remove`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Whether there was such a job or result.
    pub found: bool,
    /// Jobs that were asked to stop and are still running: call [`remove`] for each when it has ended.
    pub running: Vec<JobId>,
}

/// Removes a job with its result, and all jobs that split its layers again, at any depth: waiting jobs are cancelled first,
/// running ones are asked to stop. Uploads that only they used are removed too.
///
/// Parts are removed before the result that they were split from, so an interrupted call can be repeated.
///
/// # Errors
/// When the queue or the storage fails.
pub async fn remove(broker: &dyn Broker, store: &Store, root: JobId) -> Result<Removal, CleanupError> {
    let mut removal = Removal::default();
    for id in family(store, root).await?.into_iter().rev() {
        let job = broker.cancel(id).await?;
        if job.as_ref().is_some_and(|job| !job.state.is_terminal()) {
            removal.running.push(id);
            removal.found = true;
            continue;
        }
        removal.found = store.delete_result(id).await? | job.is_some();
        if let Some(job) = job {
            remove_own_upload(broker, store, &job).await?;
            broker.forget(id).await?;
        }
    }
    Ok(removal)
}

/// `root` and all jobs that split a layer of it, parents first. Closes their results: no further layer can be split.
async fn family(store: &Store, root: JobId) -> Result<Vec<JobId>, StoreError> {
    let mut family = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while let Some(id) = family.get(next).copied() {
        next += 1;
        // A damaged record may name a job twice, or its own parent.
        family.extend(store.close(id).await?.into_iter().filter(|child| seen.insert(*child)));
    }
    Ok(family)
}

/// Removes the upload of a job that was started to split a layer, unless another job uses it.
async fn remove_own_upload(broker: &dyn Broker, store: &Store, job: &Job) -> Result<(), CleanupError> {
    let upload = match store.upload(job.upload_id).await {
        // Cleanup removes it by age.
        Err(StoreError::Corrupt { .. }) => None,
        upload => upload?,
    };
    let is_own = upload
        .and_then(|upload| upload.input.parent)
        .is_some_and(|parent| parent.split_by.is_none_or(|owner| owner == job.id));
    if is_own && !broker.uploads_in_use().await?.contains(&job.upload_id) {
        store.delete_upload(job.upload_id).await?;
    }
    Ok(())
}

/// Removes jobs that split a layer, ended longer than `age` ago and are not linked to the layer: a process died between
/// submitting and linking them. A job that is about to be linked is younger than `age`. Where nothing else removes old
/// jobs (`expires` is `false`), jobs whose parent result was deleted are removed too. Answers how many.
///
/// # Errors
/// When the queue or the storage fails.
pub async fn remove_unlinked(
    broker: &dyn Broker,
    store: &Store,
    age: Duration,
    expires: bool,
) -> Result<usize, CleanupError> {
    let mut count = 0;
    for id in broker.finished_before(OffsetDateTime::now_utc() - age).await? {
        let Some(job) = broker.job(id).await? else { continue };
        if is_unlinked(store, &job, expires).await? {
            remove(broker, store, id).await?;
            count += 1;
        }
    }
    Ok(count)
}

async fn is_unlinked(store: &Store, job: &Job, expires: bool) -> Result<bool, StoreError> {
    let upload = match store.upload(job.upload_id).await {
        Err(StoreError::Corrupt { .. }) => None,
        upload => upload?,
    };
    let parent = upload.and_then(|upload| upload.input.parent).filter(|parent| parent.split_by == Some(job.id));
    let Some(parent) = parent else { return Ok(false) };
    if !store.has_result(parent.job_id).await? {
        return Ok(!expires);
    }
    match store.edits(parent.job_id).await {
        Err(StoreError::Corrupt { .. }) => Ok(false),
        edits => Ok(edits?.children.get(&parent.layer) != Some(&job.id)),
    }
}
