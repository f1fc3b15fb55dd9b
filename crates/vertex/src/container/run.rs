//! One job, from the call that brought it to its end.

use std::sync::Arc;

use ::jobs::{JobId, Progress};
use engine::{Choice, Failure, FailureCode, Message, Stop, StopReason};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use worker::run::{EngineRun, Reporter, RunError, RunJob, failure_of};

use super::choice;
use super::jobs::Shared;
use crate::protocol::{Blob, Outcome, RemoteLayer, RemoteResult};

/// Has the engine do the job, and remembers how it ended. Those who wait for it are told by the end of `progress`.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: JobId,
    job: RunJob,
    stop: Stop,
    progress: watch::Sender<Option<Progress>>,
) {
    tracing::info!(job_id = %id, "job begun");
    let outcome = {
        let _watchers = shared.runner.watch(&stop);
        let reporter = Channel { job_id: id, progress: &progress };
        let made = shared.runner.begin(&stop, &reporter).compute(&job, choice(shared.engine)).await;
        if matches!(made, Err(RunError::Stuck)) {
            shared.stuck.cancel();
        }
        outcome(made, &stop).await
    };
    shared.runner.job_ended().await;
    tracing::info!(job_id = %id, outcome = word(&outcome), "job ended");
    shared.close(id, outcome);
}

struct Channel<'a> {
    job_id: JobId,
    progress: &'a watch::Sender<Option<Progress>>,
}

impl Reporter for Channel<'_> {
    async fn progress(&self, progress: Progress) {
        self.progress.send_replace(Some(progress));
    }

    async fn note(&self, note: Message) {
        tracing::info!(job_id = %self.job_id, "{note}");
    }

    async fn engine_changed(&self, choice: &Choice) {
        tracing::warn!(job_id = %self.job_id, engine = %choice.engine, reason = %choice.reason, "another engine");
    }
}

async fn outcome(made: Result<EngineRun, RunError>, stop: &Stop) -> Outcome {
    let error = match made {
        Ok(run) => match spawn_blocking(move || encode(run)).await {
            Ok(Ok(result)) => return Outcome::Succeeded(Box::new(result)),
            Ok(Err(message)) => Failure { code: FailureCode::EngineFailed, message },
            Err(error) => Failure { code: FailureCode::EngineFailed, message: error.to_string() },
        },
        Err(RunError::Failed(failure)) => failure,
        Err(RunError::Environment(fault)) => fault.failure(1),
        Err(RunError::Stopped | RunError::Stuck) => match stop.reason().and_then(failure_of) {
            Some(failure) if matches!(stop.reason(), Some(StopReason::TimedOut { .. })) => {
                let message = format!("on Vertex AI, {} (a setting of the container)", failure.message);
                Failure { message, ..failure }
            }
            Some(failure) => failure,
            None => return Outcome::Cancelled,
        },
    };
    Outcome::Failed { error }
}

fn encode(run: EngineRun) -> Result<RemoteResult, String> {
    let EngineRun { output, offer, model_revision, .. } = run;
    let mut layers = Vec::new();
    for layer in output.stack.layers() {
        let mut png = Vec::new();
        layers::write_png(&mut png, &layer.pixels).map_err(|error| error.to_string())?;
        layers.push(RemoteLayer {
            name: layer.name.clone(),
            kind: layer.kind,
            text: layer.text.clone(),
            png: Blob::Inline(png),
        });
    }
    Ok(RemoteResult {
        width: output.stack.width(),
        height: output.stack.height(),
        layers,
        notes: output.notes,
        analysis: output.analysis,
        engine: offer.name,
        version: offer.version,
        model: offer.model,
        model_revision,
        device: offer.device,
    })
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running { .. } => "running",
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Unknown => "unknown",
    }
}
