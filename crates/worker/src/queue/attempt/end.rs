//! Ends an attempt: records its outcome, or gives the job back.

use engine::{Failure, FailureCode, Message, MessageCode, StopReason};
use jobs::broker::{Outcome, Standing};
use service::error_chain;

use super::Attempt;
use super::outcome::{AttemptEnd, HeldJob, NextStep, give_back, retry};
use crate::queue::outage::Verdict;
use crate::run::{Fault, RunError, failure_of};

impl Attempt<'_> {
    /// Records the outcome in the queue, unless the job is retried later.
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
        self.outages.attempt_ended(self.job.id);
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
                tracing::warn!("another worker has the job; the outcome of this attempt was not recorded");
                AttemptEnd::Lost
            }
            Err(error) => {
                // The lease expires, and another attempt finds the published result.
                tracing::error!(error = error_chain(&error), "the outcome of the job could not be recorded");
                AttemptEnd::Unrecorded
            }
        }
    }

    /// Decides what happens to a job after a fault.
    async fn after_fault(&self, fault: &Fault) -> AfterFault {
        match self.stop.reason() {
            Some(StopReason::Lost | StopReason::ShuttingDown) => return AfterFault::Release,
            Some(StopReason::Cancelled) => return AfterFault::Over(Outcome::Cancelled),
            _ => {}
        }
        let verdict = self.outages.judge(self.job.id, fault, self.store).await;
        match (self.after_stop(), verdict) {
            // The storage works, so the job itself exceeded a limit.
            (Some(outcome), Verdict::Later(_) | Verdict::Fail { .. }) => AfterFault::Over(outcome),
            (_, Verdict::Pause) => {
                let text = format!("{}; the worker pauses until that works, then retries the job", fault.reason);
                let reason = Message::new(MessageCode::WorkerPaused, text).with("reason", fault.reason.as_str());
                give_back(self.broker, &self.lease, &reason).await;
                AfterFault::Later(NextStep { pause: Some(fault.clone()), ..NextStep::after(AttemptEnd::Released) })
            }
            (None, Verdict::Later(wait)) => {
                let wait_s = wait.as_secs_f64().max(1.0).round();
                tracing::warn!(reason = fault.reason, wait_s, "retrying the job later");
                let text = format!("{}; retrying in {wait_s} s", fault.reason);
                let note = Message::new(MessageCode::RetryLater, text).with("wait_s", wait_s);
                self.record(note.with("reason", fault.reason.as_str()).into()).await;
                let reason =
                    Message::new(MessageCode::Retry, fault.reason.as_str()).with("reason", fault.reason.as_str());
                let held = HeldJob { lease: self.lease.clone(), wait, reason };
                AfterFault::Later(NextStep { held: Some(held), ..NextStep::after(AttemptEnd::Held) })
            }
            (None, Verdict::Fail { tries }) => AfterFault::Over(Outcome::Failed(fault.failure(tries))),
        }
    }

    /// The outcome of a stopped job; `None` if the job is not ours to end.
    fn after_stop(&self) -> Option<Outcome> {
        match self.stop.reason()? {
            StopReason::Cancelled => Some(Outcome::Cancelled),
            reason => failure_of(reason).map(Outcome::Failed),
        }
    }

    /// Gives the job back at a shutdown; drops it if the lease was lost.
    async fn release(&self) -> AttemptEnd {
        match self.stop.reason() {
            Some(StopReason::Lost) => {
                tracing::warn!("the lease was lost; the attempt was dropped");
                AttemptEnd::Lost
            }
            Some(_) => {
                let reason = Message::new(MessageCode::WorkerShutDown, "the worker shut down");
                give_back(self.broker, &self.lease, &reason).await;
                AttemptEnd::Released
            }
            None => {
                let message = "the engine stopped by itself; please report this bug".to_owned();
                let outcome = Outcome::Failed(Failure { code: FailureCode::EngineFailed, message });
                let _ = retry(|| self.broker.finish(&self.lease, outcome.clone())).await;
                AttemptEnd::Failed
            }
        }
    }
}

/// What happens to a job after a fault.
enum AfterFault {
    /// It ends with this outcome.
    Over(Outcome),
    /// It is retried later.
    Later(NextStep),
    /// It is not ours to end.
    Release,
}
