//! Deleting a job with everything that was split from it.

use std::time::Duration;

use jobs::JobId as Id;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::http::error::Error;
use crate::state::App;

/// Pauses between two checks of jobs that were asked to stop: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// After this time, jobs that do not stop are left to the periodic cleanup.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// Splits are linked to their layers within seconds; older ones that are not linked are leftovers.
const LINKED_AFTER: Duration = Duration::from_secs(600);

/// Deletes a finished job, or a result without a job; `false` when there is neither.
pub(crate) async fn remove(app: &App, id: Id) -> Result<bool, Error> {
    let own = app.clone();
    let work = async move { jobs::remove(own.broker.as_ref(), &own.store, id).await };
    // A task of its own, which a client that leaves does not stop half-way.
    let removed = tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??;
    remove_later(app, removed.running);
    Ok(removed.found)
}

/// Deletes jobs as soon as they have stopped, and the storage can be used.
pub(crate) fn remove_later(app: &App, ids: Vec<Id>) {
    if ids.is_empty() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = remove_stopped(&app, ids) => {}
        }
    });
}

async fn remove_stopped(app: &App, mut ids: Vec<Id>) {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    while !ids.is_empty() && started.elapsed() < PATIENCE {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let mut left = Vec::new();
        for id in ids {
            match jobs::remove(app.broker.as_ref(), &app.store, id).await {
                Ok(removed) => left.extend(removed.running),
                Err(error) => {
                    tracing::debug!(job_id = %id, %error, "a job that split a layer could not be deleted yet; retrying");
                    left.push(id);
                }
            }
        }
        ids = left;
    }
}

/// Deletes unfinished splits that a killed process left behind.
pub(crate) async fn remove_unlinked(app: App) {
    let expires = app.config.cleanup_after.is_some();
    let removing = jobs::remove_unlinked(app.broker.as_ref(), &app.store, LINKED_AFTER, expires);
    let removed = tokio::select! {
        () = app.shutdown.cancelled() => return,
        removed = removing => removed,
    };
    match removed {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deleted unlinked jobs of a process that was killed"),
        Err(error) => tracing::error!(%error, "unlinked jobs could not be searched for; retrying at the next start"),
    }
}
