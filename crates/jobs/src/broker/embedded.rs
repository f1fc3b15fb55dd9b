//! The queue in a file of this process's own.

mod deliveries;
mod heads;
mod line;
mod queue;
mod tables;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use self::queue::Queue;
use super::in_flight::{InFlight, Tally};
use super::signals::Signals;
use super::{Broker, BrokerError, Head, Lease, NewJob, Outcome, Rules, Standing, Stats, Submitted, WorkerInfo};
use crate::{Delivery, Event, EventKind, Job, JobId, Settled};

/// A durable queue in one SQLite file, for API and worker in one process.
pub struct EmbeddedBroker {
    queue: Arc<Mutex<Queue>>,
    signals: Signals,
    rules: Rules,
    tally: Option<Arc<Tally>>,
}

impl EmbeddedBroker {
    /// Opens the queue. Jobs that ran when the last process died are taken back; where requests had heavy work done
    /// in it ([`Broker::in_flight`]), without counting that against the jobs.
    ///
    /// # Errors
    /// When the file cannot be used, or another process uses it.
    pub async fn open(file: &Path, rules: Rules) -> Result<Self, BrokerError> {
        let signals = Signals::new();
        let (file, for_queue): (PathBuf, _) = (file.to_owned(), signals.clone());
        let queue = blocking(move || Queue::open(&file, rules, for_queue)).await?;
        let tally = queue.tally();
        Ok(Self { queue: Arc::new(Mutex::new(queue)), signals, rules, tally })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Queue) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let queue = self.queue.clone();
        // A panic rolls its transaction back, so the queue is whole behind a poisoned lock.
        blocking(move || work(&mut queue.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    // A join error means that the runtime shuts down or the work panicked.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(io::Error::other(err).into()))
}

#[async_trait]
impl Broker for EmbeddedBroker {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.with(|queue| queue.ping()).await
    }

    async fn submit(&self, new: NewJob) -> Result<Submitted, BrokerError> {
        self.with(|queue| queue.submit(new)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        self.with(move |queue| queue.job(id)).await
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        self.with(move |queue| queue.cancel(id)).await
    }

    async fn forget(&self, id: JobId) -> Result<bool, BrokerError> {
        self.with(move |queue| queue.forget(id)).await
    }

    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>, BrokerError> {
        self.with(move |queue| queue.events_after(id, after, limit)).await
    }

    async fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>, BrokerError> {
        let ids = ids.to_vec();
        self.with(move |queue| queue.heads(&ids)).await
    }

    fn wakes(&self) -> broadcast::Receiver<JobId> {
        self.signals.events()
    }

    async fn stats(&self) -> Result<Stats, BrokerError> {
        self.with(|queue| queue.stats()).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>, BrokerError> {
        self.with(|queue| Ok(queue.workers())).await
    }

    async fn uploads_in_use(&self) -> Result<Vec<Uuid>, BrokerError> {
        self.with(|queue| queue.uploads_in_use()).await
    }

    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError> {
        self.with(move |queue| queue.finished_before(cutoff)).await
    }

    async fn claim_deliveries(&self, limit: usize) -> Result<Vec<Delivery>, BrokerError> {
        self.with(move |queue| queue.claim_deliveries(limit)).await
    }

    async fn settle_delivery(&self, delivery: &Delivery, settled: Settled) -> Result<(), BrokerError> {
        let (id, attempt) = (delivery.id(), delivery.attempt);
        self.with(move |queue| queue.settle_delivery(&id, attempt, settled)).await
    }

    fn in_flight(&self) -> InFlight {
        self.tally.clone().map(InFlight::counted).unwrap_or_default()
    }

    async fn announce(&self, worker: &WorkerInfo) -> Result<(), BrokerError> {
        let worker = worker.clone();
        self.with(move |queue| {
            queue.announce(worker);
            Ok(())
        })
        .await
    }

    async fn retire(&self, worker_id: &str) -> Result<(), BrokerError> {
        let worker_id = worker_id.to_owned();
        self.with(move |queue| {
            queue.retire(&worker_id);
            Ok(())
        })
        .await
    }

    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>, BrokerError> {
        let look = || {
            let worker = worker.clone();
            self.with(|queue| queue.claim(worker))
        };
        self.signals.wait_for_work(wait, self.rules.poll(), look).await
    }

    async fn heartbeat(&self, lease: &Lease) -> Result<Standing, BrokerError> {
        let lease = lease.clone();
        self.with(move |queue| queue.heartbeat(&lease)).await
    }

    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing, BrokerError> {
        let lease = lease.clone();
        self.with(move |queue| queue.record(&lease, kind)).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing, BrokerError> {
        let lease = lease.clone();
        self.with(move |queue| queue.finish(&lease, outcome)).await
    }

    async fn release(&self, lease: &Lease, reason: &str) -> Result<Standing, BrokerError> {
        let (lease, reason) = (lease.clone(), reason.to_owned());
        self.with(move |queue| queue.release(&lease, reason)).await
    }

    async fn reap(&self) -> Result<Vec<JobId>, BrokerError> {
        self.with(|queue| queue.reap()).await
    }
}
