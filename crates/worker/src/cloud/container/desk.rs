//! Takes jobs in, hands them to the engine one at a time, remembers their results.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use google::{ObjectUri, Storage};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::broker::EngineOffer;
use jobs::{Failure, FailureCode, JobId};
use tokio::sync::{OnceCell, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{CloudConfig, LONGEST_WAIT, storage_of};
use crate::cloud::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};
use crate::config::Config;
use crate::engine::{News, Step};
use crate::host::{Host, HostError, Made, Work};
use crate::stall::{self, Pulse};
use crate::stop::{Stop, StopReason};

/// How many finished jobs are remembered for calls that come again, and in how many bytes at most.
const REMEMBERED: usize = 16;
const REMEMBERED_BYTES: usize = 1 << 30;

/// The largest picture that is taken, width times height: the API's own limit.
const MAX_PIXELS: u64 = 64_000_000;

/// Why a call is not answered with a prediction.
pub(super) enum Refused {
    /// Another job is being worked on.
    Busy,
    /// The request can never be answered; why.
    Bad(String),
}

/// The one job that is being worked on.
struct Current {
    id: JobId,
    stop: Stop,
    /// The latest step; closed at the end.
    progress: watch::Receiver<Option<Step>>,
}

struct Done {
    id: JobId,
    /// Layers as PNG bytes.
    outcome: Outcome,
    bytes: usize,
}

#[derive(Default)]
struct Book {
    current: Option<Current>,
    /// The latest last.
    done: VecDeque<Done>,
}

pub(super) struct Desk {
    shared: Arc<Shared>,
    cloud: CloudConfig,
    storage: OnceCell<Storage>,
    replica: u64,
}

struct Shared {
    host: Host,
    engine: EngineOffer,
    config: Config,
    book: Mutex<Book>,
    stuck: CancellationToken,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Each change is one assignment: a panic leaves no half of it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a job.
enum Known {
    Done(Outcome),
    Running(watch::Receiver<Option<Step>>),
    Nothing { busy: bool },
}

impl Desk {
    pub(super) fn new(
        host: Host,
        engine: EngineOffer,
        config: Config,
        cloud: CloudConfig,
        storage: OnceCell<Storage>,
    ) -> Self {
        let shared = Shared { host, engine, config, book: Mutex::default(), stuck: CancellationToken::new() };
        // 53 bits, because some JSON readers on the way have only those.
        Self { shared: Arc::new(shared), cloud, storage, replica: rand::random::<u64>() >> 11 }
    }

    /// Cancelled when the engine no longer reacts.
    pub(super) fn stuck(&self) -> CancellationToken {
        self.shared.stuck.clone()
    }

    pub(super) async fn answer(&self, instance: Instance) -> Result<Prediction, Refused> {
        let outcome = if instance.cancel { self.cancel(instance.job_id) } else { self.follow(&instance).await? };
        let outcome = match outcome {
            Outcome::Succeeded(result) => self.pack(*result, &instance).await,
            other => other,
        };
        Ok(Prediction { job_id: instance.job_id, replica: self.replica, outcome })
    }

    fn known(&self, id: JobId) -> Known {
        let book = self.shared.book();
        if let Some(done) = book.done.iter().find(|done| done.id == id) {
            return Known::Done(done.outcome.clone());
        }
        match &book.current {
            Some(current) if current.id == id => Known::Running(current.progress.clone()),
            current => Known::Nothing { busy: current.is_some() },
        }
    }

    fn cancel(&self, id: JobId) -> Outcome {
        let book = self.shared.book();
        match &book.current {
            Some(current) if current.id == id => {
                current.stop.raise(StopReason::Cancelled);
                Outcome::Cancelled
            }
            _ => match book.done.iter().find(|done| done.id == id) {
                Some(done) if matches!(done.outcome, Outcome::Succeeded(_)) => Outcome::Cancelled,
                Some(done) => done.outcome.clone(),
                None => Outcome::Unknown,
            },
        }
    }

