//! How an attempt ends, and how the queue is told.

use std::sync::Arc;
use std::time::Duration;

use engine::{Failure, FailureCode, Message, MessageCode, StopReason};
use jobs::broker::{Lease, Outcome, Standing};
use jobs::{Broker, BrokerError};
use service::error_chain;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Attempt;
use crate::queue::outage::Verdict;
use crate::run::{Fault, RunError, failure_of};

/// How often, and how long apart at most, the end of a job is told to a queue that fails.
const FINISH_TRIES: u32 = 6;
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
    /// The job goes back to the queue after a while.
    Held,
    /// The queue did not take the end.
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

/// How an attempt ended, and what the worker has to do before its next job.
#[derive(Debug)]
pub(in crate::queue) struct NextStep {
    pub(in crate::queue) end: AttemptEnd,
    /// The engine thread did not come back.
    pub(in crate::queue) is_stuck: bool,
    /// Wait until this works again.
    pub(in crate::queue) pause: Option<Fault>,
    /// Give the job back after a while; others can be worked on meanwhile.
    pub(in crate::queue) held: Option<Held>,
}

impl NextStep {
    /// Nothing has to be done after `end`.
    pub(in crate::queue) fn after(end: AttemptEnd) -> Self {
        Self { end, is_stuck: false, pause: None, held: None }
    }
}

impl Attempt<'_> {
    /// Tells the queue how the attempt ended, unless that is put off.
    pub(super) async fn conclude(&self, result: Result<u32, RunError>) -> NextStep {
        let is_stuck = matches!(result, Err(RunError::Stuck));
        let outcome = match result {
            Ok(layers) => Outcome::Succeeded { layers },
            Err(RunError::Failed(failure)) => Outcome::Failed(failure),
            Err(RunError::Environment(fault)) => match self.after_fault(&fault).await {
                AfterFault::Over(outcome) => return NextStep::after(self.finish(outcome).await),
                AfterFault::Later(next) => return next,
                AfterFault::Release => return NextStep::after(self.release().await),
            },
            Err(RunError::Stopped | RunError::Stuck) => match self.after_stop() {
                Some(outcome) => outcome,
                None => return NextStep { is_stuck, ..NextStep::after(self.release().await) },
            },
        };
        self.outages.over(self.job.id);
        NextStep { is_stuck, ..NextStep::after(self.finish(outcome).await) }
    }

    /// Records the outcome.
    async fn finish(&self, outcome: Outcome) -> AttemptEnd {
        let end = match &outcome {
            Outcome::Succeeded { .. } => AttemptEnd::Succeeded,
            Outcome::Cancelled => AttemptEnd::Cancelled,
            Outcome::Failed(_) => AttemptEnd::Failed,
        };
        match retry(|| self.broker.finish(&self.lease, outcome.clone())).await {
            Ok(Standing::Held { .. }) => {
                match &outcome {
                    Outcome::Failed(failure) => {
                        tracing::warn!(code = ?failure.code, message = failure.message, "job failed");
                    }
                    _ => tracing::info!("job {}", end.as_str()),
                }
                end
            }
            Ok(Standing::Lost) => {
                tracing::warn!("another worker has the job; this attempt's end was not recorded");
                AttemptEnd::Lost
            }
            Err(error) => {
                // The lease runs out, another attempt finds the published result.
                tracing::error!(error = error_chain(&error), "the end of the job could not be recorded");
                AttemptEnd::Unrecorded
            }
        }
    }

    /// What is to become of a job whose surroundings failed.
    async fn after_fault(&self, fault: &Fault) -> AfterFault {
        match self.stop.reason() {
            Some(StopReason::Lost | StopReason::ShuttingDown) => return AfterFault::Release,
            Some(StopReason::Cancelled) => return AfterFault::Over(Outcome::Cancelled),
            _ => {}
        }
        let verdict = self.outages.judge(self.job.id, fault, self.store).await;
        match (self.after_stop(), verdict) {
            // The storage works: it was the job that took too long or too much.
            (Some(outcome), Verdict::Later(_) | Verdict::Fail { .. }) => AfterFault::Over(outcome),
            (_, Verdict::Pause) => {
                let reason =
                    format!("{}; the worker pauses until that works, then the job is tried again", fault.reason);
                give_back(self.broker, &self.lease, &reason).await;
                AfterFault::Later(NextStep { pause: Some(fault.clone()), ..NextStep::after(AttemptEnd::Released) })
            }
            (None, Verdict::Later(wait)) => {
                let wait_s = wait.as_secs_f64().max(1.0).round();
                tracing::warn!(reason = fault.reason, wait_s, "the job is tried again later");
                let text = format!("{}; trying again in {wait_s} s", fault.reason);
                let note = Message::new(MessageCode::RetryLater, text).with("wait_s", wait_s);
                self.record(note.with("reason", fault.reason.as_str()).into()).await;
                let held = Held { lease: self.lease.clone(), wait, reason: fault.reason.clone() };
                AfterFault::Later(NextStep { held: Some(held), ..NextStep::after(AttemptEnd::Held) })
            }
            (None, Verdict::Fail { tries }) => AfterFault::Over(Outcome::Failed(fault.failure(tries))),
        }
    }

    /// The outcome that a stop means; `None` when the job is not ours to end.
    fn after_stop(&self) -> Option<Outcome> {
        match self.stop.reason()? {
            StopReason::Cancelled => Some(Outcome::Cancelled),
            reason => failure_of(reason).map(Outcome::Failed),
        }
    }

    /// Gives the job back at a shutdown; drops it when it is lost.
    async fn release(&self) -> AttemptEnd {
        match self.stop.reason() {
            Some(StopReason::Lost) => {
                tracing::warn!("the lease was lost; the attempt was dropped");
                AttemptEnd::Lost
            }
            Some(_) => {
                give_back(self.broker, &self.lease, "the worker shut down").await;
                AttemptEnd::Released
            }
            None => {
                let message = "the engine stopped by itself; this is a bug, please report it".to_owned();
                let outcome = Outcome::Failed(Failure { code: FailureCode::EngineFailed, message });
                let _ = retry(|| self.broker.finish(&self.lease, outcome.clone())).await;
                AttemptEnd::Failed
            }
        }
    }
}

