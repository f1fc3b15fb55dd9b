//! Takes jobs in, hands them to the engine one at a time, remembers their results.

mod run;

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use google::{ObjectUri, Storage};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::broker::EngineOffer;
use jobs::{Failure, FailureCode, JobId};
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::run::see_through;
use super::ledger::{Entry, Ledger, Pace, Sightings, store_layers};
use super::{CloudConfig, LONGEST_WAIT, storage_of};
use crate::cloud::advice::advised;
use crate::cloud::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};
use crate::config::Config;
use crate::engine::Step;
use crate::host::{Host, Work};
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
    /// The request cannot be answered; why.
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
    /// Names this container.
    replica: u64,
    sightings: Arc<Sightings>,
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

    /// Makes room for the next job; remembers how this one ended, unless it is another container's.
    fn close(&self, id: JobId, outcome: Option<Outcome>) {
        let mut book = self.book();
        book.current = None;
        let Some(outcome) = outcome else { return };
        let bytes = match &outcome {
            Outcome::Succeeded(result) => result.layers.iter().map(|layer| blob_len(&layer.png)).sum(),
            _ => 0,
        };
        book.done.push_back(Done { id, outcome, bytes });
        while book.done.len() > REMEMBERED
            || (book.done.len() > 1 && book.done.iter().map(|done| done.bytes).sum::<usize>() > REMEMBERED_BYTES)
        {
            book.done.pop_front();
        }
    }
}

