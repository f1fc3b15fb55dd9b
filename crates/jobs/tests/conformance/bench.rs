//! A queue to test, and helpers for the tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use jobs::broker::{
    Backend, BrokerConfig, Clock, EmbeddedBroker, Lease, NewJob, RedisAddress, Rules, Standing, Submitted, WorkerInfo,
    connect,
};
use jobs::testing::RedisServer;
use jobs::{
    Broker, BrokerError, EngineChoice, EngineName, EngineOffer, Event, EventKind, Job, JobId, Params, Progress, Stage,
    Update,
};
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const HELD: Standing = Standing::Held { cancel_requested: false };

/// Long enough for any machine; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A queue for one test.
pub(crate) enum Bench {
    Embedded(TempDir, Clock),
    Redis(RedisServer),
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self::Embedded(TempDir::new().unwrap(), Clock::default())
    }

    pub(crate) fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Embedded(dir, _) => dir.path().join("some/folder/queue.sqlite"),
            Self::Redis(_) => panic!("Redis has no file"),
        }
    }

    pub(crate) async fn open(&self, rules: Rules) -> Arc<dyn Broker> {
        let backend = match self {
            Self::Embedded(_, clock) => {
                return Arc::new(EmbeddedBroker::open_by(&self.file(), rules, clock.clone()).await.unwrap());
            }
            Self::Redis(server) => Backend::Redis(RedisAddress::parse(&server.url()).unwrap()),
        };
        connect(&BrokerConfig { backend, rules }).await.unwrap()
    }

    /// Sets the queue's clock forward or back. Redis uses the clock of the machine, so instead the time that its scripts
    /// stored last is changed.
    pub(crate) async fn set_clock(&self, by: time::Duration) {
        match self {
            Self::Embedded(_, clock) => clock.set(by),
            Self::Redis(server) => {
                let client = redis::Client::open(server.url()).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let by_ms = i64::try_from(by.whole_milliseconds()).unwrap();
                let set = r"
                    if redis.call('EXISTS', '{unflatten}:clock') == 0 then return 0 end
                    redis.call('HINCRBY', '{unflatten}:clock', 'wall', -ARGV[1])
                    local pending = redis.pcall('XPENDING', '{unflatten}:taken', 'workers', '-', '+', 100)
                    for _, entry in ipairs(pending.err and {} or pending) do
                        local idle = math.max(0, entry[3] + ARGV[1])
                        redis.call('XCLAIM', '{unflatten}:taken', 'workers', entry[2], 0, entry[1],
                            'IDLE', idle, 'JUSTID')
                    end
                    return 1";
                let set = redis::Script::new(set);
                eventually(async || {
                    set.key("{unflatten}:clock").arg(by_ms).invoke_async::<i64>(&mut connection).await.unwrap() == 1
                })
                .await;
            }
        }
    }

    /// The present time, by the clock that the queue uses.
    pub(crate) fn now(&self) -> OffsetDateTime {
        match self {
            Self::Embedded(_, clock) => clock.now(),
            Self::Redis(_) => OffsetDateTime::now_utc(),
        }
    }

    /// The queue as seen by another process, where there can be one.
    pub(crate) async fn other(&self, broker: &Arc<dyn Broker>, rules: Rules) -> Arc<dyn Broker> {
        match self {
            Self::Embedded(..) => broker.clone(),
            Self::Redis(_) => self.open(rules).await,
        }
    }
}

/// Rules under which no lease expires during a test, and one client may fill the queue.
pub(crate) fn calm() -> Rules {
    let rules = Rules::default();
    Rules { lease: Duration::from_secs(600), client_limit: rules.queue_limit, ..rules }
}

/// Rules under which leases expire soon.
pub(crate) fn hasty() -> Rules {
    Rules { lease: Duration::from_millis(100), ..Rules::default() }
}

pub(crate) fn new_job() -> NewJob {
    new_job_for(EngineChoice::Auto)
}

pub(crate) fn new_job_for(engine: impl Into<EngineChoice>) -> NewJob {
    let engine = engine.into();
    let params = Params { engine, seed: Some(u64::MAX), prompt: "a \"poster\"\n물".to_owned(), ..Params::default() };
    NewJob::new(Uuid::new_v4(), params)
}

pub(crate) async fn submit(broker: &Arc<dyn Broker>) -> JobId {
    submit_this(broker, new_job()).await.id
}

