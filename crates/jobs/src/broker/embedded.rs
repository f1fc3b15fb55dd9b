//! The queue in a file that one process holds.

mod connection;
mod deliveries;
mod file;
mod heads;
mod open_files;
mod order;
mod queue;
mod rescue;
mod schema;
mod tables;
mod thread;
mod wal;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use self::queue::Queue;
use self::thread::QueueThread;
use super::in_flight::{InFlight, RequestCounter};
use super::signals::Signals;
use super::{Broker, BrokerError, Clock, Head, Lease, NewJob, Outcome, Rules, Standing, Stats, Submitted, WorkerInfo};
use crate::{DeliveriesInFlight, Delivery, DeliveryOutcome, Event, EventKind, Job, JobId, Message};

/// Rows that one call reads of a list of any length, so that other calls come in between.
const PAGE: usize = 1000;

/// A durable queue in one SQLite file, for API and worker in one process.
pub struct EmbeddedBroker {
    queue: QueueThread,
    signals: Signals,
    rules: Rules,
    requests: Option<Arc<RequestCounter>>,
}

impl EmbeddedBroker {
    /// Opens the queue. Jobs that ran when the last process died are requeued. If that process was doing heavy work for
    /// requests ([`Broker::in_flight`]), its death does not count against the jobs.
    ///
    /// # Errors
    /// When the file cannot be used, or another process uses it.
    pub async fn open(file: &Path, rules: Rules) -> Result<Self, BrokerError> {
        Self::open_by(file, rules, Clock::default()).await
    }

    /// Like [`EmbeddedBroker::open`], with a given wall clock.
    ///
    /// # Errors
    /// As [`EmbeddedBroker::open`].
    pub async fn open_by(file: &Path, rules: Rules, clock: Clock) -> Result<Self, BrokerError> {
        let signals = Signals::new();
        let (file, for_queue) = (file.to_owned(), signals.clone());
        let queue = QueueThread::start(move || Queue::open(&file, rules, for_queue, &clock)).await?;
        let requests = queue.call(|queue| Ok(queue.request_counter())).await?;
        Ok(Self { queue, signals, rules, requests })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Queue) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        self.queue.call(work).await
    }
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
        let mut uploads: Vec<Uuid> = Vec::new();
        loop {
            let after = uploads.last().map(Uuid::to_string).unwrap_or_default();
            let page = self.with(move |queue| queue.uploads_in_use(&after, PAGE)).await?;
            let is_last = page.len() < PAGE;
            uploads.extend(page);
            if is_last {
                return Ok(uploads);
            }
        }
    }

    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError> {
        let (mut finished, mut after) = (Vec::new(), (i64::MIN, i64::MIN));
        let before = self.with(move |queue| Ok(queue.own_time_at(cutoff))).await?;
        loop {
            let (page, last) = self.with(move |queue| queue.finished_before(before, after, PAGE)).await?;
            finished.extend(page);
            match last {
                Some(last) => after = last,
                None => return Ok(finished),
            }
        }
    }

    async fn claim_deliveries(
        &self,
        limit: usize,
        in_flight: &DeliveriesInFlight,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let in_flight = in_flight.clone();
        self.with(move |queue| queue.claim_deliveries(limit, in_flight)).await
    }

    async fn settle_delivery(&self, delivery: &Delivery, outcome: DeliveryOutcome) -> Result<(), BrokerError> {
        let (id, attempt) = (delivery.id(), delivery.attempt);
        self.with(move |queue| queue.settle_delivery(&id, attempt, outcome)).await
    }

    fn in_flight(&self) -> InFlight {
        self.requests.clone().map(InFlight::counted).unwrap_or_default()
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

    fn heartbeat_interval(&self) -> Duration {
        self.rules.heartbeat()
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

    async fn release(&self, lease: &Lease, reason: &Message) -> Result<Standing, BrokerError> {
        let (lease, reason) = (lease.clone(), reason.clone());
        self.with(move |queue| queue.release(&lease, reason)).await
    }

    async fn reap(&self) -> Result<Vec<JobId>, BrokerError> {
        self.with(|queue| queue.reap()).await
    }
}
