//! The right to work on a job, kept while an attempt lasts.

use std::sync::Arc;
use std::time::Duration;

use engine::{Stop, StopReason};
use jobs::Broker;
use jobs::broker::{Lease, Standing};
use service::error_chain;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// Raises `stop` for what a standing says.
pub(super) fn obey(standing: Standing, stop: &Stop) {
    match standing {
        Standing::Held { cancel_requested: false } => {}
        Standing::Held { cancel_requested: true } => stop.raise(StopReason::Cancelled),
        Standing::Lost => stop.raise(StopReason::Lost),
    }
}

/// Renews the lease until the task is dropped; hears of cancels and of a lost lease.
pub(super) async fn keep(broker: Arc<dyn Broker>, lease: Lease, stop: Stop) {
    let mut ticks = interval(broker.heartbeat_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        match broker.heartbeat(&lease).await {
            Ok(standing) => {
                failing = false;
                obey(standing, &stop);
            }
            // The engine goes on: a queue that comes back in time finds the lease still ours, one
            // that comes back late answers `Lost`.
            Err(error) => {
                if !failing {
                    tracing::warn!(error = error_chain(&error), "the lease could not be renewed; retrying");
                }
                failing = true;
            }
        }
    }
}

/// Stops the engine when the worker shuts down and the job did not finish in time.
pub(super) async fn shutdown(token: CancellationToken, grace: Duration, stop: Stop) {
    token.cancelled().await;
    tracing::info!(grace_s = grace.as_secs(), "shutting down: the running job gets its grace period");
    sleep(grace).await;
    stop.raise(StopReason::ShuttingDown);
}
