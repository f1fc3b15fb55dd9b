//! One attempt at one job, from the claim to its end.

mod past;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::broker::{Lease, Outcome, Standing};
use jobs::store::{Published, Staging, StoreError};
use jobs::{Broker, BrokerError, EventKind, Failure, FailureCode, Job, Progress, Store};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::analysis::{Analyzer, AnalyzerChoice};
use crate::config::Config;
use crate::engine::Step;
use crate::engines::{Availability, Choice, after_failure, choose, device_of};
use crate::follow::{ENGINE_SHARE, Reports, follow, run_engine, saving};
use crate::host::{Host, HostError, Made, Work};
use crate::memory::human_bytes;
use crate::progress::Meter;
use crate::result::{self, ResultJob, chain};
use crate::stop::{Stop, StopReason};
use crate::watch::{self, heed};

/// A queue that does not answer must not hold up the watch over the engine.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);

/// How often, and how long apart at most, the end of a job is told to a queue that fails.
const FINISH_TRIES: u32 = 6;
const FINISH_PAUSE: Duration = Duration::from_millis(500);

/// What an attempt needs from its worker.
pub(crate) struct Attempt<'a> {
    pub(crate) broker: &'a Arc<dyn Broker>,
    pub(crate) store: &'a Store,
    pub(crate) config: &'a Config,
    pub(crate) available: &'a [Availability],
    pub(crate) host: &'a Host,
    pub(crate) analyzer: &'a Analyzer,
    pub(crate) lease: Lease,
    pub(crate) job: Job,
    pub(crate) stop: Stop,
}

/// How an attempt ended, for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For metrics and the log.
    pub(crate) outcome: &'static str,
    /// The engine thread did not come back.
    pub(crate) stuck: bool,
}

/// Why an attempt made no result.
enum Broken {
    Failed(Failure),
    /// The stop was raised, and its reason says what to do.
    Stopped,
    /// The stop was raised and the engine does not react.
    Stuck,
}

impl Broken {
    fn failed(code: FailureCode, message: String) -> Self {
        Self::Failed(Failure { code, message })
    }

    fn storage(error: &StoreError) -> Self {
        let message = format!("{}; check the disk of STORAGE and its free space, then try again", chain(error));
        Self::failed(FailureCode::StorageFailed, message)
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
        let result = self.make_result().await;
        let stuck = matches!(result, Err(Broken::Stuck));
        // The lease is still renewed while the end is told.
        let outcome = self.conclude(result).await;
        if !stuck && ["succeeded", "failed", "cancelled"].contains(&outcome) {
            self.host.settle(Some(self.job.id)).await;
        }
        Ended { outcome, stuck }
    }

    /// Publishes the job's result and answers with its number of layers.
    async fn make_result(&self) -> Result<u32, Broken> {
        // An attempt before this one may have died between publishing and saying so.
        if let Some(metadata) = self.store.metadata(self.job.id).await.map_err(|e| Broken::storage(&e))? {
            return Ok(count(metadata.layers.len()));
        }
        let mut choice = choose(self.job.params.engine, self.available).map_err(Broken::Failed)?;
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
                Err(Broken::Failed(failure)) => failure,
                ended => break ended?,
            };
            let next = after_failure(self.job.params.engine, choice.engine, &failure);
            choice = next.ok_or(Broken::Failed(failure))?;
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

    async fn load_input(&self) -> Result<(Arc<RgbaImage>, jobs::InputInfo), Broken> {
        let gone = || {
            let message = "the uploaded picture is no longer there; upload it again".to_owned();
            Broken::failed(FailureCode::InputGone, message)
        };
        let upload_id = self.job.upload_id;
        let upload = self.store.upload(upload_id).await.map_err(|e| Broken::storage(&e))?.ok_or_else(gone)?;
        let png = self.store.upload_png(upload_id).await.map_err(|e| Broken::storage(&e))?.ok_or_else(gone)?;
        let decoded = spawn_blocking(move || decode_stored(&png)).await;
        let pixels = decoded.map_err(io::Error::other).flatten().map_err(|error| {
            let message = format!("the stored picture cannot be read ({error}); upload it again");
            Broken::failed(FailureCode::InputGone, message)
        })?;
        Ok((Arc::new(pixels), upload.input))
    }

