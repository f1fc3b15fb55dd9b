//! A job is deleted with everything that was split from it.

use std::time::Duration;

use jobs::JobId as Id;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::app::App;
use crate::error::Error;

/// Between two looks at jobs that were asked to stop: doubled each time, up to the second of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(15)];

/// After that long a job that was asked to stop is left to the periodic cleanup.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// A split is linked to its layer long before that.
const LINKED_AFTER: Duration = Duration::from_secs(600);

/// Deletes a job that is over, or its result alone; `false` when there is neither.
pub async fn remove(app: &App, id: Id) -> Result<bool, Error> {
    let own = app.clone();
    let work = async move { jobs::remove(own.broker.as_ref(), &own.store, id).await };
    // A task of its own: a client that leaves in between must not stop it half-way.
    let removed = tokio::spawn(work.in_current_span()).await.map_err(Error::internal)??;
    remove_later(app, removed.running);
    Ok(removed.found)
}

/// Deletes jobs as soon as they have stopped, and the storage can be used.
pub fn remove_later(app: &App, ids: Vec<Id>) {
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
    let [mut pause, longest] = PAUSES;
    while !ids.is_empty() && started.elapsed() < PATIENCE {
        sleep(pause).await;
        pause = (pause * 2).min(longest);
        let mut left = Vec::new();
        for id in ids {
            match jobs::remove(app.broker.as_ref(), &app.store, id).await {
                Ok(removed) => left.extend(removed.running),
                Err(error) => {
                    tracing::debug!(job_id = %id, %error, "a job that was split off could not be deleted yet");
                    left.push(id);
                }
            }
        }
        ids = left;
    }
}

/// Deletes what an earlier process that was killed left of splits.
pub async fn remove_unlinked(app: App) {
    let expires = app.config.cleanup_after.is_some();
    let removing = jobs::remove_unlinked(app.broker.as_ref(), &app.store, LINKED_AFTER, expires);
    let removed = tokio::select! {
        () = app.shutdown.cancelled() => return,
        removed = removing => removed,
    };
    match removed {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deleted jobs that a process which was killed had left unlinked"),
        Err(error) => tracing::error!(%error, "unlinked jobs could not be looked for; the next start tries again"),
    }
}
