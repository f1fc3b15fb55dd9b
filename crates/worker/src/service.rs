//! Takes jobs from the broker, one after the other, until told to stop.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jobs::broker::{Lease, WorkerInfo};
use jobs::{Broker, EngineChoice, Job, JobId, Store};
use sysinfo::System;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::analysis::Analyzer;
use crate::attempt::{Attempt, Ended};
use crate::config::Config;
use crate::engines::{Availability, EngineSet, Installed};
use crate::host::Host;
use crate::result::chain;
use crate::stop::Stop;

/// How long one look into the queue waits. A look is never dropped half-way (it
/// might just have taken a job), so this is also how long an idle worker takes to stop.
const CLAIM_WAIT: Duration = Duration::from_secs(1);

/// Pause after a look into the queue that failed.
const BACKOFF: Duration = Duration::from_secs(2);

/// What a worker works with.
pub struct Context {
    pub broker: Arc<dyn Broker>,
    pub store: Store,
    pub config: Config,
}

/// Two engine threads did not react to being stopped: the process must be restarted.
#[derive(Debug, thiserror::Error)]
#[error("two engine threads no longer react; this process ends so that a new one can take over its work")]
pub struct EngineStuck;

/// Works on jobs with the engines of this machine until `shutdown`; then the
/// running job gets its grace period, or goes back to the queue.
///
/// # Errors
/// [`EngineStuck`], or when the engine thread cannot be started. Failures of
/// jobs, of the queue and of the storage do not end a worker.
pub async fn run(context: Context, shutdown: CancellationToken) -> anyhow::Result<()> {
    let engines = Arc::new(Installed::new(&context.config));
    run_with(context, engines, shutdown).await
}

/// Like [`run`], with engines of the caller's.
///
/// # Errors
/// Like [`run`].
pub async fn run_with(
    context: Context,
    engines: Arc<dyn EngineSet>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (cloud, own): (Vec<_>, Vec<_>) =
        engines.available().into_iter().partition(|entry| entry.name == EngineChoice::Vertex && entry.state.is_ok());
    if cloud.is_empty() || own.iter().all(|entry| entry.state.is_err()) {
        let all = if cloud.is_empty() { own } else { cloud };
        let info = introduce(&all);
        return work_with(context, engines, all, info, shutdown).await;
    }
    // Vertex AI computes elsewhere: a job there must not keep the engines of this machine waiting.
    let beside = Context {
        broker: Arc::clone(&context.broker),
        store: context.store.clone(),
        // What the process grows by is mostly the other lane's.
        config: Config { job_memory_limit: None, ..context.config.clone() },
    };
    // Who takes a job goes by who is there: both are, before either looks for one.
    let (own_info, cloud_info) = (introduce(&own), introduce(&cloud));
    for info in [&own_info, &cloud_info] {
        if let Err(error) = context.broker.announce(info).await {
            tracing::debug!(error = chain(&error), "the worker could not be announced");
        }
    }
    let ended = shutdown.child_token();
    let lane = |context, entries, info| {
        let (engines, ended) = (Arc::clone(&engines), ended.clone());
        async move {
            let result = work_with(context, engines, entries, info, ended.clone()).await;
            ended.cancel();
            result
        }
    };
    let (first, second) = tokio::join!(lane(context, own, own_info), lane(beside, cloud, cloud_info));
    first.and(second)
}

/// What the others are told of a worker with these engines.
fn introduce(available: &[Availability]) -> WorkerInfo {
    let engines = available.iter().filter_map(|entry| entry.state.clone().ok()).collect();
    WorkerInfo { id: worker_id(), engines, job: None, seen_at: OffsetDateTime::now_utc() }
}

