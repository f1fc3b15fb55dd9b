//! What keeps an eye on a running attempt, each on its own task: none of them waits for the engine.

use std::sync::Arc;
use std::time::Duration;

use jobs::Broker;
use jobs::broker::{Lease, Standing};
use service::error_chain;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::memory::{Resident, free_bytes};
use crate::stop::{Stop, StopReason};

/// How often the memory of the process is measured.
const MEMORY_INTERVAL: Duration = Duration::from_millis(500);

/// Raises `stop` for what a standing says.
pub(crate) fn heed(standing: Standing, stop: &Stop) {
    match standing {
        Standing::Held { cancel_requested: false } => {}
        Standing::Held { cancel_requested: true } => stop.raise(StopReason::Cancelled),
        Standing::Lost => stop.raise(StopReason::Lost),
    }
}

/// Renews the lease until the task is dropped; hears of cancels and of a lost lease.
pub(crate) async fn lease(broker: Arc<dyn Broker>, lease: Lease, every: Duration, stop: Stop) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        match broker.heartbeat(&lease).await {
            Ok(standing) => {
                failing = false;
                heed(standing, &stop);
            }
            // The engine goes on: a queue that comes back in time finds the lease still ours, one
            // that comes back late answers `Lost`.
            Err(error) => {
                if !failing {
                    tracing::warn!(error = error_chain(&error), "the lease could not be renewed; trying on");
                }
                failing = true;
            }
        }
    }
}

/// Stops the engine when its time is over.
pub(crate) async fn deadline(limit: Duration, stop: Stop) {
    sleep(limit).await;
    stop.raise(StopReason::TimedOut { limit_s: limit.as_secs() });
}

/// Stops the engine when the worker shuts down and the job did not finish in time.
pub(crate) async fn shutdown(token: CancellationToken, grace: Duration, stop: Stop) {
    token.cancelled().await;
    tracing::info!(grace_s = grace.as_secs(), "shutting down: the running job gets its grace period");
    sleep(grace).await;
    stop.raise(StopReason::ShuttingDown);
}

/// Stops the engine when the process has grown by more than `limit` bytes (`None`: what is free now).
pub(crate) async fn memory(limit: Option<u64>, stop: Stop) {
    let Some(mut resident) = Resident::new() else { return };
    let Some(before) = resident.bytes() else { return };
    let Some(limit) = limit.or_else(free_bytes) else { return };
    let mut ticks = interval(MEMORY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let used = resident.bytes().unwrap_or(before).saturating_sub(before);
        if used > limit {
            stop.raise(StopReason::OutOfMemory { used, limit });
            return;
        }
    }
}
