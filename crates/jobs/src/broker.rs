//! Hands jobs from the API to the workers, and their events back.

mod address;
mod clock;
pub(crate) mod config;
mod embedded;
mod fault;
mod in_flight;
mod redis;
mod routing;
mod rules;
mod signals;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::broadcast;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::address::RedisAddress;
pub use self::clock::Clock;
pub use self::config::{Backend, BrokerConfig, connect};
pub use self::embedded::EmbeddedBroker;
pub use self::fault::Fault;
pub use self::in_flight::InFlight;
pub use self::redis::RedisBroker;
pub use self::rules::Rules;
use crate::{
    DeliveriesInFlight, Delivery, DeliveryOutcome, EngineChoice, EngineOffer, Event, EventKind, Failure, Job, JobId,
    Message, Params, Priority, Webhook,
};

/// A job as the API hands it in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub id: JobId,
    pub upload_id: Uuid,
    /// Checked, with a seed drawn and the service's defaults filled in.
    pub params: Params,
    pub priority: Priority,
    /// Identifies the client, in any form. Jobs of the same priority are taken from the clients in turn.
    pub client: String,
    /// How many of its jobs may wait, in place of [`Rules::client_limit`].
    pub client_limit: Option<u64>,
    pub idempotency: Option<Idempotency>,
    pub webhook: Option<Webhook>,
}

impl NewJob {
    /// A job of normal priority without a client, an idempotency key or a webhook.
    pub fn new(upload_id: Uuid, params: Params) -> Self {
        Self {
            id: JobId::new_v4(),
            upload_id,
            params,
            priority: Priority::default(),
            client: String::new(),
            client_limit: None,
            idempotency: None,
            webhook: None,
        }
    }
}

/// Makes a repeated request answer with the job of the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// Hash of the request, to tell a repeat from another request with the same key.
    pub fingerprint: String,
}

/// What became of a [`NewJob`].
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    Queued(Job),
    /// The job of an earlier request with the same idempotency key.
    Repeated(Job),
}

/// A worker process that is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerInfo {
    /// Unique among processes that live at the same time.
    pub id: String,
    /// The engines that it has, the best first.
    pub engines: Vec<EngineOffer>,
    /// The job it is working on.
    #[schema(value_type = Option<Uuid>)]
    pub job: Option<JobId>,
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    /// Why it takes no jobs at the moment, such as a storage that fails.
    #[serde(default)]
    pub paused: Option<String>,
}

impl WorkerInfo {
    /// Whether this worker can do a job that asks for `engine`.
    pub fn can_do(&self, engine: EngineChoice) -> bool {
        match engine {
            EngineChoice::Auto => self.tier().is_some(),
            EngineChoice::Named(name) => self.engines.iter().any(|offer| offer.name == name),
        }
    }
}

/// The right to work on a job. It ends when it is not renewed for the lease time.
///
/// `attempt` is the fencing token: once another worker has taken the job, every call with this lease answers
/// [`Standing::Lost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job_id: JobId,
    pub attempt: u32,
    pub worker_id: String,
}

/// Whether a lease still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Held {
        cancel_requested: bool,
    },
    /// Another worker has the job, or it has ended: stop and publish nothing.
    Lost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Succeeded { layers: u32 },
    Failed(Failure),
    Cancelled,
}

/// The newest event of a job, and its position in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the newest event.
    pub seq: u64,
    /// Whether that event is the last one.
    pub is_over: bool,
    /// Position in the queue while the job waits; 0 is next.
    pub position: Option<u64>,
}

/// Counts for `/metrics`, `/readyz` and queue limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    pub queued: u64,
    pub running: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the queue is full: {queued} of at most {limit} jobs are waiting")]
    QueueFull { queued: u64, limit: u64 },
    #[error("this client has {queued} of at most {limit} jobs waiting")]
    ClientFull { queued: u64, limit: u64 },
    #[error("this Idempotency-Key was already used for a different request")]
    IdempotencyMismatch,
    #[error("{}", self.words())]
    Redis(#[from] ::redis::RedisError),
    #[error("{}", self.words())]
    Sqlite(#[from] rusqlite::Error),
    #[error("the queue holds a record that cannot be read")]
    Corrupt(#[from] serde_json::Error),
    #[error("the queue holds a record that cannot be read: {0}")]
    Malformed(String),
    #[error("{}", self.words())]
    Io(#[from] std::io::Error),
    #[error(
        "the embedded queue {} is in use by another process; stop that one, set EMBEDDED_QUEUE_FILE to another file, \
         or share a queue between processes through REDIS_URL", file.display()
    )]
    FileInUse { file: PathBuf },
    #[error(
        "{} is not a queue: it is not a SQLite file; move it away, or set EMBEDDED_QUEUE_FILE to another file",
        file.display()
    )]
    NotAQueue { file: PathBuf },
    #[error(
        "the file of the embedded queue has version {found}, this program knows version {known}; use a newer program, or \
         set EMBEDDED_QUEUE_FILE to another file"
    )]
    NewerFile { found: i64, known: i64 },
    #[error("{} ({})", self.words(), file.display())]
    FileGone { file: PathBuf },
    /// A bug. The changes of the call were rolled back.
    #[error("a call of the embedded queue panicked; the log has the reason")]
    Panicked,
    #[error("{}", self.words())]
    Stopping,
    #[error("a worker records only started, progress and note events; jobs end through finish or release")]
    NotRecordable,
}

