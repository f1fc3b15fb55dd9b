//! Takes jobs from the broker, one after the other, until told to stop.

mod announcer;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jobs::broker::{Lease, WorkerInfo};
use jobs::{Broker, EngineChoice, Job, Store};
use service::error_chain;
use sysinfo::System;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::announcer::{Doing, announce};
use crate::analysis::Analyzer;
use crate::attempt::{After, Attempt, Ended, Hold};
use crate::config::Config;
use crate::engines::{Availability, EngineSet, Installed};
use crate::fault::{Fault, panic_text};
use crate::host::Host;
use crate::outage::Outages;
use crate::panics::caught;
use crate::stop::Stop;

/// How long one look into the queue waits. A look is never dropped half-way (it
/// might just have taken a job), so this is also how long an idle worker takes to stop.
const CLAIM_WAIT: Duration = Duration::from_secs(1);

/// How long a worker that ends waits for the queue to take back the jobs that wait for another try.
const GIVE_BACK_WAIT: Duration = Duration::from_secs(5);

/// How long the queue may take to answer a worker that shuts down. A queue that hangs does not keep the process.
const LAST_ANSWER: Duration = Duration::from_secs(5);

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
/// [`EngineStuck`]. Failures of jobs, of the queue and of the storage do not end a worker, nor does a lack of threads.
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
            tracing::debug!(error = error_chain(&error), "the worker could not be announced");
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
    WorkerInfo { id: worker_id(), engines, job: None, seen_at: OffsetDateTime::now_utc(), paused: None }
}

/// Works on jobs with the engines in `available` alone.
async fn work_with(
    context: Context,
    engines: Arc<dyn EngineSet>,
    available: Vec<Availability>,
    info: WorkerInfo,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (doing, watched) = watch::channel(Doing::default());
    let mut announcer = JoinSet::new();
    announcer.spawn(announce(Arc::clone(&context.broker), info.clone(), context.config.heartbeat, watched));
    let outages = Outages::new(context.config.retry);
    let Some(host) = start_host(&engines, &outages, &doing, &shutdown).await else { return Ok(()) };
    tracing::info!(worker = info.id, broker = context.broker.name(), "worker ready");
    let analyzer = Analyzer::new(&context.config);
    let held = Held { jobs: JoinSet::new(), until: shutdown.child_token() };
    let abandoned = Vec::new();
    let mut worker = Worker { context, engines, available, analyzer, info, host, abandoned, outages, held, doing };
    let result = worker.serve(&shutdown).await;
    worker.held.give_back().await;
    announcer.shutdown().await;
    match timeout(LAST_ANSWER, worker.context.broker.retire(&worker.info.id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(error = error_chain(&error), "the worker could not sign off; it will be forgotten soon");
        }
        Err(_) => tracing::debug!("the queue does not answer; the worker will be forgotten soon"),
    }
    result
}

/// Returns when a worker that shuts down has waited long enough for the queue.
async fn unanswered(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(CLAIM_WAIT + LAST_ANSWER).await;
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
    outages: Outages,
    held: Held,
    doing: watch::Sender<Doing>,
}

/// Jobs that are given back after a while.
struct Held {
    jobs: JoinSet<()>,
    /// The end of the worker, at which they go back at once.
    until: CancellationToken,
}

impl Held {
    fn add(&mut self, hold: Hold, broker: Arc<dyn Broker>, heartbeat: Duration) {
        while self.jobs.try_join_next().is_some() {}
        self.jobs.spawn(hold.keep(broker, heartbeat, self.until.clone()));
    }

    async fn give_back(&mut self) {
        self.until.cancel();
        let all = async { while self.jobs.join_next().await.is_some() {} };
        if timeout(GIVE_BACK_WAIT, all).await.is_err() {
            tracing::warn!("the queue does not answer; the leases of the jobs that wait for another try run out");
        }
    }
}

