//! What both brokers decide alike.

use std::time::Duration;

use super::{BrokerError, Outcome, WorkerInfo};
use crate::{EngineChoice, EventKind, Failure, FailureCode};

/// The rules of the queue, the same for both brokers. Processes that share a
/// queue must be started with the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The most jobs that may wait (`QUEUE_LIMIT`).
    pub queue_limit: u64,
    /// How long a worker may be silent before it loses its job (`JOB_LEASE_S`).
    pub lease: Duration,
    /// How many workers may die of a job before it fails (`JOB_MAX_ATTEMPTS`).
    pub max_attempts: u32,
    /// How long a webhook delivery is left to the process that took it.
    pub delivery_lease: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            queue_limit: 100,
            lease: Duration::from_secs(30),
            max_attempts: 3,
            delivery_lease: Duration::from_secs(60),
        }
    }
}

impl Rules {
    /// How often to renew a lease: late enough to be cheap, early enough that
    /// two lost heartbeats do not lose the job.
    pub fn heartbeat(&self) -> Duration {
        self.lease / 3
    }

    /// How often a claim that waits looks again without being woken.
    pub(super) fn poll(&self) -> Duration {
        self.heartbeat().min(Duration::from_secs(1))
    }

    /// A job whose worker was lost goes back to the queue.
    pub(super) fn requeued(&self) -> EventKind {
        EventKind::Requeued { reason: format!("its worker was not heard of for {:?}", self.lease) }
    }

    /// A job whose last worker was lost is over.
    pub(super) fn worker_lost(&self) -> Failure {
        let workers = match self.max_attempts {
            1 => "The worker that took this job".to_owned(),
            n => format!("Each of the {n} workers that took this job"),
        };
        let message = format!(
            "{workers} stopped while working on it. Perhaps it needs more memory than there is: try fewer layers or a \
             smaller picture, and look at the worker's log."
        );
        Failure { code: FailureCode::WorkerLost, message }
    }
}

impl From<Outcome> for EventKind {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded { layers } => Self::Succeeded { layers },
            Outcome::Failed(error) => Self::Failed { error },
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// Whether a worker may record `kind` itself.
pub(super) fn check_recordable(kind: &EventKind) -> Result<(), BrokerError> {
    match kind {
        EventKind::Started { .. } | EventKind::Progress(_) | EventKind::Note { .. } => Ok(()),
        _ => Err(BrokerError::NotRecordable),
    }
}

/// The queue has a lane for each engine that a job can ask for. A worker takes
/// from the lanes that it can do.
pub(super) fn lanes_of(worker: &WorkerInfo) -> Vec<EngineChoice> {
    EngineChoice::ALL.into_iter().filter(|engine| worker.can_do(*engine)).collect()
}

/// The lanes whose jobs can come before one in `lane`.
pub(super) fn rivals_of(lane: EngineChoice) -> Vec<EngineChoice> {
    match lane {
        EngineChoice::Auto => EngineChoice::ALL.to_vec(),
        named => vec![EngineChoice::Auto, named],
    }
}