/// A durable queue with a log of events for each job.
///
/// Every change writes the job's new state and its event in one atomic step, so a listener never sees one without the
/// other.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// `embedded` or `redis`.
    fn name(&self) -> &'static str;

    /// Succeeds when the queue is reachable and can be written to.
    async fn ping(&self) -> Result<(), BrokerError>;

    // The API's side.

    /// Adds a job to the queue, with its `Queued` event. Clients take turns within a priority.
    async fn submit(&self, new: NewJob) -> Result<Submitted, BrokerError>;

    /// The job, with its position in the queue while it waits.
    async fn job(&self, id: JobId) -> Result<Option<Job>, BrokerError>;

    /// Cancels a waiting job at once, asks the worker of a running one to stop, and leaves a finished one alone. Answers
    /// the job afterwards.
    async fn cancel(&self, id: JobId) -> Result<Option<Job>, BrokerError>;

    /// Removes a finished job and its events; `false` when it is not finished or does not exist.
    async fn forget(&self, id: JobId) -> Result<bool, BrokerError>;

    /// Up to `limit` events of a job with a number above `after`, in order.
    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>, BrokerError>;

    /// The heads of these jobs, in the same order; `None` for a job that does not exist. One round trip, meant for a few
    /// hundred jobs.
    async fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>, BrokerError>;

    /// Names each job that got a new event, in this process or (Redis) another. Only a hint, which can get lost: listeners
    /// poll too.
    fn wakes(&self) -> broadcast::Receiver<JobId>;

    async fn stats(&self) -> Result<Stats, BrokerError>;

    /// The workers that announced themselves within the lease time.
    async fn workers(&self) -> Result<Vec<WorkerInfo>, BrokerError>;

    /// Uploads that waiting or running jobs still need.
    async fn uploads_in_use(&self) -> Result<Vec<Uuid>, BrokerError>;

    /// Jobs that finished before `cutoff`, by the queue's own time: setting the wall clock does not change their age.
    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError>;

    /// Takes up to `limit` webhook deliveries that are due, for `Rules::delivery_lease`: one that is not settled by then
    /// can be taken again.
    ///
    /// Clients take turns, and so do the receivers of each. Receivers with [`DeliveriesInFlight::PER_RECEIVER`] and
    /// clients with [`DeliveriesInFlight::PER_CLIENT`] deliveries in flight are skipped and keep their turn.
    async fn claim_deliveries(
        &self,
        limit: usize,
        in_flight: &DeliveriesInFlight,
    ) -> Result<Vec<Delivery>, BrokerError>;

    /// Records how a delivery ended. A retry counts only if it comes from the latest taker.
    async fn settle_delivery(&self, delivery: &Delivery, outcome: DeliveryOutcome) -> Result<(), BrokerError>;

    /// Counts heavy work for a request (decoding a picture, cutting out a layer, writing an export) until the answer is
    /// dropped; the work has to hold it. If the process dies meanwhile, its death does not count against the jobs that
    /// ran in it. Does nothing where API and workers are separate processes.
    fn in_flight(&self) -> InFlight {
        InFlight::default()
    }

    // The worker's side.

    /// Announces a worker, with what it can do.
    async fn announce(&self, worker: &WorkerInfo) -> Result<(), BrokerError>;

    /// Removes a worker that shuts down.
    async fn retire(&self, worker_id: &str) -> Result<(), BrokerError>;

    /// Waits up to `wait` for the next job that this worker can do, and takes it under a lease: the job is running from
    /// then on. A job with `engine=auto` is reserved for better workers for a while (see [`engine::Tier`]). Jobs whose lease
    /// expired are requeued first (see [`Broker::reap`]).
    ///
    /// Do not drop the future early: a job that was just taken stays running until its lease expires. An error can
    /// have the same effect.
    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>, BrokerError>;

    /// Renews a lease.
    async fn heartbeat(&self, lease: &Lease) -> Result<Standing, BrokerError>;

    /// How often a worker renews a lease and announces itself: see [`Rules::heartbeat`].
    fn heartbeat_interval(&self) -> Duration;

    /// Records `Started`, `Progress` or `Note`, and renews the lease.
    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing, BrokerError>;

    /// Ends the job. `Held` means that this call ended it; a second call answers `Lost`.
    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing, BrokerError>;

    /// Returns the job to the head of the queue without counting the attempt, for a worker that shuts down or pauses.
    async fn release(&self, lease: &Lease, reason: &Message) -> Result<Standing, BrokerError>;

    /// Requeues jobs whose lease expired, or fails them with `WorkerLost` after the last attempt. Answers their ids.
    async fn reap(&self) -> Result<Vec<JobId>, BrokerError>;
}