    async fn follow(&self, instance: &Instance) -> Result<Outcome, Refused> {
        let mut progress = match self.known(instance.job_id) {
            Known::Done(outcome) => return Ok(outcome),
            Known::Running(progress) => progress,
            Known::Nothing { busy } => {
                let Some(image) = &instance.image else { return Ok(Outcome::Unknown) };
                if busy {
                    return Err(Refused::Busy);
                }
                let input = self.picture(image).await?;
                instance.params.validate().map_err(|error| Refused::Bad(error.to_string()))?;
                match self.start(instance, input) {
                    Some(progress) => progress,
                    // Two calls with one picture each came at once.
                    None => match self.known(instance.job_id) {
                        Known::Running(progress) => progress,
                        Known::Done(outcome) => return Ok(outcome),
                        Known::Nothing { .. } => return Err(Refused::Busy),
                    },
                }
            }
        };
        let wait = Duration::from_secs(instance.wait_s).min(LONGEST_WAIT);
        // The sender goes when the work is over.
        let over = async { while progress.changed().await.is_ok() {} };
        let _ = timeout(wait, over).await;
        let latest = *progress.borrow();
        Ok(match self.known(instance.job_id) {
            Known::Done(outcome) => outcome,
            Known::Running(_) => Outcome::Running { progress: latest.map(remote) },
            // It was pushed out by newer ones in this very moment.
            Known::Nothing { .. } => Outcome::Unknown,
        })
    }

    /// Hands the job to the engine; `None` when another one has it.
    fn start(&self, instance: &Instance, input: RgbaImage) -> Option<watch::Receiver<Option<Step>>> {
        let id = instance.job_id;
        let stop = Stop::default();
        let (sender, progress) = watch::channel(None);
        {
            let mut book = self.shared.book();
            if book.current.is_some() || book.done.iter().any(|done| done.id == id) {
                return None;
            }
            book.current = Some(Current { id, stop: stop.clone(), progress: progress.clone() });
        }
        let work = Work {
            job_id: Some(id),
            engine: self.shared.engine.name,
            input: Arc::new(input),
            params: instance.params.clone(),
            describe: instance.describe,
            memory_limit: self.shared.config.job_memory_limit,
            stop: stop.clone(),
        };
        tracing::info!(job_id = %id, "job begun");
        tokio::spawn(see_through(Arc::clone(&self.shared), id, work, stop, sender));
        Some(progress)
    }

    async fn picture(&self, image: &Blob) -> Result<RgbaImage, Refused> {
        let png = match image {
            Blob::Inline(png) => png.clone(),
            Blob::Uri(uri) => {
                let uri: ObjectUri = uri.parse().map_err(Refused::Bad)?;
                let storage = storage_of(&self.storage, &self.cloud).await;
                let storage = storage.map_err(|error| Refused::Bad(error.to_string()))?;
                storage.get(&uri).await.map_err(|error| Refused::Bad(error.to_string()))?
            }
        };
        let decoded = tokio::task::spawn_blocking(move || decode(&png)).await;
        decoded.unwrap_or_else(|error| Err(error.to_string())).map_err(Refused::Bad)
    }

    /// The result in an answer that the endpoint passes on: larger layers go to Cloud Storage.
    async fn pack(&self, mut result: RemoteResult, instance: &Instance) -> Outcome {
        let size = |layer: &RemoteLayer| match &layer.png {
            Blob::Inline(png) => encoded_len(png.len()) + layer.name.len() + 512,
            Blob::Uri(uri) => uri.len() + layer.name.len() + 512,
        };
        let total: usize = result.layers.iter().map(size).sum::<usize>() + 4096;
        if total <= instance.max_answer_bytes {
            return Outcome::Succeeded(Box::new(result));
        }
        let Some(folder) = &instance.output_uri else {
            let message = format!(
                "the layers take {total} bytes, answers of this endpoint may have {}; set VERTEX_STAGING_URI to a gs:// \
                 folder, use a dedicated endpoint, or ask for fewer layers",
                instance.max_answer_bytes
            );
            return failed(FailureCode::StorageFailed, message);
        };
        match self.store(&mut result, folder).await {
            Ok(()) => Outcome::Succeeded(Box::new(result)),
            Err(message) => failed(FailureCode::StorageFailed, message),
        }
    }

