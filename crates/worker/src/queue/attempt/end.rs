//! How an attempt ends, and how the queue is told.

use engine::{Failure, FailureCode, Message, MessageCode, StopReason};
use jobs::broker::{Outcome, Standing};
use service::error_chain;

use super::Attempt;
use super::outcome::{AttemptEnd, Held, NextStep, give_back, retry};
use crate::queue::outage::Verdict;
use crate::run::{Fault, RunError, failure_of};

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
