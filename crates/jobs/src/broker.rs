//! Hands jobs from the API to the workers and news of them back.

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
    Delivery, EngineChoice, EngineOffer, Event, EventKind, Failure, Job, JobId, Params, Priority, Settled, UnderWay,
    Webhook,
};

/// A job as the API hands it in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub id: JobId,
    pub upload_id: Uuid,
    /// Checked, with a seed drawn and the service's defaults filled in.
    pub params: Params,
    pub priority: Priority,
    /// Who asks, in any form that tells clients apart. Jobs of the same priority are taken from the clients in turn.
    pub client: String,
    pub idempotency: Option<Idempotency>,
    pub webhook: Option<Webhook>,
}

impl NewJob {
    /// A job of normal priority that nobody in particular asks for.
    pub fn new(upload_id: Uuid, params: Params) -> Self {
        Self {
            id: JobId::new_v4(),
            upload_id,
            params,
            priority: Priority::default(),
            client: String::new(),
            idempotency: None,
            webhook: None,
        }
    }
}

/// Makes a repeated request answer with the job of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// Hash of what was asked, to tell a repeat from a reuse of the key.
    pub fingerprint: String,
}

/// What became of a [`NewJob`].
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    Queued(Job),
    /// The idempotency key was used before for the same request: its job.
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
    /// Why it takes no jobs at the moment: what it needs, such as the storage, does not work.
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

/// The right to work on a job, until the broker hears nothing for the lease time.
///
/// `attempt` fences: once another worker has taken the job, everything done
/// under this lease answers [`Standing::Lost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job_id: JobId,
    pub attempt: u32,
    pub worker_id: String,
}

/// Whether a worker still has the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Held {
        cancel_requested: bool,
    },
    /// Another worker has it, or it is over: stop and publish nothing.
    Lost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Succeeded { layers: u32 },
    Failed(Failure),
    Cancelled,
}

/// Where the events of a job stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of its newest event.
    pub seq: u64,
    /// Whether that one is its last.
    pub is_over: bool,
    /// Its place in the queue while it waits; 0 is next.
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
    #[error("the queue is full: {queued} jobs wait, {limit} may")]
    QueueFull { queued: u64, limit: u64 },
    #[error("{queued} jobs of this client wait, {limit} may")]
    ClientFull { queued: u64, limit: u64 },
    #[error("this Idempotency-Key was used for another request")]
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
    #[error("{} ({})", self.words(), file.display())]
    FileGone { file: PathBuf },
    /// A bug of ours. What the call had changed was taken back.
    #[error("a call of the embedded queue panicked; the log has the reason")]
    Panicked,
    #[error("{}", self.words())]
    Stopping,
    #[error("a worker records only started, progress and note events; jobs end through finish or release")]
    NotRecordable,
}