/// Works on jobs with the engines in `available` alone.
async fn work_with(
    context: Context,
    engines: Arc<dyn EngineSet>,
    available: Vec<Availability>,
    info: WorkerInfo,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let host = start_host(&engines)?;
    tracing::info!(worker = info.id, broker = context.broker.name(), "worker ready");
    let (current, watched) = watch::channel(None);
    let mut announcer = JoinSet::new();
    announcer.spawn(announce(Arc::clone(&context.broker), info.clone(), context.config.heartbeat, watched));
    let analyzer = Analyzer::new(&context.config);
    let mut worker = Worker { context, engines, available, analyzer, info, host, abandoned: Vec::new(), current };
    let result = worker.serve(&shutdown).await;
    announcer.shutdown().await;
    if let Err(error) = worker.context.broker.retire(&worker.info.id).await {
        tracing::debug!(error = chain(&error), "the worker could not sign off; it will be forgotten soon");
    }
    result
}

struct Worker {
    context: Context,
    engines: Arc<dyn EngineSet>,
    available: Vec<Availability>,
    analyzer: Analyzer,
    info: WorkerInfo,
    host: Host,
    /// Engine threads that did not come back when they were stopped.
    abandoned: Vec<JoinHandle<()>>,
    current: watch::Sender<Option<JobId>>,
}

impl Worker {
    async fn serve(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let broker = Arc::clone(&self.context.broker);
        let mut failing = false;
        while !shutdown.is_cancelled() {
            match broker.claim(&self.info, CLAIM_WAIT).await {
                Ok(claimed) => {
                    failing = false;
                    let Some((lease, job)) = claimed else { continue };
                    self.take(lease, job, shutdown).await?;
                }
                Err(error) => {
                    if !failing {
                        tracing::error!(error = chain(&error), "the queue cannot be read; trying on");
                    }
                    failing = true;
                    tokio::select! {
                        () = sleep(BACKOFF) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, lease: Lease, job: Job, shutdown: &CancellationToken) -> anyhow::Result<()> {
        self.current.send_replace(Some(job.id));
        let span = tracing::info_span!("job", job_id = %job.id, attempt = lease.attempt);
        let started = Instant::now();
        let attempt = Attempt {
            broker: &self.context.broker,
            store: &self.context.store,
            config: &self.context.config,
            available: &self.available,
            host: &self.host,
            analyzer: &self.analyzer,
            lease,
            job,
            stop: Stop::default(),
        };
        let ended = attempt.run(shutdown).instrument(span).await;
        self.current.send_replace(None);
        count(ended, started.elapsed());
        if ended.stuck { self.replace_host() } else { Ok(()) }
    }

    /// A thread cannot be ended from outside. One that is stuck may be left
    /// behind (a job's worth of memory, at most one core); with a second one the
    /// process is no longer fit for work, and whoever runs it starts a new one.
    fn replace_host(&mut self) -> anyhow::Result<()> {
        self.abandoned.retain(|thread| !thread.is_finished());
        if !self.abandoned.is_empty() {
            return Err(EngineStuck.into());
        }
        tracing::error!("the engine does not react to being stopped; its thread is given up and a new one started");
        let stuck = std::mem::replace(&mut self.host, start_host(&self.engines)?);
        self.abandoned.push(stuck.abandon());
        Ok(())
    }
}

fn start_host(engines: &Arc<dyn EngineSet>) -> anyhow::Result<Host> {
    Host::start(Arc::clone(engines)).context("the engine thread cannot be started")
}

fn count(ended: Ended, took: Duration) {
    metrics::counter!("worker_attempts_total", "outcome" => ended.outcome).increment(1);
    metrics::histogram!("worker_attempt_duration_seconds", "outcome" => ended.outcome).record(took.as_secs_f64());
}

/// Tells the others regularly that this worker is alive and what it does.
async fn announce(broker: Arc<dyn Broker>, info: WorkerInfo, every: Duration, job: watch::Receiver<Option<JobId>>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = WorkerInfo { job: *job.borrow(), seen_at: OffsetDateTime::now_utc(), ..info.clone() };
        if let Err(error) = broker.announce(&now).await {
            tracing::debug!(error = chain(&error), "the worker could not be announced");
        }
    }
}

/// `host-pid-random`: readable, and unique even where containers share a host name and a pid.
fn worker_id() -> String {
    let host = System::host_name().unwrap_or_else(|_| "worker".to_owned());
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