/// What becomes of a job after a fault.
enum AfterFault {
    Over(Outcome),
    /// It waits or goes back.
    Later(NextStep),
    /// It is not ours to end.
    Release,
}

/// A job that is given back after a while, under its lease until then: in the queue it would be the next at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Held {
    lease: Lease,
    wait: Duration,
    reason: String,
}

impl Held {
    /// Holds the job, at most until `shutdown`, and gives it back.
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
                    // A queue that fails is asked again.
                    Ok(Standing::Held { cancel_requested: false }) | Err(_) => {}
                },
            }
        }
        give_back(&broker, &self.lease, &self.reason).await;
    }
}

/// Puts a job back into the queue without counting the attempt.
async fn give_back(broker: &Arc<dyn Broker>, lease: &Lease, reason: &str) {
    match retry(|| broker.release(lease, reason)).await {
        Ok(standing) => tracing::info!(?standing, reason, "job given back to the queue"),
        Err(error) => {
            tracing::error!(error = error_chain(&error), "the job could not be given back; its lease runs out")
        }
    }
}

/// Tries again when the queue fails for a moment.
async fn retry<F, Fut>(call: F) -> Result<Standing, BrokerError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Standing, BrokerError>>,
{
    let mut pause = FINISH_PAUSE;
    for _ in 1..FINISH_TRIES {
        match call().await {
            Ok(standing) => return Ok(standing),
            Err(error) => tracing::warn!(error = error_chain(&error), "the queue failed; trying again"),
        }
        sleep(pause).await;
        pause *= 2;
    }
    call().await
}
