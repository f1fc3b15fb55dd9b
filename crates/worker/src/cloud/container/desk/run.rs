//! One job, from its claim to its end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use jobs::{Failure, FailureCode, JobId};
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::ledger::Ledger;
use super::{Shared, failed};
use crate::cloud::protocol::{Blob, Outcome, RemoteLayer, RemoteResult};
use crate::engine::{News, Step};
use crate::host::{HostError, Made, Work};
use crate::stall::{self, Pulse};
use crate::stop::{Stop, StopReason};

/// Takes a job from its claim to its end and writes down how it ended.
pub(super) async fn see_through(
    shared: Arc<Shared>,
    id: JobId,
    work: Work,
    sender: watch::Sender<Option<Step>>,
    free: Option<(Ledger, u64)>,
) {
    let claim = match free {
        None => None,
        Some((ledger, generation)) => match ledger.claim(generation).await {
            Ok(Some(claim)) => Some(claim),
            Ok(None) => {
                tracing::info!(job_id = %id, "another container has the job");
                shared.close(id, None);
                return;
            }
            Err(why) => {
                shared.close(id, Some(failed(FailureCode::StorageFailed, why)));
                return;
            }
        },
    };
    tracing::info!(job_id = %id, "job begun");
    let stop = work.stop.clone();
    let beats = sender.subscribe();
    let keeping = async {
        match &claim {
            Some(claim) => claim.keep(beats, &stop).await,
            None => std::future::pending().await,
        }
    };
    let mut keeping = std::pin::pin!(keeping);
    let done = tokio::select! {
        done = compute(&shared, work, &sender) => done,
        never = &mut keeping => match never {},
    };
    let ending = async {
        let outcome = match encoded(done).await {
            Err(HostError::Failed(failure)) => Outcome::Failed { error: failure },
            Err(HostError::Environment(fault)) => Outcome::Failed { error: fault.failure(1) },
            Err(HostError::Stopped) => stopped(&stop)?,
            Ok(result) => Outcome::Succeeded(Box::new(result)),
        };
        let words = match &claim {
            Some(claim) => Some(claim.last_words(&outcome).await),
            None => None,
        };
        Some((outcome, words))
    };
    let ended = tokio::select! {
        ended = ending => ended,
        never = keeping => match never {},
    };
    let (outcome, words) = ended.unzip();
    tracing::info!(job_id = %id, outcome = outcome.as_ref().map_or("lost", word), "job ended");
    shared.close(id, outcome);
    // Who waits for the job is answered first: nobody else asks as long as this container lives.
    drop(sender);
    match (&claim, words.flatten()) {
        (Some(claim), Some(Ok(words))) => claim.finish(&words).await,
        (Some(_), Some(Err(why))) => {
            tracing::warn!(job_id = %id, why, "the layers are in this container's memory alone")
        }
        _ => {}
    }
}

/// Has the engine work, and follows it to its end.
async fn compute(shared: &Shared, work: Work, sender: &watch::Sender<Option<Step>>) -> Result<Made, HostError> {
    let stop = work.stop.clone();
    let id = work.job_id;
    let pulse = Pulse::new(work.engine, shared.config.stall_timeout, Instant::now());
    let (mut news, running) = shared.host.run(work);
    let following = async {
        while let Some(news) = news.recv().await {
            match news {
                News::Step(step) => {
                    pulse.beat(step, Instant::now());
                    sender.send_replace(Some(step));
                }
                News::Note(note) => tracing::info!(job_id = ?id, "{note}"),
            }
        }
    };
    let told = |note: String| async move { tracing::warn!(job_id = ?id, "{note}") };
    let watched = stall::watch(&pulse, &shared.engine.device, &stop, told);
    let limit = shared.config.job_timeout;
    let deadline = async {
        sleep(limit).await;
        stop.raise(StopReason::TimedOut { limit_s: limit.as_secs() });
        std::future::pending::<Infallible>().await
    };
    let patience = async {
        stop.raised().await;
        sleep(shared.config.engine_stop_grace).await;
    };
    tokio::select! {
        (done, ()) = async { tokio::join!(running.done(), following) } => done,
        never = deadline => match never {},
        never = watched => match never {},
        () = patience => {
            shared.stuck.cancel();
            Err(HostError::Stopped)
        }
    }
}

async fn encoded(done: Result<Made, HostError>) -> Result<RemoteResult, HostError> {
    let made = done?;
    let broken = |message: String| HostError::Failed(Failure { code: FailureCode::EngineFailed, message });
    let encoding = tokio::task::spawn_blocking(move || encode(made));
    encoding.await.map_err(|error| broken(error.to_string()))?.map_err(broken)
}

fn encode(made: Made) -> Result<RemoteResult, String> {
    let stack = made.decomposition.stack;
    let mut layers = Vec::new();
    for layer in stack.layers() {
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
        width: stack.width(),
        height: stack.height(),
        layers,
        notes: made.decomposition.notes,
        analysis: made.decomposition.analysis,
        engine: made.offer.name,
        version: made.offer.version,
        model: made.offer.model,
        model_revision: made.model_revision,
        device: made.offer.device,
    })
}

/// `None`: the job is another container's.
fn stopped(stop: &Stop) -> Option<Outcome> {
    match stop.reason() {
        Some(StopReason::TimedOut { limit_s }) => Some(failed(
            FailureCode::TimedOut,
            format!("the job ran longer than {limit_s} s on Vertex AI; raise JOB_TIMEOUT_S of the container"),
        )),
        Some(StopReason::Stalled { message }) => Some(failed(FailureCode::TimedOut, message.clone())),
        Some(StopReason::Lost) => None,
        _ => Some(Outcome::Cancelled),
    }
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
