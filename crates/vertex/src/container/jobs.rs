//! Accepts jobs, runs them on the engine one at a time, and keeps their results.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::jobs::{JobId, Progress};
use engine::{EngineName, Failure, FailureCode, Stop, StopReason};
use google::{ObjectUri, Storage};
use image::{ImageFormat, ImageReader, RgbaImage};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use worker::run::{RunJob, Runner};

use super::run::{run, stop_outcome};
use crate::CloudConfig;
use crate::advice::with_advice;
use crate::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};

/// The longest wait of one call: endpoints time out themselves.
const MAX_WAIT: Duration = Duration::from_secs(500);

/// Maximum number of finished jobs that are kept for repeated calls.
const MAX_REMEMBERED_JOBS: usize = 16;
/// Maximum size of their layers together.
const MAX_REMEMBERED_BYTES: usize = 1 << 30;

/// The largest picture that is accepted, width times height: the limit of the API.
const MAX_PIXELS: u64 = 64_000_000;

/// Why a call gets no prediction.
pub(super) enum Refusal {
    /// Another job is running.
    Busy,
    /// The request is not valid; the reason.
    BadRequest(String),
}

/// The running job.
struct RunningJob {
    id: JobId,
    stop: Stop,
    /// The latest progress; closed when the job ends.
    progress: watch::Receiver<Option<Progress>>,
}

struct FinishedJob {
    id: JobId,
    /// Layers as PNG bytes.
    outcome: Outcome,
    bytes: usize,
}

#[derive(Default)]
struct Table {
    current: Option<RunningJob>,
    /// The latest last.
    done: VecDeque<FinishedJob>,
}

pub(super) struct JobTable {
    shared: Arc<Shared>,
    cloud: CloudConfig,
    storage: OnceCell<Storage>,
    /// Identifies this container.
    replica: u64,
}

struct Shared {
    runner: Runner,
    engine: EngineName,
    table: Mutex<Table>,
    /// Cancelled when the engine is stuck.
    stuck: CancellationToken,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is one assignment, so a panic leaves the table consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the running job and keeps its outcome.
    fn close(&self, id: JobId, outcome: Outcome) {
        let mut table = self.table();
        table.current = None;
        let bytes = match &outcome {
            Outcome::Succeeded(result) => result.layers.iter().map(|layer| blob_len(&layer.png)).sum(),
            _ => 0,
        };
        table.done.push_back(FinishedJob { id, outcome, bytes });
        while table.done.len() > MAX_REMEMBERED_JOBS
            || (table.done.len() > 1 && table.done.iter().map(|done| done.bytes).sum::<usize>() > MAX_REMEMBERED_BYTES)
        {
            table.done.pop_front();
        }
    }
}

/// The status of a job in this container.
enum JobStatus {
    Done(Outcome),
    Running(watch::Receiver<Option<Progress>>),
    Unknown,
}

impl JobTable {
    pub(super) fn new(runner: Runner, engine: EngineName, cloud: CloudConfig, storage: OnceCell<Storage>) -> Self {
        let shared = Shared { runner, engine, table: Mutex::default(), stuck: CancellationToken::new() };
        // 53 bits: some JSON parsers on the way are not exact beyond that.
        let replica = rand::random::<u64>() >> 11;
        Self { shared: Arc::new(shared), cloud, storage, replica }
    }

    /// Cancelled when the engine is stuck.
    pub(super) fn stuck(&self) -> CancellationToken {
        self.shared.stuck.clone()
    }

    pub(super) async fn answer(&self, instance: Instance) -> Result<Prediction, Refusal> {
        if instance.cancel {
            return Ok(self.prediction(&instance, self.cancel(instance.job_id)));
        }
        let started = Instant::now();
        let wait = Duration::from_secs(instance.wait_s).min(MAX_WAIT);
        if let Some(prediction) = self.wait_for(&instance, wait).await {
            return Ok(prediction);
        }
        let Some(image) = &instance.image else { return Ok(self.prediction(&instance, Outcome::Unknown)) };
        if self.shared.table().current.is_some() {
            return Err(Refusal::Busy);
        }
        let input = self.picture(image).await?;
        instance.params.validate().map_err(|error| Refusal::BadRequest(error.to_string()))?;
        // Of two simultaneous calls with the same picture, the second finds the job of the first.
        if !self.start(&instance, input) && matches!(self.status(instance.job_id), JobStatus::Unknown) {
            return Err(Refusal::Busy);
        }
        let left = wait.saturating_sub(started.elapsed());
        let prediction = self.wait_for(&instance, left).await;
        // Newer jobs may have evicted this one.
        Ok(prediction.unwrap_or_else(|| self.prediction(&instance, Outcome::Unknown)))
    }

    fn prediction(&self, instance: &Instance, outcome: Outcome) -> Prediction {
        Prediction { job_id: instance.job_id, replica: self.replica, outcome }
    }

