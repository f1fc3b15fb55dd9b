//! Takes jobs from the queue, one after the other, until told to stop.

mod announcer;
mod attempt;
mod lease;
mod outage;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Availability, Stop};
use jobs::broker::{Lease, WorkerInfo};
use jobs::{Broker, Job, Store};
use service::error_chain;
use sysinfo::System;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::announcer::{Activity, announce};
use self::attempt::{Attempt, AttemptEnd, Held, NextStep};
use self::outage::Outages;
use crate::config::Config;
use crate::equipment::Equipment;
use crate::run::{Fault, Runner, catch_panic, panic_text};

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

/// Works on jobs with `equipment` until `shutdown`; then the running job gets its grace period, or goes back to the queue.
///
/// # Errors
/// [`EngineStuck`]. Failures of jobs, of the queue and of the storage do not end a worker, nor does a lack of threads.
pub async fn run(context: Context, equipment: Equipment, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (remote, own): (Vec<_>, Vec<_>) =
        equipment.engines.available().into_iter().partition(|entry| entry.name.traits().remote && entry.state.is_ok());
    if remote.is_empty() || own.iter().all(|entry| entry.state.is_err()) {
        let all = if remote.is_empty() { own } else { remote };
        let info = worker_info(&all);
        return run_lane(context, &equipment, all, info, shutdown).await;
    }
    // A remote engine computes elsewhere: a job there must not keep the engines of this machine waiting.
    let mut config = context.config.clone();
    // What the process grows by is mostly the other lane's.
    config.limits.memory = None;
    let beside = Context { broker: Arc::clone(&context.broker), store: context.store.clone(), config };
    // Which worker takes a job depends on which are there: both are announced before either claims one.
    let (own_info, remote_info) = (worker_info(&own), worker_info(&remote));
    for info in [&own_info, &remote_info] {
        if let Err(error) = context.broker.announce(info).await {
            tracing::debug!(error = error_chain(&error), "the worker could not be announced");
        }
    }
    let ended = shutdown.child_token();
    let lane = |context, entries, info| {
        let (equipment, ended) = (&equipment, ended.clone());
        async move {
            let result = run_lane(context, equipment, entries, info, ended.clone()).await;
            ended.cancel();
            result
        }
    };
    let (first, second) = tokio::join!(lane(context, own, own_info), lane(beside, remote, remote_info));
    first.and(second)
}

/// A worker with these engines, as it is announced.
fn worker_info(available: &[Availability]) -> WorkerInfo {
    let engines = available.iter().filter_map(|entry| entry.state.clone().ok()).collect();
    WorkerInfo { id: worker_id(), engines, job: None, seen_at: OffsetDateTime::now_utc(), paused: None }
}

