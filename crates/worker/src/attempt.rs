//! One attempt at one job, from the claim to its end.

mod end;
mod files;
mod past;

use std::sync::Arc;
use std::time::{Duration, Instant};

use image::RgbaImage;
use jobs::broker::Lease;
use jobs::{Broker, EngineChoice, EventKind, FailureCode, Job, Progress, Store};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::end::Hold;
use service::error_chain;

use crate::analysis::{Analyzer, AnalyzerChoice};
use crate::config::Config;
use crate::engine::Step;
use crate::engines::{Availability, Choice, after_failure, choose, device_of};
use crate::fault::{Broken, Fault};
use crate::follow::{ENGINE_SHARE, Reports, run_engine};
use crate::host::{Host, HostError, Made, Work};
use crate::outage::Outages;
use crate::panics::caught;
use crate::progress::Meter;
use crate::result::ResultJob;
use crate::stop::Stop;
use crate::watch::{self, heed};

/// A queue that does not answer must not hold up the watch over the engine.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);

/// What an attempt needs from its worker.
pub(crate) struct Attempt<'a> {
    pub(crate) broker: &'a Arc<dyn Broker>,
    pub(crate) store: &'a Store,
    pub(crate) config: &'a Config,
    pub(crate) available: &'a [Availability],
    pub(crate) host: &'a Host,
    pub(crate) analyzer: &'a Analyzer,
    pub(crate) outages: &'a Outages,
    pub(crate) lease: Lease,
    pub(crate) job: Job,
    pub(crate) stop: Stop,
}

/// How an attempt ended, for the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For metrics and the log.
    pub(crate) outcome: &'static str,
    /// The engine thread did not come back.
    pub(crate) stuck: bool,
    pub(crate) after: After,
}

/// What the worker has to do before its next job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// Wait until what failed works again.
    Pause(Fault),
    /// Give the job back after a while; others can be worked on meanwhile.
    Hold(Hold),
}

impl Ended {
    pub(crate) fn new(outcome: &'static str) -> Self {
        Self { outcome, stuck: false, after: After::Nothing }
    }
}

