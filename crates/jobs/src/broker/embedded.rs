#![allow(clippy::todo, unused_variables)]
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{Broker, BrokerError, Lease, NewJob, Outcome, Standing, Stats, Submitted, WorkerInfo};
use crate::{Event, EventKind, Job, JobId};

#[derive(Debug)]
pub struct EmbeddedBroker;

impl EmbeddedBroker {
    pub async fn open(file: &std::path::Path, rules: super::Rules) -> Result<Self, BrokerError> {
        todo!()
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    fn name(&self) -> &'static str {
        "embedded"
    }
    async fn ping(&self) -> Result<(), BrokerError> {
        todo!()
    }
    async fn submit(&self, new: NewJob) -> Result<Submitted, BrokerError> {
        todo!()
    }
    async fn job(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        todo!()
    }
    async fn cancel(&self, id: JobId) -> Result<Option<Job>, BrokerError> {
        todo!()
    }
    async fn forget(&self, id: JobId) -> Result<bool, BrokerError> {
        todo!()
    }
    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>, BrokerError> {
        todo!()
    }
    fn wakes(&self) -> broadcast::Receiver<JobId> {
        todo!()
    }
    async fn stats(&self) -> Result<Stats, BrokerError> {
        todo!()
    }
    async fn workers(&self) -> Result<Vec<WorkerInfo>, BrokerError> {
        todo!()
    }
    async fn uploads_in_use(&self) -> Result<Vec<Uuid>, BrokerError> {
        todo!()
    }
    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError> {
        todo!()
    }
    async fn announce(&self, worker: &WorkerInfo) -> Result<(), BrokerError> {
        todo!()
    }
    async fn retire(&self, worker_id: &str) -> Result<(), BrokerError> {
        todo!()
    }
    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>, BrokerError> {
        todo!()
    }
    async fn heartbeat(&self, lease: &Lease) -> Result<Standing, BrokerError> {
        todo!()
    }
    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing, BrokerError> {
        todo!()
    }
    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing, BrokerError> {
        todo!()
    }
    async fn release(&self, lease: &Lease, reason: &str) -> Result<Standing, BrokerError> {
        todo!()
    }
    async fn reap(&self) -> Result<Vec<JobId>, BrokerError> {
        todo!()
    }
}
