//! Renews the lease of a job while an attempt runs, every third of `JOB_LEASE_S` (`jobs::broker::Rules::heartbeat`).

use std::sync::Arc;
use std::time::Duration;

use engine::{Stop, StopReason};
use jobs::Broker;
use jobs::broker::{Lease, Standing};
use service::error_chain;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// Raises `stop` if the job was cancelled or the lease was lost.
pub(super) fn apply_standing(standing: Standing, stop: &Stop) {
    match standing {
        Standing::Held { cancel_requested: false } => {}
        Standing::Held { cancel_requested: true } => stop.raise(StopReason::Cancelled),
        Standing::Lost => stop.raise(StopReason::Lost),
    }
}

/// Renews the lease until the task is dropped, and raises `stop` on a cancel or a lost lease.
pub(super) async fn renew(broker: Arc<dyn Broker>, lease: Lease, stop: Stop) {
    let mut ticks = interval(broker.heartbeat_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        match broker.heartbeat(&lease).await {
            Ok(standing) => {
                failing = false;
                apply_standing(standing, &stop);
            }
            // The engine continues: a queue that recovers in time still has our lease, otherwise it answers `Lost`.
            Err(error) => {
                if !failing {
                    tracing::warn!(error = error_chain(&error), "the lease could not be renewed; retrying");
                }
                failing = true;
            }
        }
    }
}

/// Raises `stop` at the end of the grace period of a shutdown.
pub(super) async fn stop_at_shutdown(token: CancellationToken, grace: Duration, stop: Stop) {
    token.cancelled().await;
    tracing::info!(grace_s = grace.as_secs(), "shutting down; the running job gets its grace period");
    sleep(grace).await;
    stop.raise(StopReason::ShuttingDown);
}