    async fn run_engine(&self, work: Work, meter: &mut Meter) -> Result<Made, Broken> {
        let device = device_of(work.engine, self.available);
        let running = run_engine(self.host, work, &device, self.config.stall_timeout, meter, self);
        match self.unless_stuck(running).await.ok_or(Broken::Stuck)? {
            Ok(made) => Ok(made),
            Err(HostError::Failed(failure)) => Err(Broken::Failed(failure)),
            Err(HostError::Stopped) => Err(Broken::Stopped),
        }
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

    async fn write(
        &self,
        job: ResultJob,
        input: Arc<RgbaImage>,
        made: Made,
        meter: &mut Meter,
    ) -> Result<(Staging, u32), Broken> {
        let staging = self.store.stage(self.job.id).map_err(|e| Broken::storage(&e))?;
        let (sender, mut steps) = mpsc::unbounded_channel();
        let stop = self.stop.clone();
        let writing = spawn_blocking(move || {
            let mut on_step = saving(&stop, &sender);
            let metadata = result::write(staging.dir(), job, &input, made, &mut on_step)?;
            Ok((staging, count(metadata.layers.len())))
        });
        let written = self.unless_stuck(follow(&mut steps, writing, meter, |step| step, self)).await;
        // The engine thread is fine here: a disk that hangs is the storage's failure.
        let unresponsive = || io::Error::new(io::ErrorKind::TimedOut, "it does not respond");
        let written = written.ok_or_else(unresponsive).and_then(|joined| joined.map_err(io::Error::other));
        written.flatten().map_err(|error| {
            if self.stop.reason().is_some() {
                return Broken::Stopped;
            }
            Broken::storage(&StoreError::Io { what: "writing the result".to_owned(), source: error })
        })
    }

    /// Rename first, then say so in the queue: a crash between the two leaves a
    /// result that the next attempt finds, never a success without a result.
    async fn publish(&self, staging: Staging, layers: u32) -> Result<u32, Broken> {
        if let Ok(standing) = self.broker.heartbeat(&self.lease).await {
            heed(standing, &self.stop);
        }
        // A finished result beats a time limit or a shutdown, but not a cancel or another worker.
        if matches!(self.stop.reason(), Some(StopReason::Cancelled | StopReason::Lost)) {
            return Err(Broken::Stopped);
        }
        match self.store.publish(staging).await.map_err(|e| Broken::storage(&e))? {
            Published::Now => Ok(layers),
            Published::Before => {
                let earlier = self.store.metadata(self.job.id).await.map_err(|e| Broken::storage(&e))?;
                Ok(earlier.map_or(layers, |metadata| count(metadata.layers.len())))
            }
        }
    }

    /// Tells the queue how the attempt ended; answers with a word for metrics.
    async fn conclude(&self, result: Result<u32, Broken>) -> &'static str {
        let outcome = match result {
            Ok(layers) => Outcome::Succeeded { layers },
            Err(Broken::Failed(failure)) => Outcome::Failed(failure),
            Err(Broken::Stopped | Broken::Stuck) => match self.after_stop() {
                Some(outcome) => outcome,
                None => return self.let_go().await,
            },
        };
        let (word, level) = match &outcome {
            Outcome::Succeeded { .. } => ("succeeded", None),
            Outcome::Cancelled => ("cancelled", None),
            Outcome::Failed(failure) => ("failed", Some(failure.clone())),
        };
        match self.persist(|| self.broker.finish(&self.lease, outcome.clone())).await {
            Ok(Standing::Held { .. }) => {
                match level {
                    Some(failure) => tracing::warn!(code = ?failure.code, message = failure.message, "job failed"),
                    None => tracing::info!("job {word}"),
                }
                word
            }
            Ok(Standing::Lost) => {
                tracing::warn!("another worker has the job; this attempt's end was not recorded");
                "lost"
            }
            Err(error) => {
                // The lease runs out, another attempt finds the published result.
                tracing::error!(error = chain(&error), "the end of the job could not be recorded");
                "unrecorded"
            }
        }
    }

    /// The outcome that a stop means; `None` when the job is not ours to end.
    fn after_stop(&self) -> Option<Outcome> {
        let failed = |code, message| Some(Outcome::Failed(Failure { code, message }));
        match self.stop.reason()? {
            StopReason::Lost | StopReason::ShuttingDown => None,
            StopReason::Cancelled => Some(Outcome::Cancelled),
            StopReason::TimedOut { limit_s } => failed(
                FailureCode::TimedOut,
                format!("the job ran longer than {limit_s} s; raise JOB_TIMEOUT_S or use a smaller picture"),
            ),
            StopReason::Stalled { message } => failed(FailureCode::TimedOut, message.clone()),
            StopReason::OutOfMemory { used, limit } => failed(
                FailureCode::OutOfMemory,
                format!(
                    "the job took {} of memory, {} are allowed; use a smaller picture or raise JOB_MEMORY_LIMIT",
                    human_bytes(*used),
                    human_bytes(*limit)
                ),
            ),
        }
    }

    /// Gives the job back at a shutdown; drops it when it is lost.
    async fn let_go(&self) -> &'static str {
        match self.stop.reason() {
            Some(StopReason::Lost) => {
                tracing::warn!("the lease was lost; the attempt was dropped");
                return "lost";
            }
            Some(_) => {}
            None => {
                let message = "the engine stopped by itself; this is a bug, please report it".to_owned();
                let outcome = Outcome::Failed(Failure { code: FailureCode::EngineFailed, message });
                let _ = self.persist(|| self.broker.finish(&self.lease, outcome.clone())).await;
                return "failed";
            }
        }
        match self.persist(|| self.broker.release(&self.lease, "the worker shut down")).await {
            Ok(standing) => tracing::info!(?standing, "job given back to the queue"),
            Err(error) => tracing::error!(error = chain(&error), "the job could not be given back; its lease runs out"),
        }
        "released"
    }

    /// Tries again when the queue fails for a moment.
    async fn persist<F, Fut>(&self, call: F) -> Result<Standing, BrokerError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Standing, BrokerError>>,
    {
        let mut pause = FINISH_PAUSE;
        for _ in 1..FINISH_TRIES {
            match call().await {
                Ok(standing) => return Ok(standing),
                Err(error) => tracing::warn!(error = chain(&error), "the queue failed; trying again"),
            }
            sleep(pause).await;
            pause *= 2;
        }
        call().await
    }

    /// Adds an event. One that the queue does not take is not worth failing the job for.
    async fn record(&self, kind: EventKind) {
        match timeout(RECORD_TIMEOUT, self.broker.record(&self.lease, kind)).await {
            Ok(Ok(standing)) => heed(standing, &self.stop),
            Ok(Err(error)) => tracing::debug!(error = chain(&error), "an event could not be recorded"),
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

fn decode_stored(png: &[u8]) -> io::Result<RgbaImage> {
    // Our own file, checked when it was uploaded: no limits but the ones it met then.
    let mut reader = ImageReader::with_format(io::Cursor::new(png), ImageFormat::Png);
    reader.no_limits();
    reader.decode().map(image::DynamicImage::into_rgba8).map_err(io::Error::other)
}

fn count(layers: usize) -> u32 {
    u32::try_from(layers).unwrap_or(u32::MAX)
}
