use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::broker::{Head, Lease, NewJob, Outcome, Standing, Stats, Submitted, WorkerInfo};
use crate::{
    Broker, BrokerError, DeliveriesInFlight, Delivery, DeliveryOutcome, Event, EventKind, Job, JobId, Message,
};

/// A queue that counts polls, can lose jobs, and can be made unreachable for followers.
pub struct TestBroker {
    inner: Arc<dyn Broker>,
    reads: AtomicUsize,
    looks: AtomicUsize,
    failures: AtomicUsize,
    is_away: AtomicBool,
    lost: Mutex<HashSet<JobId>>,
}

impl TestBroker {
    /// A queue that forwards all calls to `inner`.
    pub fn new(inner: Arc<dyn Broker>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicUsize::default(),
            looks: AtomicUsize::default(),
            failures: AtomicUsize::default(),
            is_away: AtomicBool::default(),
            lost: Mutex::default(),
        })
    }

    /// How often events were read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// How often heads were read, of one job or many.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// How many calls failed while the queue was unreachable.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::SeqCst)
    }

    /// Makes the queue unreachable for followers and readers, or reachable again.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Makes a job vanish.
    pub fn lose(&self, id: JobId) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn is_lost(&self, id: JobId) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn check(&self) -> Result<(), BrokerError> {
        if !self.is_away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.failures.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("the test says so").into())
    }
}

#[async_trait]
impl Broker for TestBroker {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.inner.ping().await
    }

    async fn submit(&self, new: NewJob) -> Result<Submitted, BrokerError> {
        self.inner.submit(new).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        self.check()?;
        Ok(self.inner.job(id).await?.filter(|_| !self.is_lost(id)))
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        self.inner.cancel(id).await
    }

    async fn forget(&self, id: JobId) -> Result<bool, BrokerError> {
        self.inner.forget(id).await
    }

    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>, BrokerError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        if self.is_lost(id) {
            return Ok(Vec::new());
        }
        self.inner.events_after(id, after, limit).await
    }

    async fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>, BrokerError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let heads = self.inner.heads(ids).await?;
        Ok(ids.iter().zip(heads).map(|(id, head)| head.filter(|_| !self.is_lost(*id))).collect())
    }

    fn wakes(&self) -> broadcast::Receiver<JobId> {
        self.inner.wakes()
    }

    async fn stats(&self) -> Result<Stats, BrokerError> {
        self.inner.stats().await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>, BrokerError> {
        self.inner.workers().await
    }

    async fn uploads_in_use(&self) -> Result<Vec<Uuid>, BrokerError> {
        self.inner.uploads_in_use().await
    }

    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError> {
        self.inner.finished_before(cutoff).await
    }

    async fn claim_deliveries(
        &self,
        limit: usize,
        in_flight: &DeliveriesInFlight,
    ) -> Result<Vec<Delivery>, BrokerError> {
        self.inner.claim_deliveries(limit, in_flight).await
    }

    async fn settle_delivery(&self, delivery: &Delivery, outcome: DeliveryOutcome) -> Result<(), BrokerError> {
        self.inner.settle_delivery(delivery, outcome).await
    }

    async fn announce(&self, worker: &WorkerInfo) -> Result<(), BrokerError> {
        self.inner.announce(worker).await
    }

    async fn retire(&self, worker_id: &str) -> Result<(), BrokerError> {
        self.inner.retire(worker_id).await
    }

    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>, BrokerError> {
        self.inner.claim(worker, wait).await
    }

    fn heartbeat_interval(&self) -> Duration {
        self.inner.heartbeat_interval()
    }

    async fn heartbeat(&self, lease: &Lease) -> Result<Standing, BrokerError> {
        self.inner.heartbeat(lease).await
    }

    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing, BrokerError> {
        self.inner.record(lease, kind).await
    }

    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing, BrokerError> {
        self.inner.finish(lease, outcome).await
    }

    async fn release(&self, lease: &Lease, reason: &Message) -> Result<Standing, BrokerError> {
        self.inner.release(lease, reason).await
    }

    async fn reap(&self) -> Result<Vec<JobId>, BrokerError> {
        self.inner.reap().await
    }
}