impl Worker {
    async fn serve(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let broker = Arc::clone(&self.context.broker);
        let mut failing = false;
        while !shutdown.is_cancelled() {
            let claimed = tokio::select! {
                claimed = broker.claim(&self.info, CLAIM_WAIT) => claimed,
                () = unanswered(shutdown) => {
                    tracing::error!("the queue does not answer; the worker ends without it");
                    break;
                }
            };
            match claimed {
                Ok(claimed) => {
                    failing = false;
                    let Some((lease, job)) = claimed else { continue };
                    self.take(lease, job, shutdown).await?;
                }
                Err(error) => {
                    if !failing {
                        tracing::error!(error = error_chain(&error), "the queue cannot be read; retrying");
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
        self.doing.send_modify(|doing| doing.job = Some(job.id));
        let span = tracing::info_span!("job", job_id = %job.id, attempt = lease.attempt);
        let started = Instant::now();
        let attempt = Attempt {
            broker: &self.context.broker,
            store: &self.context.store,
            config: &self.context.config,
            available: &self.available,
            host: &self.host,
            analyzer: &self.analyzer,
            outages: &self.outages,
            lease,
            job,
            stop: Stop::default(),
        };
        let ended = caught(attempt.run(shutdown).instrument(span)).await.unwrap_or_else(|panic| {
            tracing::error!(cause = panic_text(panic.as_ref()), "the end of a job panicked; its lease runs out");
            Ended::new("panicked")
        });
        self.doing.send_modify(|doing| doing.job = None);
        count(&ended, started.elapsed());
        if ended.stuck {
            self.replace_host(shutdown).await?;
        }
        match ended.after {
            After::Nothing => {}
            After::Pause(fault) => self.pause(&fault, shutdown).await,
            After::Hold(hold) => {
                self.held.add(hold, Arc::clone(&self.context.broker), self.context.config.heartbeat);
            }
        }
        Ok(())
    }

    /// Waits until what failed works again.
    async fn pause(&self, fault: &Fault, shutdown: &CancellationToken) {
        tracing::error!(reason = fault.reason, "the worker pauses until the storage works again");
        self.doing.send_modify(|doing| doing.paused = Some(fault.reason.clone()));
        let works = async {
            loop {
                sleep(self.outages.next_pause()).await;
                match self.outages.look(fault, &self.context.store).await {
                    Ok(()) => return,
                    Err(why) => tracing::debug!(why, "the storage does not work yet"),
                }
            }
        };
        tokio::select! {
            () = works => tracing::info!("the storage works again; the worker takes jobs"),
            () = shutdown.cancelled() => {}
        }
        self.doing.send_modify(|doing| doing.paused = None);
    }

    /// A thread cannot be ended from outside. One that is stuck may be left
    /// behind (a job's worth of memory, at most one core); with a second one the
    /// process is no longer fit for work, and whoever runs it starts a new one.
    async fn replace_host(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        self.abandoned.retain(|thread| !thread.is_finished());
        if !self.abandoned.is_empty() {
            return Err(EngineStuck.into());
        }
        tracing::error!("the engine does not react to being stopped; its thread is given up and a new one started");
        if let Some(host) = start_host(&self.engines, &self.outages, &self.doing, shutdown).await {
            self.abandoned.push(std::mem::replace(&mut self.host, host).abandon());
        }
        Ok(())
    }
}

/// Starts the engine thread as soon as the system gives one; `None` at a shutdown.
async fn start_host(
    engines: &Arc<dyn EngineSet>,
    outages: &Outages,
    doing: &watch::Sender<Doing>,
    shutdown: &CancellationToken,
) -> Option<Host> {
    let mut failing = false;
    loop {
        let error = match Host::start(Arc::clone(engines)) {
            Ok(host) => {
                doing.send_modify(|doing| doing.paused = None);
                return Some(host);
            }
            Err(error) => error,
        };
        if !failing {
            tracing::error!(error = error_chain(&error), "the engine thread cannot be started; retrying");
            let reason =
                format!("the engine thread cannot be started: {error}; see the limits of the process (ulimit -u)");
            doing.send_modify(|doing| doing.paused = Some(reason));
        }
        failing = true;
        tokio::select! {
            () = sleep(outages.next_pause()) => {}
            () = shutdown.cancelled() => return None,
        }
    }
}

fn count(ended: &Ended, took: Duration) {
    metrics::counter!("worker_attempts_total", "outcome" => ended.outcome).increment(1);
    metrics::histogram!("worker_attempt_duration_seconds", "outcome" => ended.outcome).record(took.as_secs_f64());
}

/// `host-pid-random`: readable, and unique even where containers share a host name and a pid.
fn worker_id() -> String {
    let host = System::host_name().unwrap_or_else(|_| "worker".to_owned());
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
