//! How an attempt ended, and what the worker has to do afterwards.

use std::sync::Arc;
use std::time::Duration;

use engine::Message;
use jobs::broker::{Lease, Standing};
use jobs::{Broker, BrokerError};
use service::error_chain;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::run::Fault;

/// Attempts to record the outcome of a job in a queue that fails.
const FINISH_ATTEMPTS: u32 = 6;
/// The first pause between them; each following one is twice as long.
const FINISH_PAUSE: Duration = Duration::from_millis(500);

/// How an attempt ended, for metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum AttemptEnd {
    Succeeded,
    Failed,
    Cancelled,
    /// Another worker has the job.
    Lost,
    /// The job went back to the queue.
    Released,
    /// The job is held and goes back to the queue later.
    Held,
    /// The outcome could not be recorded.
    Unrecorded,
    /// The attempt itself panicked.
    Panicked,
}

impl AttemptEnd {
    /// The label in metrics.
    pub(in crate::queue) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Held => "held",
            Self::Unrecorded => "unrecorded",
            Self::Panicked => "panicked",
        }
    }

    /// Whether the job is over.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// How an attempt ended, and what the worker does before its next job.
#[derive(Debug)]
pub(in crate::queue) struct NextStep {
    pub(in crate::queue) end: AttemptEnd,
    /// The engine thread is stuck.
    pub(in crate::queue) is_stuck: bool,
    /// Pause until this is repaired.
    pub(in crate::queue) pause: Option<Fault>,
    /// Give this job back later, while others run.
    pub(in crate::queue) held: Option<HeldJob>,
}

impl NextStep {
    /// `end` and nothing else to do.
    pub(in crate::queue) fn after(end: AttemptEnd) -> Self {
        Self { end, is_stuck: false, pause: None, held: None }
    }
}

/// A job that keeps its lease for a while before it is given back: in the queue, it would run again at once.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::queue) struct HeldJob {
    pub(super) lease: Lease,
    pub(super) wait: Duration,
    pub(super) reason: Message,
}

impl HeldJob {
    /// Holds the job for its wait, at most until `shutdown`, and gives it back.
    pub(in crate::queue) async fn keep(self, broker: Arc<dyn Broker>, shutdown: CancellationToken) {
        let mut ticks = interval(broker.heartbeat_interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = async {
            tokio::select! {
                () = sleep(self.wait) => {}
                () = shutdown.cancelled() => {}
            }
        };
        let mut over = std::pin::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => break,
                _ = ticks.tick() => match broker.heartbeat(&self.lease).await {
                    Ok(Standing::Lost) => return,
                    Ok(Standing::Held { cancel_requested: true }) => break,
                    // A queue that fails is retried at the next tick.
                    Ok(Standing::Held { cancel_requested: false }) | Err(_) => {}
                },
            }
        }
        give_back(&broker, &self.lease, &self.reason).await;
    }
}

/// Puts a job back into the queue without counting the attempt.
pub(super) async fn give_back(broker: &Arc<dyn Broker>, lease: &Lease, reason: &Message) {
    match retry(|| broker.release(lease, reason)).await {
        Ok(standing) => tracing::info!(?standing, %reason, "job given back to the queue"),
        Err(error) => {
            tracing::error!(error = error_chain(&error), "the job could not be given back; its lease will expire")
        }
    }
}

/// Retries `call` with backoff while the queue fails.
pub(super) async fn retry<F, Fut>(call: F) -> Result<Standing, BrokerError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Standing, BrokerError>>,
{
    let mut pause = FINISH_PAUSE;
    for _ in 1..FINISH_ATTEMPTS {
        match call().await {
            Ok(standing) => return Ok(standing),
            Err(error) => tracing::warn!(error = error_chain(&error), "the queue failed; retrying"),
        }
        sleep(pause).await;
        pause *= 2;
    }
    call().await
}