impl Attempt<'_> {
    /// Works on the job until it is over, given back or lost.
    pub(crate) async fn run(self, shutdown: &CancellationToken) -> Ended {
        let mut watchers = JoinSet::new();
        let stop = &self.stop;
        let heartbeat = self.config.heartbeat;
        watchers.spawn(watch::lease(Arc::clone(self.broker), self.lease.clone(), heartbeat, stop.clone()));
        watchers.spawn(watch::deadline(self.config.job_timeout, stop.clone()));
        watchers.spawn(watch::memory(self.config.job_memory_limit, stop.clone()));
        watchers.spawn(watch::shutdown(shutdown.clone(), self.config.shutdown_grace, stop.clone()));
        let result = match caught(self.make_result()).await {
            Ok(result) => result,
            Err(panic) => Err(Broken::panicked("the worker", panic.as_ref())),
        };
        // The lease is still renewed while the end is told.
        let ended = self.conclude(result).await;
        if !ended.stuck && ["succeeded", "failed", "cancelled"].contains(&ended.outcome) {
            self.host.settle(Some(self.job.id)).await;
        }
        ended
    }

    /// Publishes the job's result and answers with its number of layers.
    async fn make_result(&self) -> Result<u32, Broken> {
        // An attempt before this one may have died between publishing and saying so.
        if let Some(layers) = self.published_before().await? {
            return Ok(layers);
        }
        let mut choice = choose(self.job.params.engine, self.available).map_err(Broken::Job)?;
        choice.reason = self.reason(choice.engine, choice.reason).await;
        self.started(&choice).await;
        let (input, input_info) = self.load_input().await?;
        self.go_on()?;
        let mut meter = Meter::new(Instant::now());
        let made = loop {
            let work = Work {
                job_id: Some(self.job.id),
                engine: choice.engine,
                input: Arc::clone(&input),
                params: self.job.params.clone(),
                describe: self.config.analyzer.choice == AnalyzerChoice::Local,
                memory_limit: self.config.job_memory_limit,
                stop: self.stop.clone(),
                resumed: self.may_have_begun(choice.engine).await,
            };
            let failure = match self.run_engine(work, &mut meter).await {
                Err(Broken::Job(failure)) => failure,
                ended => break ended?,
            };
            let next = after_failure(self.job.params.engine, choice.engine, &failure);
            choice = next.ok_or(Broken::Job(failure))?;
            tracing::warn!(engine = %choice.engine, reason = choice.reason, "another engine takes the job");
            self.started(&choice).await;
        };
        let made = self.described(made, &input, &mut meter).await;
        let result =
            ResultJob { job_id: Some(self.job.id), input_info, params: self.job.params.clone(), reason: choice.reason };
        let (staging, layers) = self.write(result, input, made, &mut meter).await?;
        self.publish(staging, layers).await
    }

    async fn started(&self, choice: &Choice) {
        let started = EventKind::Started {
            worker: self.lease.worker_id.clone(),
            attempt: self.lease.attempt,
            engine: choice.engine,
            reason: choice.reason.clone(),
        };
        self.record(started).await;
    }

    async fn run_engine(&self, work: Work, meter: &mut Meter) -> Result<Made, Broken> {
        let (engine, device) = (work.engine, device_of(work.engine, self.available));
        let running = run_engine(self.host, work, &device, self.config.stall_timeout, meter, self);
        match self.unless_stuck(running).await.ok_or(Broken::Stuck)? {
            Ok(made) => Ok(made),
            // It was there when the worker started: weights on a disk that fails look like none at all.
            Err(HostError::Failed(failure)) if failure.code == FailureCode::EngineUnavailable && self.has(engine) => {
                Err(Broken::Environment(Fault::engine_gone(failure)))
            }
            Err(HostError::Failed(failure)) => Err(Broken::Job(failure)),
            Err(HostError::Environment(fault)) => Err(Broken::Environment(fault)),
            Err(HostError::Stopped) => Err(Broken::Stopped),
        }
    }

    fn has(&self, engine: EngineChoice) -> bool {
        self.available.iter().any(|entry| entry.name == engine && entry.state.is_ok())
    }

    /// What was made, with what the analyzer says of it.
    async fn described(&self, made: Made, input: &Arc<RgbaImage>, meter: &mut Meter) -> Made {
        if self.analyzer.calls_out() {
            let step = Step { stage: "describe", step: 0, total: 1, fraction: ENGINE_SHARE };
            for progress in meter.step(step, Instant::now()) {
                self.record(EventKind::Progress(progress)).await;
            }
        }
        self.analyzer.look(made, input, &self.stop).await
    }

    /// Adds an event. One that the queue does not take is not worth failing the job for.
    async fn record(&self, kind: EventKind) {
        match timeout(RECORD_TIMEOUT, self.broker.record(&self.lease, kind)).await {
            Ok(Ok(standing)) => heed(standing, &self.stop),
            Ok(Err(error)) => tracing::debug!(error = error_chain(&error), "an event could not be recorded"),
            Err(_) => tracing::debug!("the queue did not answer in time; an event may be missing"),
        }
    }

    fn go_on(&self) -> Result<(), Broken> {
        if self.stop.reason().is_some() { Err(Broken::Stopped) } else { Ok(()) }
    }

    /// `None` when a stop was raised and `work` did not end within the grace period.
    async fn unless_stuck<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let patience = async {
            self.stop.raised().await;
            sleep(self.config.engine_stop_grace).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = patience => None,
        }
    }
}

impl Reports for Attempt<'_> {
    async fn report(&self, progress: Progress) {
        self.record(EventKind::Progress(progress)).await;
    }

    async fn note(&self, message: String) {
        self.record(EventKind::Note { message }).await;
    }
}

fn count(layers: usize) -> u32 {
    u32::try_from(layers).unwrap_or(u32::MAX)
}
