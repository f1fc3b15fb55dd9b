//! Decisions that both brokers share.

use std::time::Duration;

use super::routing::auto_wait;
use super::{BrokerError, Outcome, WorkerInfo};
use crate::{EngineChoice, EventKind, Failure, FailureCode, Message, MessageCode};

/// The rules of the queue. Processes that share a queue must be started with the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The maximum number of waiting jobs (`QUEUE_LIMIT`).
    pub queue_limit: u64,
    /// The maximum for one client (`QUEUE_LIMIT_PER_CLIENT`). Jobs that a worker returned do not count.
    pub client_limit: u64,
    /// How long a lease lasts without a heartbeat (`JOB_LEASE_S`).
    pub lease: Duration,
    /// A job fails when this many workers were lost while running it (`JOB_MAX_ATTEMPTS`).
    pub max_attempts: u32,
    /// How long a process may hold a webhook delivery.
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
    /// How often to renew a lease: two lost heartbeats do not lose the job.
    pub fn heartbeat(&self) -> Duration {
        self.lease / 3
    }

    /// How often a waiting claim polls.
    pub(super) fn poll(&self) -> Duration {
        self.heartbeat().min(Duration::from_secs(1))
    }

    /// The event of a job that returns to the queue because its worker was lost.
    pub(super) fn requeue_event(&self) -> EventKind {
        let text = format!("its worker sent no heartbeat for {:?}", self.lease);
        EventKind::requeued(Message::new(MessageCode::WorkerSilent, text).with("after_s", self.lease.as_secs()))
    }

    /// Why a job failed whose last worker was lost.
    pub(super) fn worker_lost(&self) -> Failure {
        let workers = match self.max_attempts {
            1 => "The worker that took this job".to_owned(),
            n => format!("Each of the {n} workers that took this job"),
        };
        let message = format!(
            "{workers} stopped while working on it. It may need more memory than is available: try fewer layers or a \
             smaller picture, and check the worker's log."
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

/// The lanes that a worker takes jobs from. The queue has a lane for each engine that a job can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lanes {
    pub(super) names: Vec<EngineChoice>,
    /// How long a job in lane `auto` must have waited.
    pub(super) auto_wait: Duration,
}

impl Rules {
    /// The lanes of `worker`, given the workers that are alive.
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

/// The lanes whose jobs can be taken before one in `lane`.
pub(super) fn rivals_of(lane: EngineChoice) -> Vec<EngineChoice> {
    match lane {
        EngineChoice::Auto => EngineChoice::ALL.to_vec(),
        named => vec![EngineChoice::Auto, named],
    }
}