/// What is known of a job.
enum Known {
    Done(Outcome),
    Running(watch::Receiver<Option<Step>>),
    Nothing,
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
        let replica = rand::random::<u64>() >> 11;
        Self { shared: Arc::new(shared), cloud, storage, replica, sightings: Arc::default() }
    }

    /// Cancelled when the engine no longer reacts.
    pub(super) fn stuck(&self) -> CancellationToken {
        self.shared.stuck.clone()
    }

    pub(super) async fn answer(&self, instance: Instance) -> Result<Prediction, Refused> {
        if instance.cancel {
            let outcome = match self.cancel(instance.job_id) {
                Outcome::Unknown => self.cancel_elsewhere(&instance).await?,
                known => known,
            };
            return Ok(self.says(&instance, outcome));
        }
        let started = Instant::now();
        let wait = Duration::from_secs(instance.wait_s).min(LONGEST_WAIT);
        if let Some(outcome) = self.wait_for(&instance, wait).await {
            return Ok(outcome);
        }
        let ledger = self.ledger(&instance).await?;
        let mut generation = 0;
        if let Some(ledger) = &ledger {
            match ledger.follow(wait).await.map_err(Refused::Bad)? {
                Entry::Taken(prediction) => return Ok(prediction),
                Entry::Free { generation: free } => generation = free,
            }
        }
        let Some(image) = &instance.image else { return Ok(self.says(&instance, Outcome::Unknown)) };
        if self.shared.book().current.is_some() {
            return Err(Refused::Busy);
        }
        let input = self.picture(image).await?;
        instance.params.validate().map_err(|error| Refused::Bad(error.to_string()))?;
        if !self.start(&instance, input, ledger.clone().map(|ledger| (ledger, generation)))
            // Two calls with one picture each came at once.
            && matches!(self.known(instance.job_id), Known::Nothing)
        {
            return Err(Refused::Busy);
        }
        let left = wait.saturating_sub(started.elapsed());
        if let Some(outcome) = self.wait_for(&instance, left).await {
            return Ok(outcome);
        }
        // Another container was faster, or newer jobs have pushed this one out.
        match ledger {
            Some(ledger) => match ledger.follow(Duration::ZERO).await.map_err(Refused::Bad)? {
                Entry::Taken(prediction) => Ok(prediction),
                Entry::Free { .. } => Ok(self.says(&instance, Outcome::Unknown)),
            },
            None => Ok(self.says(&instance, Outcome::Unknown)),
        }
    }

    fn says(&self, instance: &Instance, outcome: Outcome) -> Prediction {
        Prediction { job_id: instance.job_id, replica: self.replica, outcome }
    }

    /// Waits for a job of this container's; `None`: it is none.
    async fn wait_for(&self, instance: &Instance, wait: Duration) -> Option<Prediction> {
        let mut latest = None;
        if let Known::Running(mut progress) = self.known(instance.job_id) {
            // The sender goes when the work is over.
            let over = async { while progress.changed().await.is_ok() {} };
            let _ = timeout(wait, over).await;
            latest = *progress.borrow();
        }
        let outcome = match self.known(instance.job_id) {
            Known::Done(Outcome::Succeeded(result)) => self.pack(*result, instance).await,
            Known::Done(outcome) => outcome,
            Known::Running(_) => Outcome::Running { progress: latest.map(remote) },
            Known::Nothing => return None,
        };
        Some(self.says(instance, outcome))
    }

    /// What the containers of the endpoint know of the job together; `None` where they have no folder for it.
    async fn ledger(&self, instance: &Instance) -> Result<Option<Ledger>, Refused> {
        let Some(folder) = &instance.output_uri else { return Ok(None) };
        let folder: ObjectUri = folder.parse().map_err(Refused::Bad)?;
        let storage = self.storage().await.map_err(Refused::Bad)?.clone();
        let pace = Pace { beat: self.shared.config.heartbeat };
        let sightings = Arc::clone(&self.sightings);
        Ok(Some(Ledger::new(storage, folder, instance.job_id, self.replica, pace, sightings)))
    }

    async fn storage(&self) -> Result<&Storage, String> {
        storage_of(&self.storage, &self.cloud).await.map_err(|error| advised(&error))
    }

    async fn cancel_elsewhere(&self, instance: &Instance) -> Result<Outcome, Refused> {
        match self.ledger(instance).await? {
            Some(ledger) => ledger.cancel().await.map_err(Refused::Bad),
            None => Ok(Outcome::Unknown),
        }
    }

    fn known(&self, id: JobId) -> Known {
        let book = self.shared.book();
        if let Some(done) = book.done.iter().find(|done| done.id == id) {
            return Known::Done(done.outcome.clone());
        }
        match &book.current {
            Some(current) if current.id == id => Known::Running(current.progress.clone()),
            _ => Known::Nothing,
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

    /// Hands the job to the engine, once it is claimed in the ledger where there is one; `false`: there is a job already.
    fn start(&self, instance: &Instance, input: RgbaImage, free: Option<(Ledger, u64)>) -> bool {
        let id = instance.job_id;
        let stop = Stop::default();
        let (sender, progress) = watch::channel(None);
        {
            let mut book = self.shared.book();
            if book.current.is_some() || book.done.iter().any(|done| done.id == id) {
                return false;
            }
            book.current = Some(Current { id, stop: stop.clone(), progress });
        }
        let work = Work {
            job_id: Some(id),
            engine: self.shared.engine.name,
            input: Arc::new(input),
            params: instance.params.clone(),
            describe: instance.describe,
            memory_limit: self.shared.config.job_memory_limit,
            stop,
            resumed: false,
        };
        // A task of its own, because the call may be given up at any point.
        tokio::spawn(see_through(Arc::clone(&self.shared), id, work, sender, free));
        true
    }

    async fn picture(&self, image: &Blob) -> Result<RgbaImage, Refused> {
        let png = match image {
            Blob::Inline(png) => png.clone(),
            Blob::Uri(uri) => {
                let uri: ObjectUri = uri.parse().map_err(Refused::Bad)?;
                let storage = self.storage().await.map_err(Refused::Bad)?;
                storage.get(&uri).await.map_err(|error| Refused::Bad(advised(&error)))?
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
        store_layers(self.storage().await?, &folder, result).await
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

pub(super) fn remote(step: Step) -> RemoteStep {
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
