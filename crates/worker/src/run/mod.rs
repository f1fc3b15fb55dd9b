//! Runs one job, wherever it comes from: the queue, the command line, or the HTTP server of a container.
//!
//! A [`Runner`] chooses an engine, runs it on the engine thread, watches for stalls, falls back to another engine or
//! stops, has the layers described, and writes the result. Where the job comes from and where its result goes is up to
//! the caller, which follows the run through a [`Reporter`].

mod activity;
mod error;
mod eta;
mod input;
mod panics;
mod stall;
mod thread;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use engine::{
    Availability, Choice, EngineChoice, EngineChooser, EngineName, EngineRun, Failure, FailureCode, Message, Origin,
    Stage, Step, Stop, StopReason,
};
use image::RgbaImage;
use jobs::Progress;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, sleep_until};

pub use self::error::{Fault, RunError, failure_of};
pub(crate) use self::error::{Operation, is_environment, panic_text};
use self::eta::Meter;
pub use self::input::RunJob;
pub(crate) use self::panics::catch_panic;
use self::stall::StallWatch;
pub(crate) use self::thread::EngineThread;
use self::thread::{EngineTask, Update};
pub use self::watch::Watchers;
use crate::config::{Config, RunLimits};
use crate::describe::Describer;
use crate::equipment::Equipment;
use crate::write::{self, ResultJob, WordFinder};
use jobs::Typefaces;

/// The engine's share of the progress; the rest is for upscaling and writing the layers.
const ENGINE_SHARE: f32 = 0.95;

/// Receives the events of a run.
pub trait Reporter: Sync {
    /// Progress and remaining time.
    fn progress(&self, progress: Progress) -> impl Future<Output = ()> + Send;

    /// Information other than progress.
    fn note(&self, note: Message) -> impl Future<Output = ()> + Send;

    /// Another engine takes over the job.
    fn engine_changed(&self, choice: &Choice) -> impl Future<Output = ()> + Send;

    /// Whether an earlier attempt may have left a run of `engine` behind. Asked for resumable engines only.
    fn may_be_running(&self, _engine: EngineName) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }
}

/// Runs jobs on the engines of this process, one at a time.
pub struct Runner {
    thread: EngineThread,
    available: Vec<Availability>,
    describer: Arc<Describer>,
    typefaces: Arc<Typefaces>,
    limits: RunLimits,
}

impl Runner {
    /// Starts the engine thread. `available` are the engines of `equipment` to choose from.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(equipment: &Equipment, available: Vec<Availability>, config: &Config) -> io::Result<Self> {
        let Equipment { engines, describer, typefaces } = equipment.clone();
        Ok(Self { thread: EngineThread::start(engines)?, available, describer, typefaces, limits: config.limits })
    }

    /// Chooses the engine for a job.
    ///
    /// # Errors
    /// When this machine does not have it.
    pub fn choose(&self, wanted: EngineChoice) -> Result<Choice, Failure> {
        EngineChooser(&self.available).choose(wanted)
    }

    /// Watches the limits on time and memory, which raise `stop`, until the returned value is dropped.
    pub fn watch(&self, stop: &Stop) -> Watchers {
        Watchers::start(&self.limits, stop)
    }

    /// Begins a run. Raising `stop` ends it.
    pub fn begin<'a, R: Reporter>(&'a self, stop: &'a Stop, reporter: &'a R) -> Run<'a, R> {
        Run { runner: self, stop, reporter, meter: Meter::new(Instant::now()) }
    }

    /// Has the engines free what they kept for the last job, and waits for that.
    pub async fn job_ended(&self) {
        self.thread.job_ended().await;
    }

    /// Waits for `work`, but no longer than the grace period once `stop` is raised.
    ///
    /// # Errors
    /// [`RunError::Stuck`] when the grace period is over.
    pub(crate) async fn unless_stuck<T>(&self, stop: &Stop, work: impl Future<Output = T>) -> Result<T, RunError> {
        let grace = async {
            stop.raised().await;
            sleep(self.limits.stop_grace).await;
        };
        tokio::select! {
            done = work => Ok(done),
            () = grace => Err(RunError::Stuck),
        }
    }

    /// Abandons the engine thread, which ends when its engine returns.
    pub(crate) fn abandon(self) -> std::thread::JoinHandle<()> {
        self.thread.abandon()
    }
}

/// A run: first [`Run::compute`], then, in this crate, `Run::write`.
pub struct Run<'a, R> {
    runner: &'a Runner,
    stop: &'a Stop,
    reporter: &'a R,
    meter: Meter,
}

