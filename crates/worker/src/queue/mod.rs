//! Takes jobs from the queue, one after the other, until shutdown.

mod announcer;
mod attempt;
mod heartbeat;
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
use self::attempt::{Attempt, AttemptEnd, HeldJob, NextStep};
use self::outage::Outages;
use crate::config::Config;
use crate::equipment::Equipment;
use crate::run::{Fault, Runner, catch_panic, panic_text};

/// How long one claim waits for a job. A claim is never cancelled, since it might just have taken a job, so an idle worker
/// also takes this long to stop.
const CLAIM_WAIT: Duration = Duration::from_secs(1);

/// At shutdown, how long giving back the held jobs may take.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(5);

/// At shutdown, how long the queue may take to respond. A queue that hangs does not block the exit.
const SHUTDOWN_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed claim.
const BACKOFF: Duration = Duration::from_secs(2);

/// Queue, storage and settings of a worker.
pub struct Context {
    /// The queue.
    pub broker: Arc<dyn Broker>,
    /// Uploads and results.
    pub store: Store,
    /// Settings.
    pub config: Config,
}

/// Two engine threads did not react to a stop: the process has to be restarted.
#[derive(Debug, thiserror::Error)]
#[error("two engine threads do not react; the process has to be restarted")]
pub struct EngineStuck;

/// Runs jobs with `equipment` until `shutdown`; then the running job gets its grace period, or goes back to the queue.
///
/// # Errors
/// [`EngineStuck`]. Failures of jobs, the queue or the storage do not end a worker, nor does a lack of threads.
pub async fn run(context: Context, equipment: Equipment, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (remote, own): (Vec<_>, Vec<_>) =
        equipment.engines.available().into_iter().partition(|entry| entry.name.traits().remote && entry.state.is_ok());
    if remote.is_empty() || own.iter().all(|entry| entry.state.is_err()) {
        let all = if remote.is_empty() { own } else { remote };
        let info = worker_info(&all);
        return run_lane(context, &equipment, all, info, shutdown).await;
    }
    // A remote engine computes elsewhere: its jobs must not block the engines of this machine.
    let mut config = context.config.clone();
    // The memory of the process grows mostly because of the other lane.
    config.limits.memory = None;
    let beside = Context { broker: Arc::clone(&context.broker), store: context.store.clone(), config };
    // Routing depends on the announced workers: both lanes are announced before either claims a job.
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

/// The announcement of a worker with these engines.
fn worker_info(available: &[Availability]) -> WorkerInfo {
    let engines = available.iter().filter_map(|entry| entry.state.clone().ok()).collect();
    WorkerInfo { id: worker_id(), engines, job: None, seen_at: OffsetDateTime::now_utc(), paused: None }
}

/// Runs jobs with the engines in `available`.
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
    match timeout(SHUTDOWN_ANSWER_TIMEOUT, worker.context.broker.retire(&worker.info.id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(error = error_chain(&error), "the worker could not sign off; its announcement will expire");
        }
        Err(_) => tracing::debug!("the queue does not respond; the announcement of the worker will expire"),
    }
    result
}

/// Returns once the queue has failed to respond for too long after a shutdown.
async fn unanswered(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(CLAIM_WAIT + SHUTDOWN_ANSWER_TIMEOUT).await;
}

type StartRunner = Box<dyn Fn() -> io::Result<Runner> + Send + Sync>;

struct Worker {
    context: Context,
    info: WorkerInfo,
    runner: Runner,
    /// Starts a new engine thread.
    start: StartRunner,
    /// Engine threads that did not react to a stop.
    abandoned: Vec<JoinHandle<()>>,
    outages: Outages,
    held: HeldJobs,
    activity: watch::Sender<Activity>,
}

/// The jobs that are given back later.
struct HeldJobs {
    jobs: JoinSet<()>,
    /// Cancelled at shutdown, when they go back at once.
    until: CancellationToken,
}

impl HeldJobs {
    fn add(&mut self, held: HeldJob, broker: Arc<dyn Broker>) {
        while self.jobs.try_join_next().is_some() {}
        self.jobs.spawn(held.keep(broker, self.until.clone()));
    }

    async fn release(&mut self) {
        self.until.cancel();
        let all = async { while self.jobs.join_next().await.is_some() {} };
        if timeout(GIVE_BACK_TIMEOUT, all).await.is_err() {
            tracing::warn!("the queue does not respond; the leases of the held jobs will expire");
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
                    tracing::error!("the queue does not respond; exiting without it");
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
            tracing::error!(cause = panic_text(panic.as_ref()), "ending a job panicked; its lease will expire");
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

    /// Waits until the storage works again.
    async fn pause(&self, fault: &Fault, shutdown: &CancellationToken) {
        tracing::error!(reason = fault.reason, "the worker pauses until the storage works again");
        self.activity.send_modify(|activity| activity.paused = Some(fault.reason.clone()));
        let works = async {
            loop {
                sleep(self.outages.next_pause()).await;
                match self.outages.check_storage(fault, &self.context.store).await {
                    Ok(()) => return,
                    Err(why) => tracing::debug!(why, "the storage does not work yet"),
                }
            }
        };
        tokio::select! {
            () = works => tracing::info!("the storage works again; the worker resumes"),
            () = shutdown.cancelled() => {}
        }
        self.activity.send_modify(|activity| activity.paused = None);
    }

    /// Replaces a stuck engine thread. Threads cannot be killed, so one may be left behind, which costs the memory of a
    /// job and at most one core; a second one ends the process, for its supervisor to restart.
    async fn replace_runner(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        self.abandoned.retain(|thread| !thread.is_finished());
        if !self.abandoned.is_empty() {
            return Err(EngineStuck.into());
        }
        tracing::error!("the engine does not react to a stop; replacing its thread");
        if let Some(runner) = start_runner(&self.start, &self.outages, &self.activity, shutdown).await {
            self.abandoned.push(std::mem::replace(&mut self.runner, runner).abandon());
        }
        Ok(())
    }
}

/// Starts the engine thread, retrying until it succeeds; `None` at shutdown.
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
                format!("the engine thread cannot be started: {error}; check the limits of the process (ulimit -u)");
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