    async fn store(&self, result: &mut RemoteResult, folder: &str) -> Result<(), String> {
        let folder: ObjectUri = folder.parse()?;
        let storage = storage_of(&self.storage, &self.cloud).await.map_err(|error| error.to_string())?;
        for (index, layer) in result.layers.iter_mut().enumerate() {
            if let Blob::Inline(png) = &mut layer.png {
                let uri = folder.join(&format!("layer_{index}.png"));
                storage.put(&uri, "image/png", std::mem::take(png)).await.map_err(|error| error.to_string())?;
                layer.png = Blob::Uri(uri.to_string());
            }
        }
        Ok(())
    }
}

/// Follows the engine to the end of a job and writes down how it ended.
async fn see_through(shared: Arc<Shared>, id: JobId, work: Work, stop: Stop, sender: watch::Sender<Option<Step>>) {
    let pulse = Pulse::new(work.engine, shared.config.stall_timeout, Instant::now());
    let (mut news, running) = shared.host.run(work);
    let following = async {
        while let Some(news) = news.recv().await {
            match news {
                News::Step(step) => {
                    pulse.beat(step, Instant::now());
                    sender.send_replace(Some(step));
                }
                News::Note(note) => tracing::info!(job_id = %id, "{note}"),
            }
        }
    };
    let told = |note: String| async move { tracing::warn!(job_id = %id, "{note}") };
    let watched = stall::watch(&pulse, &shared.engine.device, &stop, told);
    let limit = shared.config.job_timeout;
    let deadline = async {
        sleep(limit).await;
        stop.raise(StopReason::TimedOut { limit_s: limit.as_secs() });
        std::future::pending::<()>().await;
    };
    let patience = async {
        stop.raised().await;
        sleep(shared.config.engine_stop_grace).await;
    };
    let done = async { tokio::join!(running.done(), following).0 };
    let outcome = tokio::select! {
        done = done => match encoded(done).await {
            Err(HostError::Failed(failure)) => Outcome::Failed { error: failure },
            Err(HostError::Stopped) => stopped(&stop),
            Ok(result) => Outcome::Succeeded(Box::new(result)),
        },
        () = deadline => stopped(&stop),
        never = watched => match never {},
        () = patience => {
            shared.stuck.cancel();
            stopped(&stop)
        }
    };
    tracing::info!(job_id = %id, outcome = word(&outcome), "job ended");
    let bytes = match &outcome {
        Outcome::Succeeded(result) => result.layers.iter().map(|layer| blob_len(&layer.png)).sum(),
        _ => 0,
    };
    let mut book = shared.book();
    book.current = None;
    book.done.push_back(Done { id, outcome, bytes });
    while book.done.len() > REMEMBERED
        || (book.done.len() > 1 && book.done.iter().map(|done| done.bytes).sum::<usize>() > REMEMBERED_BYTES)
    {
        book.done.pop_front();
    }
    // `sender` is dropped after the book is written, so who wakes finds the result.
    drop(book);
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

fn stopped(stop: &Stop) -> Outcome {
    match stop.reason() {
        Some(StopReason::TimedOut { limit_s }) => failed(
            FailureCode::TimedOut,
            format!("the job ran longer than {limit_s} s on Vertex AI; raise JOB_TIMEOUT_S of the container"),
        ),
        Some(StopReason::Stalled { message }) => failed(FailureCode::TimedOut, message.clone()),
        _ => Outcome::Cancelled,
    }
}

fn failed(code: FailureCode, message: String) -> Outcome {
    Outcome::Failed { error: Failure { code, message } }
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

fn blob_len(blob: &Blob) -> usize {
    match blob {
        Blob::Inline(png) => png.len(),
        Blob::Uri(uri) => uri.len(),
    }
}

fn remote(step: Step) -> RemoteStep {
    RemoteStep { stage: step.stage.to_owned(), step: step.step, total: step.total, fraction: step.fraction }
}

fn decode(png: &[u8]) -> Result<RgbaImage, String> {
    let bad = |error: &dyn std::fmt::Display| format!("the picture is no PNG that can be read: {error}");
    let reader = || ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    let (width, height) = reader().into_dimensions().map_err(|error| bad(&error))?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("the picture has {width}x{height} pixels, at most {MAX_PIXELS} are taken"));
    }
    let mut reader = reader();
    reader.no_limits();
    reader.decode().map(image::DynamicImage::into_rgba8).map_err(|error| bad(&error))
}
