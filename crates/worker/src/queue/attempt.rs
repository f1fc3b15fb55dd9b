//! One attempt at one job, from the claim to its end.

mod end;
mod files;
mod history;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use engine::{Choice, EngineName, Message, Stop};
use jobs::broker::Lease;
use jobs::{Broker, EventKind, Job, Progress, Store};
use service::error_chain;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(super) use self::outcome::{AttemptEnd, HeldJob, NextStep};
use super::heartbeat;
use super::outage::Outages;
use crate::run::{Reporter, RunError, RunJob, Runner, catch_panic};
use crate::write::ResultJob;

/// A queue that does not respond must not block the watchers of the engine.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt at a job.
pub(super) struct Attempt<'a> {
    pub(super) broker: &'a Arc<dyn Broker>,
    pub(super) store: &'a Store,
    pub(super) shutdown_grace: Duration,
    pub(super) runner: &'a Runner,
    pub(super) outages: &'a Outages,
    pub(super) lease: Lease,
    pub(super) job: Job,
    pub(super) stop: Stop,
}

impl Attempt<'_> {
    /// Runs the job until it is over, given back or lost.
    pub(super) async fn run(self, shutdown: &CancellationToken) -> NextStep {
        let mut watchers = self.runner.watch(&self.stop);
        watchers.add(heartbeat::renew(Arc::clone(self.broker), self.lease.clone(), self.stop.clone()));
        watchers.add(heartbeat::stop_at_shutdown(shutdown.clone(), self.shutdown_grace, self.stop.clone()));
        let result = match catch_panic(self.make_result()).await {
            Ok(result) => result,
            Err(panic) => Err(RunError::panicked("the worker", panic.as_ref())),
        };
        // The lease is still renewed while the end is recorded.
        let next = self.conclude(result).await;
        if !next.is_stuck && next.end.is_final() {
            self.runner.job_ended().await;
        }
        next
    }

    /// Computes and publishes the result; returns its number of layers.
    async fn make_result(&self) -> Result<u32, RunError> {
        // An earlier attempt may have died between publishing and recording the outcome.
        if let Some(layers) = self.published_before().await? {
            return Ok(layers);
        }
        let mut choice = self.runner.choose(self.job.params.engine).map_err(RunError::Failed)?;
        choice.reason = self.explain_routing(choice.engine, choice.reason).await;
        self.engine_changed(&choice).await;
        let (input, input_info) = self.load_input().await?;
        if self.stop.reason().is_some() {
            return Err(RunError::Stopped);
        }
        let params = self.job.params.clone();
        let of = input_info.parent.as_ref().and_then(|parent| parent.kind);
        let job = RunJob { job_id: Some(self.job.id), input: Arc::clone(&input), params, of, describe: false };
        let mut run = self.runner.begin(&self.stop, self);
        let made = run.compute(&job, choice).await?;
        let result = ResultJob { job_id: job.job_id, input_info, params: job.params };
        let (staging, layers) = self.write(&mut run, result, input, made).await?;
        self.publish(staging, layers).await
    }

    /// Records an event. A failure to do so does not fail the job.
    async fn record(&self, kind: EventKind) {
        match timeout(RECORD_TIMEOUT, self.broker.record(&self.lease, kind)).await {
            Ok(Ok(standing)) => heartbeat::apply_standing(standing, &self.stop),
            Ok(Err(error)) => tracing::debug!(error = error_chain(&error), "an event could not be recorded"),
            Err(_) => tracing::debug!("the queue did not respond in time; an event may be missing"),
        }
    }
}

impl Reporter for Attempt<'_> {
    async fn progress(&self, progress: Progress) {
        self.record(EventKind::Progress(progress)).await;
    }

    async fn note(&self, note: Message) {
        self.record(note.into()).await;
    }

    async fn engine_changed(&self, choice: &Choice) {
        let Message { text, code, data } = choice.reason.clone();
        let started = EventKind::Started {
            worker: self.lease.worker_id.clone(),
            attempt: self.lease.attempt,
            engine: choice.engine,
            reason: text,
            reason_code: code,
            reason_data: data,
        };
        self.record(started).await;
    }

    async fn may_be_running(&self, engine: EngineName) -> bool {
        self.was_begun_before(engine).await
    }
}

fn count(layers: usize) -> u32 {
    u32::try_from(layers).unwrap_or(u32::MAX)
}
