//! How an attempt ends, and how the queue is told.

use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{Lease, Outcome, Standing};
use jobs::{Broker, BrokerError, EventKind, Failure, FailureCode};
use service::{ByteSize, error_chain};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{After, Attempt, Ended};
use crate::fault::{Broken, Fault};
use crate::outage::Verdict;
use crate::stop::StopReason;

/// How often, and how long apart at most, the end of a job is told to a queue that fails.
const FINISH_TRIES: u32 = 6;
const FINISH_PAUSE: Duration = Duration::from_millis(500);

impl Attempt<'_> {
    /// Tells the queue how the attempt ended, unless that is put off.
    pub(super) async fn conclude(&self, result: Result<u32, Broken>) -> Ended {
        let stuck = matches!(result, Err(Broken::Stuck));
        let outcome = match result {
            Ok(layers) => Outcome::Succeeded { layers },
            Err(Broken::Job(failure)) => Outcome::Failed(failure),
            Err(Broken::Environment(fault)) => match self.after_fault(&fault).await {
                Put::Ended(outcome) => return Ended::new(self.finish(outcome).await),
                Put::Off(ended) => return ended,
                Put::Back => return Ended::new(self.let_go().await),
            },
            Err(Broken::Stopped | Broken::Stuck) => match self.after_stop() {
                Some(outcome) => outcome,
                None => return Ended { stuck, ..Ended::new(self.let_go().await) },
            },
        };
        self.outages.over(self.job.id);
        Ended { stuck, ..Ended::new(self.finish(outcome).await) }
    }

    /// Tells the queue the outcome; answers with a word for metrics.
    async fn finish(&self, outcome: Outcome) -> &'static str {
        let (word, failure) = match &outcome {
            Outcome::Succeeded { .. } => ("succeeded", None),
            Outcome::Cancelled => ("cancelled", None),
            Outcome::Failed(failure) => ("failed", Some(failure.clone())),
        };
        match persist(|| self.broker.finish(&self.lease, outcome.clone())).await {
            Ok(Standing::Held { .. }) => {
                match failure {
                    Some(failure) => tracing::warn!(code = ?failure.code, message = failure.message, "job failed"),
                    None => tracing::info!("job {word}"),
                }
                word
            }
            Ok(Standing::Lost) => {
                tracing::warn!("another worker has the job; this attempt's end was not recorded");
                "lost"
            }
            Err(error) => {
                // The lease runs out, another attempt finds the published result.
                tracing::error!(error = error_chain(&error), "the end of the job could not be recorded");
                "unrecorded"
            }
        }
    }

    /// What is to become of a job whose surroundings failed.
    async fn after_fault(&self, fault: &Fault) -> Put {
        match self.stop.reason() {
            Some(StopReason::Lost | StopReason::ShuttingDown) => return Put::Back,
            Some(StopReason::Cancelled) => return Put::Ended(Outcome::Cancelled),
            _ => {}
        }
        let verdict = self.outages.judge(self.job.id, fault, self.store).await;
        match (self.after_stop(), verdict) {
            // The storage works: it was the job that took too long or too much.
            (Some(outcome), Verdict::Later(_) | Verdict::Fail { .. }) => Put::Ended(outcome),
            (_, Verdict::Pause) => {
                let reason =
                    format!("{}; the worker pauses until that works, then the job is tried again", fault.reason);
                give_back(self.broker, &self.lease, &reason).await;
                Put::Off(Ended { after: After::Pause(fault.clone()), ..Ended::new("released") })
            }
            (None, Verdict::Later(wait)) => {
                let message = format!("{}; trying again in {:.0} s", fault.reason, wait.as_secs_f64().max(1.0));
                tracing::warn!(reason = fault.reason, wait_s = wait.as_secs_f64(), "the job is tried again later");
                self.record(EventKind::Note { message }).await;
                let hold = Hold { lease: self.lease.clone(), wait, reason: fault.reason.clone() };
                Put::Off(Ended { after: After::Hold(hold), ..Ended::new("held") })
            }
            (None, Verdict::Fail { tries }) => Put::Ended(Outcome::Failed(fault.failure(tries))),
        }
    }

    /// The outcome that a stop means; `None` when the job is not ours to end.
    fn after_stop(&self) -> Option<Outcome> {
        let failed = |code, message| Some(Outcome::Failed(Failure { code, message }));
        match self.stop.reason()? {
            StopReason::Lost | StopReason::ShuttingDown => None,
            StopReason::Cancelled => Some(Outcome::Cancelled),
            StopReason::TimedOut { limit_s } => failed(
                FailureCode::TimedOut,
                format!("the job ran longer than {limit_s} s; raise JOB_TIMEOUT_S or use a smaller picture"),
            ),
            StopReason::Stalled { message } => failed(FailureCode::TimedOut, message.clone()),
            StopReason::OutOfMemory { used, limit } => failed(
                FailureCode::OutOfMemory,
                format!(
                    "the job took {} of memory, {} are allowed; use a smaller picture or raise JOB_MEMORY_LIMIT",
                    ByteSize(*used),
                    ByteSize(*limit)
                ),
            ),
        }
    }

    /// Gives the job back at a shutdown; drops it when it is lost.
    async fn let_go(&self) -> &'static str {
        match self.stop.reason() {
            Some(StopReason::Lost) => {
                tracing::warn!("the lease was lost; the attempt was dropped");
                return "lost";
            }
            Some(_) => {}
            None => {
                let message = "the engine stopped by itself; this is a bug, please report it".to_owned();
                let outcome = Outcome::Failed(Failure { code: FailureCode::EngineFailed, message });
                let _ = persist(|| self.broker.finish(&self.lease, outcome.clone())).await;
                return "failed";
            }
        }
        give_back(self.broker, &self.lease, "the worker shut down").await;
        "released"
    }
}

/// What becomes of a job after a fault.
enum Put {
    /// It is over.
    Ended(Outcome),
    /// It waits or goes back, and the worker knows what to do next.
    Off(Ended),
    /// It is not ours to end.
    Back,
}

/// A job that is given back after a while, under its lease until then: in the queue it would be the next at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    lease: Lease,
    wait: Duration,
    reason: String,
}

impl Hold {
    /// Holds the job, at most until `shutdown`, and gives it back.
    pub(crate) async fn keep(self, broker: Arc<dyn Broker>, heartbeat: Duration, shutdown: CancellationToken) {
        let mut ticks = interval(heartbeat);
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
    match persist(|| broker.release(lease, reason)).await {
        Ok(standing) => tracing::info!(?standing, reason, "job given back to the queue"),
        Err(error) => {
            tracing::error!(error = error_chain(&error), "the job could not be given back; its lease runs out")
        }
    }
}

/// Tries again when the queue fails for a moment.
async fn persist<F, Fut>(call: F) -> Result<Standing, BrokerError>
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
