//! Runs one job and converts its result.

use ::jobs::{JobId, Progress};
use engine::{Choice, EngineName, EngineRun, Failure, FailureCode, Message, MessageCode, Stop, StopReason};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use worker::run::{Reporter, RunError, RunJob, Runner, failure_of};

use crate::protocol::{Blob, Outcome, RemoteLayer, RemoteResult};

/// The one engine of a container.
pub(super) fn choice(engine: EngineName) -> Choice {
    Choice { engine, reason: Message::new(MessageCode::AskedFor, "the engine of this container") }
}

/// Runs the job on the engine; `None` if the engine is stuck.
pub(super) async fn run(
    runner: &Runner,
    engine: EngineName,
    id: JobId,
    job: &RunJob,
    stop: &Stop,
    progress: &watch::Sender<Option<Progress>>,
) -> Option<Outcome> {
    tracing::info!(job_id = %id, "job started");
    let _watchers = runner.watch(stop);
    let reporter = ChannelReporter { job_id: id, progress };
    let made = runner.begin(stop, &reporter).compute(job, choice(engine)).await;
    let outcome = match made {
        Ok(run) => encoded(run).await,
        Err(RunError::Failed(error)) => Outcome::Failed { error },
        Err(RunError::Environment(fault)) => Outcome::Failed { error: fault.failure(1) },
        Err(RunError::Stopped) => stop_outcome(stop),
        Err(RunError::Stuck) => return None,
    };
    runner.job_ended().await;
    tracing::info!(job_id = %id, outcome = outcome_label(&outcome), "job ended");
    Some(outcome)
}

/// The outcome of a job that was stopped.
pub(super) fn stop_outcome(stop: &Stop) -> Outcome {
    let Some((reason, failure)) = stop.reason().and_then(|reason| Some((reason, failure_of(reason)?))) else {
        return Outcome::Cancelled;
    };
    let error = match reason {
        StopReason::TimedOut { .. } => {
            let message = format!("on Vertex AI, {} (a setting of the container)", failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    };
    Outcome::Failed { error }
}

async fn encoded(run: EngineRun) -> Outcome {
    let message = match spawn_blocking(move || encode(run)).await {
        Ok(Ok(result)) => return Outcome::Succeeded(Box::new(result)),
        Ok(Err(message)) => message,
        Err(error) => error.to_string(),
    };
    Outcome::Failed { error: Failure { code: FailureCode::EngineFailed, message } }
}

struct ChannelReporter<'a> {
    job_id: JobId,
    progress: &'a watch::Sender<Option<Progress>>,
}

impl Reporter for ChannelReporter<'_> {
    async fn progress(&self, progress: Progress) {
        self.progress.send_replace(Some(progress));
    }

    async fn note(&self, note: Message) {
        tracing::info!(job_id = %self.job_id, "{note}");
    }

    async fn engine_changed(&self, choice: &Choice) {
        tracing::warn!(job_id = %self.job_id, engine = %choice.engine, reason = %choice.reason, "falling back to another engine");
    }
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
            group: layer.group,
            label: layer.label.clone(),
            x: layer.x,
            y: layer.y,
            png: Blob::Inline(png),
        });
    }
    Ok(RemoteResult {
        width: output.stack.width(),
        height: output.stack.height(),
        layers,
        notes: output.notes,
        analysis: output.analysis,
        background: output.background,
        engine: offer.name,
        version: offer.version,
        model: offer.model,
        model_revision,
        device: offer.device,
    })
}

fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running { .. } => "running",
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Unknown => "unknown",
    }
}