/// A durable queue with a log of events for each job.
///
/// Every state change writes the job's new state and its event in one atomic
/// step, so a listener never sees one without the other.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// `embedded` or `redis`.
    fn name(&self) -> &'static str;

    /// Answers when the queue can be used: it is there, and takes changes.
    async fn ping(&self) -> Result<(), BrokerError>;

    // The API's side.

    /// Puts a job into the queue, with its `Queued` event: behind those of its priority whose
    /// clients had fewer jobs in front.
    async fn submit(&self, new: NewJob) -> Result<Submitted, BrokerError>;

    /// The job, with its place in the queue while it waits.
    async fn job(&self, id: JobId) -> Result<Option<Job>, BrokerError>;

    /// Cancels a waiting job at once, asks the worker of a running one to stop,
    /// leaves a finished one alone. Answers with the job as it is then.
    async fn cancel(&self, id: JobId) -> Result<Option<Job>, BrokerError>;

    /// Removes a finished job and its events; `false` when it is not finished or not there.
    async fn forget(&self, id: JobId) -> Result<bool, BrokerError>;

    /// Up to `limit` events of a job with a number above `after`, in order.
    async fn events_after(&self, id: JobId, after: u64, limit: usize) -> Result<Vec<Event>, BrokerError>;

    /// Where the events of each of these jobs stand, in the same order; `None` for a job that is
    /// not there. One round trip: meant for a few hundred jobs at a time.
    async fn heads(&self, ids: &[JobId]) -> Result<Vec<Option<Head>>, BrokerError>;

    /// Names each job that got a new event, in this process or (Redis) another.
    /// A hint: listeners also look now and then, because one can get lost.
    fn wakes(&self) -> broadcast::Receiver<JobId>;

    async fn stats(&self) -> Result<Stats, BrokerError>;

    /// The workers that were heard of within the lease time.
    async fn workers(&self) -> Result<Vec<WorkerInfo>, BrokerError>;

    /// Uploads that waiting or running jobs still need.
    async fn uploads_in_use(&self) -> Result<Vec<Uuid>, BrokerError>;

    /// Jobs that finished before `cutoff`, by the queue's own time: a wall clock that was set does not make them
    /// older, nor younger.
    async fn finished_before(&self, cutoff: OffsetDateTime) -> Result<Vec<JobId>, BrokerError>;

    /// Takes up to `limit` webhook deliveries that are due, for `Rules::delivery_lease`: whoever
    /// has taken one and does not settle it by then leaves it to others.
    ///
    /// Clients have turns, as have the receivers of each. Receivers and clients that `under_way` counts
    /// [`UnderWay::PER_RECEIVER`] and [`UnderWay::PER_CLIENT`] of are passed over, and keep their turn.
    async fn claim_deliveries(&self, limit: usize, under_way: &UnderWay) -> Result<Vec<Delivery>, BrokerError>;

    /// Says what became of a delivery. That it is to be tried again counts only from its latest taker.
    async fn settle_delivery(&self, delivery: &Delivery, settled: Settled) -> Result<(), BrokerError>;

    /// Notes that a request is having heavy work done (a picture decoded, a layer cut out, an export written), until
    /// the answer is dropped: the work itself is to hold it. If the process dies meanwhile, the jobs that ran in it
    /// are not taken for the cause. Does nothing where API and workers are processes of their own.
    fn in_flight(&self) -> InFlight {
        InFlight::default()
    }

    // The worker's side.

    /// Says that a worker is alive and what it can do.
    async fn announce(&self, worker: &WorkerInfo) -> Result<(), BrokerError>;

    /// Says that a worker goes away.
    async fn retire(&self, worker_id: &str) -> Result<(), BrokerError>;

    /// Waits up to `wait` for the next job that this worker can do (one that leaves the engine
    /// open is kept for a better worker for a while, see [`Tier`]) and takes
    /// it: the job is running from then on, under a lease. Jobs whose lease ran
    /// out are taken back here (see [`Broker::reap`]).
    ///
    /// Await it to the end: a job that was just taken when the call is dropped
    /// waits for its lease to run out, and an error can mean the same.
    async fn claim(&self, worker: &WorkerInfo, wait: Duration) -> Result<Option<(Lease, Job)>, BrokerError>;

    /// Renews a lease.
    async fn heartbeat(&self, lease: &Lease) -> Result<Standing, BrokerError>;

    /// How often a worker renews a lease and announces itself: see [`Rules::heartbeat`].
    fn heartbeat_interval(&self) -> Duration;

    /// Adds `Started`, `Progress` or `Note` to the job's events (and its state); renews the lease.
    async fn record(&self, lease: &Lease, kind: EventKind) -> Result<Standing, BrokerError>;

    /// Ends the job. `Held` means that this call ended it; the second of two says `Lost`.
    async fn finish(&self, lease: &Lease, outcome: Outcome) -> Result<Standing, BrokerError>;

    /// Puts the job back at the head of the queue without counting the attempt, for a worker that shuts down or
    /// pauses.
    async fn release(&self, lease: &Lease, reason: &str) -> Result<Standing, BrokerError>;

    /// Takes back jobs whose worker has not been heard of for the lease time:
    /// into the queue again, or failed with `WorkerLost` after the last attempt.
    async fn reap(&self) -> Result<Vec<JobId>, BrokerError>;
}