pub(crate) async fn submit_this(broker: &Arc<dyn Broker>, new: NewJob) -> Job {
    match broker.submit(new).await.unwrap() {
        Submitted::Queued(job) => job,
        Submitted::Repeated(job) => panic!("{} was there before", job.id),
    }
}

pub(crate) fn worker(id: &str) -> WorkerInfo {
    worker_with(id, &[EngineName::Qwen, EngineName::Draft])
}

/// A worker with the model on a GPU.
pub(crate) fn gpu_worker(id: &str) -> WorkerInfo {
    let mut worker = worker_with(id, &[EngineName::Qwen, EngineName::Draft]);
    worker.engines[0].device = "cuda:0".to_owned();
    worker
}

pub(crate) fn worker_with(id: &str, engines: &[EngineName]) -> WorkerInfo {
    let offer = |name: &EngineName| EngineOffer {
        name: *name,
        version: "1".to_owned(),
        model: None,
        device: "cpu".to_owned(),
        max_layers: 10,
        uses_prompt: false,
        samplers: Vec::new(),
        loras: Vec::new(),
    };
    WorkerInfo {
        id: id.to_owned(),
        engines: engines.iter().map(offer).collect(),
        job: None,
        seen_at: OffsetDateTime::UNIX_EPOCH,
        paused: None,
    }
}

/// Takes the next job, waiting for it if necessary.
pub(crate) async fn claim(broker: &Arc<dyn Broker>, id: &str) -> (Lease, Job) {
    broker.claim(&worker(id), PATIENCE).await.unwrap().expect("there is a job to take")
}

/// Takes the next job if there is one now.
pub(crate) async fn try_claim(broker: &Arc<dyn Broker>, worker: &WorkerInfo) -> Option<JobId> {
    broker.claim(worker, Duration::ZERO).await.unwrap().map(|(lease, _)| lease.job_id)
}

pub(crate) async fn job(broker: &Arc<dyn Broker>, id: JobId) -> Job {
    broker.job(id).await.unwrap().expect("the job is there")
}

pub(crate) async fn events(broker: &Arc<dyn Broker>, id: JobId) -> Vec<Event> {
    broker.events_after(id, 0, 1000).await.unwrap()
}

pub(crate) async fn kinds(broker: &Arc<dyn Broker>, id: JobId) -> Vec<EventKind> {
    events(broker, id).await.into_iter().map(|event| event.kind).collect()
}

/// All updates of a follower.
pub(crate) async fn updates(follower: impl Stream<Item = Result<Update, Arc<BrokerError>>>) -> Vec<Update> {
    let all = follower.map(Result::unwrap).collect();
    tokio::time::timeout(PATIENCE, all).await.expect("following comes to an end")
}

/// All events of a follower of a job that is not removed.
pub(crate) async fn followed(follower: impl Stream<Item = Result<Update, Arc<BrokerError>>>) -> Vec<Event> {
    let told = updates(follower).await;
    assert!(!told.iter().any(|update| matches!(update, Update::Removed)), "{told:?}");
    told.iter().filter_map(event).cloned().collect()
}

pub(crate) fn event(update: &Update) -> Option<&Event> {
    match update {
        Update::Event(followed) => Some(&followed.event),
        Update::Position(_) | Update::Removed => None,
    }
}

/// Waits until the lease of a job has expired and the job was requeued or failed.
pub(crate) async fn lapse(broker: &Arc<dyn Broker>, id: JobId) {
    eventually(async || broker.reap().await.unwrap().contains(&id)).await;
}

/// Polls until the condition holds.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "it did not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn started(worker: &str, attempt: u32) -> EventKind {
    let reason = "it is here".to_owned();
    EventKind::Started {
        worker: worker.to_owned(),
        attempt,
        engine: EngineName::Draft,
        reason,
        reason_code: Default::default(),
        reason_data: Default::default(),
    }
}

pub(crate) fn progress(step: u32) -> EventKind {
    let percent = step as f32 * 10.0;
    EventKind::Progress(Progress { stage: Stage::Objects, step, total: 10, percent, eta_ms: Some(5) })
}

pub(crate) fn note(message: &str) -> EventKind {
    EventKind::Note { message: message.to_owned(), code: Default::default(), data: Default::default() }
}