impl<R: Reporter> Run<'_, R> {
    /// Computes the layers with the chosen engine, or with the one that takes over from it, and has them described.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn compute(&mut self, job: &RunJob, mut choice: Choice) -> Result<EngineRun, RunError> {
        loop {
            let failure = match self.run_engine(job, &choice).await {
                Ok(run) => return Ok(self.describe(run, &job.input).await),
                Err(RunError::Failed(failure)) => failure,
                Err(error) => return Err(error),
            };
            let chooser = EngineChooser(&self.runner.available);
            let next = chooser.after_failure(job.params.engine, choice.engine, &failure);
            choice = next.ok_or(RunError::Failed(failure))?;
            tracing::warn!(engine = %choice.engine, reason = %choice.reason, "falling back to another engine");
            self.reporter.engine_changed(&choice).await;
        }
    }

    async fn run_engine(&mut self, job: &RunJob, choice: &Choice) -> Result<EngineRun, RunError> {
        let Self { runner, stop, reporter, .. } = *self;
        let engine = choice.engine;
        let chooser = EngineChooser(&runner.available);
        let (device, traits) = (chooser.device(engine), engine.traits());
        let resumed = traits.resumable && reporter.may_be_running(engine).await;
        let task = EngineTask {
            engine,
            job: RunJob { describe: job.describe || runner.describer.is_engine(), ..job.clone() },
            origin: Origin { job_id: job.job_id, resumed },
            reason: choice.reason.clone(),
            memory_limit: runner.limits.memory,
            stop: stop.clone(),
        };
        let watch = StallWatch::new(engine, runner.limits.stall, Instant::now());
        let (mut updates, running) = runner.thread.run(task);
        let engine_share = |step: Step| {
            watch.step(step, Instant::now());
            Step { fraction: step.fraction * ENGINE_SHARE, ..step }
        };
        let following = self.follow(&mut updates, running.ended(), engine_share);
        let watched = async {
            if traits.remote {
                // A remote engine may start slowly, and each call to it has a time limit.
                return following.await;
            }
            tokio::select! {
                ended = following => ended,
                never = watch.run(device, stop, |note| reporter.note(note)) => match never {},
            }
        };
        match runner.unless_stuck(stop, watched).await? {
            // It was available when the worker started: weights on a failing disk look like missing ones.
            Err(RunError::Failed(failure)) if failure.code == FailureCode::EngineUnavailable && chooser.has(engine) => {
                Err(RunError::Environment(Fault::engine_gone(failure)))
            }
            ended => ended,
        }
    }

    async fn describe(&mut self, run: EngineRun, input: &Arc<RgbaImage>) -> EngineRun {
        if self.runner.describer.calls_out() {
            let step = Step { stage: Stage::Describe, step: 0, total: 1, fraction: ENGINE_SHARE };
            for progress in self.meter.step(step, Instant::now()) {
                self.reporter.progress(progress).await;
            }
        }
        self.runner.describer.describe(run, input, self.stop).await
    }

    /// Writes the result into the folder `dir`, then calls `finish` with its metadata, both on a blocking thread. A
    /// cancelled or lost job ends the writing; a time limit does not, since the result is nearly complete.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub(crate) async fn write<T: Send + 'static>(
        &mut self,
        dir: PathBuf,
        job: ResultJob,
        input: Arc<RgbaImage>,
        run: EngineRun,
        finish: impl FnOnce(jobs::Metadata) -> io::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (sender, mut updates) = mpsc::unbounded_channel();
        let stop = self.stop.clone();
        let typefaces = Arc::clone(&self.runner.typefaces);
        let writing = spawn_blocking(move || {
            let mut on_step = |step: Step| {
                let fraction = ENGINE_SHARE + (1.0 - ENGINE_SHARE) * step.fraction;
                // The receiver is gone if the attempt was abandoned; the stop below ends the writing.
                let _ = sender.send(Update::Step(Step { fraction, ..step }));
                if is_unwanted(&stop) { Err(io::Error::other("stopped")) } else { Ok(()) }
            };
            let finder = WordFinder { typefaces: &typefaces, stop: &stop };
            write::write(&dir, job, &input, run, &finder, &mut on_step).and_then(finish)
        });
        let (runner, stop) = (self.runner, self.stop);
        let followed = self.follow(&mut updates, writing, |step| step);
        let Ok(joined) = runner.unless_stuck(stop, followed).await else { return Err(WriteError::Stuck) };
        match joined {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) if is_unwanted(stop) => Err(WriteError::Run(RunError::Stopped)),
            Ok(Err(error)) => Err(WriteError::Io(error)),
            Err(error) => Err(WriteError::Run(RunError::joined("writing the result", error))),
        }
    }

    /// Reports the steps of `work` until it is done.
    async fn follow<T>(
        &mut self,
        updates: &mut mpsc::UnboundedReceiver<Update>,
        work: impl Future<Output = T>,
        map: impl Fn(Step) -> Step,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let due = self.meter.due().map(Into::into);
            let held_back = async move {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut work => {
                    while let Ok(update) = updates.try_recv() {
                        self.report(update, &map).await;
                    }
                    self.flush().await;
                    return done;
                }
                Some(update) = updates.recv() => self.report(update, &map).await,
                () = held_back => self.flush().await,
            }
        }
    }

    async fn report(&mut self, update: Update, map: &impl Fn(Step) -> Step) {
        match update {
            Update::Note(note) => self.reporter.note(note).await,
            Update::Step(step) => {
                for progress in self.meter.step(map(step), Instant::now()) {
                    self.reporter.progress(progress).await;
                }
            }
        }
    }

    async fn flush(&mut self) {
        if let Some(progress) = self.meter.flush(Instant::now()) {
            self.reporter.progress(progress).await;
        }
    }
}

/// Why a result was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The run was stopped, or the writer panicked.
    Run(RunError),
    /// The disk does not respond.
    Stuck,
    /// A file could not be written, or `finish` failed.
    Io(io::Error),
}

/// Whether nobody wants the result any more.
fn is_unwanted(stop: &Stop) -> bool {
    matches!(stop.reason(), Some(StopReason::Cancelled | StopReason::Lost))
}