    /// Waits for a job; `None` if this container does not have it.
    async fn wait_for(&self, instance: &Instance, wait: Duration) -> Option<Prediction> {
        let mut latest: Option<Progress> = None;
        if let JobStatus::Running(mut progress) = self.status(instance.job_id) {
            // The sender is dropped when the job ends.
            let over = async { while progress.changed().await.is_ok() {} };
            let _ = timeout(wait, over).await;
            latest.clone_from(&progress.borrow());
        }
        let outcome = match self.status(instance.job_id) {
            JobStatus::Done(Outcome::Succeeded(result)) => self.pack(*result, instance).await,
            JobStatus::Done(outcome) => outcome,
            JobStatus::Running(_) => Outcome::Running { progress: latest.as_ref().map(remote_step) },
            JobStatus::Unknown => return None,
        };
        Some(self.prediction(instance, outcome))
    }

    async fn storage(&self) -> Result<&Storage, String> {
        self.cloud.storage_in(&self.storage).await.map_err(|error| with_advice(&error))
    }

    fn status(&self, id: JobId) -> JobStatus {
        let table = self.shared.table();
        if let Some(done) = table.done.iter().find(|done| done.id == id) {
            return JobStatus::Done(done.outcome.clone());
        }
        match &table.current {
            Some(current) if current.id == id => JobStatus::Running(current.progress.clone()),
            _ => JobStatus::Unknown,
        }
    }

    fn cancel(&self, id: JobId) -> Outcome {
        let table = self.shared.table();
        match &table.current {
            Some(current) if current.id == id => {
                current.stop.raise(StopReason::Cancelled);
                Outcome::Cancelled
            }
            _ => match table.done.iter().find(|done| done.id == id) {
                Some(done) if matches!(done.outcome, Outcome::Succeeded(_)) => Outcome::Cancelled,
                Some(done) => done.outcome.clone(),
                None => Outcome::Unknown,
            },
        }
    }

    /// Starts the job; `false` if one is running, or if this one already ran.
    fn start(&self, instance: &Instance, input: RgbaImage) -> bool {
        let id = instance.job_id;
        let stop = Stop::default();
        let (sender, progress) = watch::channel(None);
        {
            let mut table = self.shared.table();
            if table.current.is_some() || table.done.iter().any(|done| done.id == id) {
                return false;
            }
            table.current = Some(RunningJob { id, stop: stop.clone(), progress });
        }
        let job = RunJob {
            // The model takes every picture as a whole.
            of: None,
            job_id: Some(id),
            input: Arc::new(input),
            params: instance.params.clone(),
            describe: instance.describe,
        };
        // A task of its own, because the call may be dropped at any point.
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let outcome = run(&shared.runner, shared.engine, id, &job, &stop, &sender).await;
            // Callers wait for the drop of `sender`, so it comes last.
            let is_stuck = outcome.is_none();
            shared.close(id, outcome.unwrap_or_else(|| stop_outcome(&stop)));
            if is_stuck {
                shared.stuck.cancel();
            }
        });
        true
    }

    async fn picture(&self, image: &Blob) -> Result<RgbaImage, Refusal> {
        let png = match image {
            Blob::Inline(png) => png.clone(),
            Blob::Uri(uri) => {
                let uri: ObjectUri = uri.parse().map_err(Refusal::BadRequest)?;
                let storage = self.storage().await.map_err(Refusal::BadRequest)?;
                storage.get(&uri).await.map_err(|error| Refusal::BadRequest(with_advice(&error)))?
            }
        };
        let decoded = tokio::task::spawn_blocking(move || decode(&png)).await;
        decoded.unwrap_or_else(|error| Err(error.to_string())).map_err(Refusal::BadRequest)
    }

    /// Fits the result into an answer that the endpoint forwards: larger layers go to Cloud Storage.
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
                "the layers take {total} bytes, but answers of this endpoint are limited to {}; set VERTEX_STAGING_URI to a gs:// \
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

    /// Writes the layers into a folder, and their addresses into the result.
    async fn store(&self, result: &mut RemoteResult, folder: &str) -> Result<(), String> {
        let folder: ObjectUri = folder.parse()?;
        let storage = self.storage().await?;
        for (index, layer) in result.layers.iter_mut().enumerate() {
            if let Blob::Inline(png) = &mut layer.png {
                let uri = folder.join(&format!("layer_{index}.png"));
                storage.put(&uri, "image/png", std::mem::take(png)).await.map_err(|error| with_advice(&error))?;
                layer.png = Blob::Uri(uri.to_string());
            }
        }
        Ok(())
    }
}

fn failed(code: FailureCode, message: String) -> Outcome {
    Outcome::Failed { error: Failure { code, message } }
}

fn blob_len(blob: &Blob) -> usize {
    match blob {
        Blob::Inline(png) => png.len(),
        Blob::Uri(uri) => uri.len(),
    }
}

fn remote_step(progress: &Progress) -> RemoteStep {
    let Progress { stage, step, total, percent, .. } = *progress;
    RemoteStep { stage, step, total, fraction: percent / 100.0 }
}

fn decode(png: &[u8]) -> Result<RgbaImage, String> {
    let bad = |error: &dyn std::fmt::Display| format!("the picture is not a valid PNG: {error}");
    let reader = || ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    let (width, height) = reader().into_dimensions().map_err(|error| bad(&error))?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("the picture has {width}x{height} pixels, at most {MAX_PIXELS} are accepted"));
    }
    let mut reader = reader();
    reader.no_limits();
    reader.decode().map(image::DynamicImage::into_rgba8).map_err(|error| bad(&error))
}