/// Works on jobs with the engines in `available` alone.
async fn run_lane(
    context: Context,
    equipment: &Equipment,
    available: Vec<Availability>,
    info: WorkerInfo,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (activity, watched) = watch::channel(Activity::default());
    let heartbeat = context.broker.heartbeat_interval();
    let mut announcer = JoinSet::new();
    announcer.spawn(announce(Arc::clone(&context.broker), info.clone(), heartbeat, watched));
    let outages = Outages::new(context.config.retry);
    let start: StartRunner = {
        let (equipment, config) = (equipment.clone(), context.config.clone());
        Box::new(move || Runner::start(&equipment, available.clone(), &config))
    };
    let Some(runner) = start_runner(&start, &outages, &activity, &shutdown).await else { return Ok(()) };
    tracing::info!(worker = info.id, broker = context.broker.name(), "worker ready");
    let held = HeldJobs { jobs: JoinSet::new(), until: shutdown.child_token() };
    let mut worker = Worker { context, info, runner, start, abandoned: Vec::new(), outages, held, activity };
    let result = worker.serve(&shutdown).await;
    worker.held.release().await;
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

type StartRunner = Box<dyn Fn() -> io::Result<Runner> + Send + Sync>;

struct Worker {
    context: Context,
    info: WorkerInfo,
    runner: Runner,
    /// Starts another engine thread.
    start: StartRunner,
    /// Engine threads that did not come back when they were stopped.
    abandoned: Vec<JoinHandle<()>>,
    outages: Outages,
    held: HeldJobs,
    activity: watch::Sender<Activity>,
}

/// Jobs that are given back after a while.
struct HeldJobs {
    jobs: JoinSet<()>,
    /// The end of the worker, at which they go back at once.
    until: CancellationToken,
}

impl HeldJobs {
    fn add(&mut self, held: Held, broker: Arc<dyn Broker>) {
        while self.jobs.try_join_next().is_some() {}
        self.jobs.spawn(held.keep(broker, self.until.clone()));
    }

    async fn release(&mut self) {
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
        self.activity.send_modify(|activity| activity.job = Some(job.id));
        let span = tracing::info_span!("job", job_id = %job.id, attempt = lease.attempt);
        let started = Instant::now();
        let attempt = Attempt {
            broker: &self.context.broker,
            store: &self.context.store,
            shutdown_grace: self.context.config.shutdown_grace,
            runner: &self.runner,
            outages: &self.outages,
            lease,
            job,
            stop: Stop::default(),
        };
        let ended = catch_panic(attempt.run(shutdown).instrument(span)).await.unwrap_or_else(|panic| {
            tracing::error!(cause = panic_text(panic.as_ref()), "the end of a job panicked; its lease runs out");
            NextStep::after(AttemptEnd::Panicked)
        });
        self.activity.send_modify(|activity| activity.job = None);
        count(ended.end, started.elapsed());
        if ended.is_stuck {
            self.replace_runner(shutdown).await?;
        }
        if let Some(fault) = &ended.pause {
            self.pause(fault, shutdown).await;
        }
        if let Some(held) = ended.held {
            self.held.add(held, Arc::clone(&self.context.broker));
        }
        Ok(())
    }

    /// Waits until what failed works again.
    async fn pause(&self, fault: &Fault, shutdown: &CancellationToken) {
        tracing::error!(reason = fault.reason, "the worker pauses until the storage works again");
        self.activity.send_modify(|activity| activity.paused = Some(fault.reason.clone()));
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
        self.activity.send_modify(|activity| activity.paused = None);
    }

    /// A thread cannot be ended from outside. One that is stuck may be left
    /// behind (a job's worth of memory, at most one core); with a second one the
    /// process is no longer fit for work, and whoever runs it starts a new one.
    async fn replace_runner(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        self.abandoned.retain(|thread| !thread.is_finished());
        if !self.abandoned.is_empty() {
            return Err(EngineStuck.into());
        }
        tracing::error!("the engine does not react to being stopped; its thread is given up and a new one started");
        if let Some(runner) = start_runner(&self.start, &self.outages, &self.activity, shutdown).await {
            self.abandoned.push(std::mem::replace(&mut self.runner, runner).abandon());
        }
        Ok(())
    }
}

/// Starts the engine thread as soon as the system gives one; `None` at a shutdown.
async fn start_runner(
    start: &StartRunner,
    outages: &Outages,
    activity: &watch::Sender<Activity>,
    shutdown: &CancellationToken,
) -> Option<Runner> {
    let mut failing = false;
    loop {
        let error = match start() {
            Ok(runner) => {
                activity.send_modify(|activity| activity.paused = None);
                return Some(runner);
            }
            Err(error) => error,
        };
        if !failing {
            tracing::error!(error = error_chain(&error), "the engine thread cannot be started; retrying");
            let reason =
                format!("the engine thread cannot be started: {error}; see the limits of the process (ulimit -u)");
            activity.send_modify(|activity| activity.paused = Some(reason));
        }
        failing = true;
        tokio::select! {
            () = sleep(outages.next_pause()) => {}
            () = shutdown.cancelled() => return None,
        }
    }
}

fn count(end: AttemptEnd, took: Duration) {
    metrics::counter!("worker_attempts_total", "outcome" => end.as_str()).increment(1);
    metrics::histogram!("worker_attempt_duration_seconds", "outcome" => end.as_str()).record(took.as_secs_f64());
}

/// `host-pid-random`: readable, and unique even where containers share a host name and a pid.
fn worker_id() -> String {
    let host = System::host_name().unwrap_or_else(|_| "worker".to_owned());
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
