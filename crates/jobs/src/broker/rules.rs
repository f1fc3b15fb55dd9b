//! What both brokers decide alike.

use std::time::Duration;

use super::routing::auto_wait;
use super::{BrokerError, Outcome, WorkerInfo};
use crate::{EngineChoice, EventKind, Failure, FailureCode};

/// The rules of the queue, the same for both brokers. Processes that share a
/// queue must be started with the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The most jobs that may wait (`QUEUE_LIMIT`).
    pub queue_limit: u64,
    /// The most of them that may be of one client (`QUEUE_LIMIT_PER_CLIENT`). Jobs that came back from a worker do
    /// not count.
    pub client_limit: u64,
    /// How long a worker may be silent before it loses its job (`JOB_LEASE_S`).
    pub lease: Duration,
    /// How many workers may die of a job before it fails (`JOB_MAX_ATTEMPTS`).
    pub max_attempts: u32,
    /// How long a webhook delivery is left to the process that took it.
    pub delivery_lease: Duration,
    /// How long a job with `engine=auto` waits for a GPU worker while there is one (`VERTEX_FALLBACK_AFTER_S`).
    pub gpu_patience: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            queue_limit: 100,
            client_limit: 50,
            lease: Duration::from_secs(30),
            max_attempts: 3,
            delivery_lease: Duration::from_secs(60),
            gpu_patience: Duration::from_secs(30),
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

/// From which lanes a worker takes. The queue has one for each engine that a job can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lanes {
    pub(super) names: Vec<EngineChoice>,
    /// How long a job in lane `auto` has to have waited.
    pub(super) auto_wait: Duration,
}

impl Rules {
    /// The lanes that `worker` takes from while the workers in `alive` live.
    pub(super) fn lanes_of(&self, worker: &WorkerInfo, alive: &[WorkerInfo]) -> Lanes {
        let auto_wait = auto_wait(worker, alive, self.gpu_patience);
        let takes = |engine: &EngineChoice| match engine {
            EngineChoice::Auto => auto_wait.is_some(),
            named => worker.can_do(*named),
        };
        let names = EngineChoice::ALL.into_iter().filter(takes).collect();
        Lanes { names, auto_wait: auto_wait.unwrap_or_default() }
    }
}

/// The lanes whose jobs can come before one in `lane`.
pub(super) fn rivals_of(lane: EngineChoice) -> Vec<EngineChoice> {
    match lane {
        EngineChoice::Auto => EngineChoice::ALL.to_vec(),
        named => vec![EngineChoice::Auto, named],
    }
}
