//! Announces the worker and its activity to the queue.

use std::sync::Arc;
use std::time::Duration;

use jobs::broker::WorkerInfo;
use jobs::{Broker, JobId};
use service::error_chain;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// What a worker is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) job: Option<JobId>,
    /// Why it takes no jobs.
    pub(super) paused: Option<String>,
}

/// Announces the worker every `every`, and at once when it pauses or resumes.
pub(super) async fn announce(
    broker: Arc<dyn Broker>,
    info: WorkerInfo,
    every: Duration,
    mut activity: watch::Receiver<Activity>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut announced = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = activity.wait_for(|now| now.paused != announced) => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let Activity { job, paused } = activity.borrow().clone();
        announced.clone_from(&paused);
        let now = WorkerInfo { job, paused, seen_at: OffsetDateTime::now_utc(), ..info.clone() };
        if let Err(error) = broker.announce(&now).await {
            tracing::debug!(error = error_chain(&error), "the worker could not be announced; retrying");
        }
    }
}
