//! What the containers of one endpoint tell each other about a job, in the job's folder in Cloud Storage.
//!
//! `run.json` holds the latest [`Prediction`] of the container that has the job. It is created only if there is none,
//! and replaced only by who knows what is in it: so one container at a time has a job. That one writes it anew every so
//! often; a file that stays the same for the time of a lease is that of a dead one, and the job nobody's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use google::{ObjectUri, Storage};
use jobs::JobId;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::desk::remote;
use crate::cloud::advice::advised;
use crate::cloud::protocol::{Blob, Outcome, Prediction, RemoteResult};
use crate::engine::Step;
use crate::stop::{Stop, StopReason};

const RECORD: &str = "run.json";

/// How often a record is read and written again that others change at the same time.
const TRIES: u32 = 5;

/// The longest pause before another container's record is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How often the owner of a record writes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) beat: Duration,
}

impl Pace {
    /// How long a record may stay the same.
    fn lease(self) -> Duration {
        self.beat * 6
    }

    /// After so long without a beat the owner gives up, before another container can take the job.
    fn patience(self) -> Duration {
        self.beat * 4
    }
}

/// Since when the records of other containers are what they are: their generation, and when it was first seen.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<HashMap<JobId, (u64, Instant)>>);

impl Sightings {
    /// How long a job's record has been of this generation, as far as it was seen from here.
    fn age(&self, job: JobId, generation: u64) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Jobs that nobody asks for any more.
        seen.retain(|_, (_, since)| since.elapsed() < Duration::from_secs(24 * 3600));
        let entry = seen.entry(job).or_insert((generation, Instant::now()));
        if entry.0 != generation {
            *entry = (generation, Instant::now());
        }
        entry.1.elapsed()
    }
}

/// What a record says.
pub(super) enum Entry {
    /// No container has the job. A claim replaces the record of this generation, 0 where there is none.
    Free { generation: u64 },
    /// A container works on it, or it is over.
    Taken(Prediction),
}

/// The record of one job.
#[derive(Clone)]
pub(super) struct Ledger {
    storage: Storage,
    folder: ObjectUri,
    job: JobId,
    /// The container that looks or writes.
    replica: u64,
    pace: Pace,
    sightings: Arc<Sightings>,
}

impl Ledger {
    pub(super) fn new(
        storage: Storage,
        folder: ObjectUri,
        job: JobId,
        replica: u64,
        pace: Pace,
        sightings: Arc<Sightings>,
    ) -> Self {
        Self { storage, folder, job, replica, pace, sightings }
    }

    fn record(&self) -> ObjectUri {
        self.folder.join(RECORD)
    }

    /// The record and its generation.
    async fn read(&self) -> Result<Option<(Prediction, u64)>, String> {
        let found = self.storage.get_versioned(&self.record()).await.map_err(|error| advised(&error))?;
        let Some(found) = found else { return Ok(None) };
        let prediction = serde_json::from_slice(&found.bytes)
            .map_err(|error| format!("{} is not what a container writes: {error}", self.record()))?;
        Ok(Some((prediction, found.generation)))
    }

    /// Writes the record in place of `generation`; answers with the new one, `None` where it is another by now.
    async fn write(&self, outcome: Outcome, generation: u64) -> Result<Option<u64>, String> {
        let prediction = Prediction { job_id: self.job, replica: self.replica, outcome };
        let bytes = serde_json::to_vec(&prediction).map_err(|error| error.to_string())?;
        let written = self.storage.put_if(&self.record(), "application/json", bytes, generation).await;
        written.map_err(|error| advised(&error))
    }

    async fn look(&self) -> Result<Entry, String> {
        let Some((prediction, generation)) = self.read().await? else { return Ok(Entry::Free { generation: 0 }) };
        let is_running = matches!(prediction.outcome, Outcome::Running { .. });
        if is_running && self.sightings.age(self.job, generation) >= self.pace.lease() {
            return Ok(Entry::Free { generation });
        }
        Ok(Entry::Taken(prediction))
    }

    /// Looks until the job is over or nobody's, at most for `wait`.
    pub(super) async fn follow(&self, wait: Duration) -> Result<Entry, String> {
        let started = Instant::now();
        loop {
            let entry = self.look().await?;
            let is_running = matches!(&entry, Entry::Taken(Prediction { outcome: Outcome::Running { .. }, .. }));
            let left = wait.saturating_sub(started.elapsed());
            if !is_running || left.is_zero() {
                return Ok(entry);
            }
            sleep(left.min(LOOK_AGAIN).min(self.pace.beat)).await;
        }
    }

    /// Makes the job this container's; `None` where another one was faster.
    pub(super) async fn claim(self, generation: u64) -> Result<Option<Claim>, String> {
        let written = self.write(Outcome::Running { progress: None }, generation).await?;
        let generation = match written {
            Some(generation) => generation,
            // The answer to an earlier try of the same write may have got lost.
            None => match self.read().await? {
                Some((prediction, generation)) if prediction.replica == self.replica => generation,
                _ => return Ok(None),
            },
        };
        Ok(Some(Claim { ledger: self, generation: Mutex::new(generation) }))
    }

    /// Tells whichever container works on the job to end it.
    pub(super) async fn cancel(&self) -> Result<Outcome, String> {
        for _ in 0..TRIES {
            let Some((prediction, generation)) = self.read().await? else { return Ok(Outcome::Unknown) };
            match prediction.outcome {
                Outcome::Running { .. } => {}
                Outcome::Succeeded(_) => return Ok(Outcome::Cancelled),
                over => return Ok(over),
            }
            if self.write(Outcome::Cancelled, generation).await?.is_some() {
                return Ok(Outcome::Cancelled);
            }
        }
        Err(format!("{} was written by others all the time", self.record()))
    }

    /// Writes layers beside the record; answers with the result that names them there.
    async fn store(&self, mut result: RemoteResult) -> Result<RemoteResult, String> {
        store_layers(&self.storage, &self.folder, &mut result).await?;
        Ok(result)
    }
}

/// Writes a result's layers into a folder, and their addresses into the result.
pub(super) async fn store_layers(
    storage: &Storage,
    folder: &ObjectUri,
    result: &mut RemoteResult,
) -> Result<(), String> {
    for (index, layer) in result.layers.iter_mut().enumerate() {
        if let Blob::Inline(png) = &mut layer.png {
            let uri = folder.join(&format!("layer_{index}.png"));
            storage.put(&uri, "image/png", std::mem::take(png)).await.map_err(|error| advised(&error))?;
            layer.png = Blob::Uri(uri.to_string());
        }
    }
    Ok(())
}

/// A job that is this container's.
pub(super) struct Claim {
    ledger: Ledger,
    /// Of the record, as it was written last.
    generation: Mutex<u64>,
}

impl Claim {
    fn generation(&self) -> u64 {
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the record, where it is still this container's; `None`: it is not, or the job is over.
    async fn renew(&self, outcome: &Outcome) -> Result<Option<()>, String> {
        for _ in 0..TRIES {
            let written = self.ledger.write(outcome.clone(), self.generation()).await?;
            // A write whose answer got lost leaves a generation that is not known here.
            let (generation, is_written) = match written {
                Some(generation) => (generation, true),
                None => match self.ledger.read().await? {
                    Some((Prediction { replica, outcome: Outcome::Running { .. }, .. }, generation))
                        if replica == self.ledger.replica =>
                    {
                        (generation, false)
                    }
                    _ => return Ok(None),
                },
            };
            *self.generation.lock().unwrap_or_else(PoisonError::into_inner) = generation;
            if is_written {
                return Ok(Some(()));
            }
        }
        Err("the record was written by others all the time".to_owned())
    }

    /// Keeps the claim, for ever; raises `stop` when it is lost or the job is to end.
    pub(super) async fn keep(&self, progress: watch::Receiver<Option<Step>>, stop: &Stop) -> Infallible {
        let Pace { beat } = self.ledger.pace;
        let mut renewed = Instant::now();
        loop {
            sleep(beat).await;
            let begun = Instant::now();
            let latest = *progress.borrow();
            let outcome = Outcome::Running { progress: latest.map(remote) };
            match timeout(beat, self.renew(&outcome)).await {
                Ok(Ok(Some(()))) => renewed = begun,
                Ok(Ok(None)) => stop.raise(self.reason().await),
                Ok(Err(why)) => tracing::warn!(why, "the job's record could not be renewed; trying on"),
                Err(_) => tracing::warn!("the job's record could not be renewed in time; trying on"),
            }
            if renewed.elapsed() > self.ledger.pace.patience() {
                stop.raise(StopReason::Lost);
            }
        }
    }

    /// Why the record is no longer this container's.
    async fn reason(&self) -> StopReason {
        match self.ledger.read().await {
            Ok(Some((Prediction { outcome: Outcome::Cancelled, .. }, _))) => StopReason::Cancelled,
            _ => StopReason::Lost,
        }
    }

    /// What the record is to say at the end. Large, so it is written before the end is told.
    pub(super) async fn last_words(&self, outcome: &Outcome) -> Result<Outcome, String> {
        match outcome {
            Outcome::Succeeded(result) => {
                let stored = self.ledger.store((**result).clone()).await?;
                Ok(Outcome::Succeeded(Box::new(stored)))
            }
            other => Ok(other.clone()),
        }
    }

    /// Writes how the job ended, for whichever container is asked next.
    pub(super) async fn finish(&self, outcome: &Outcome) {
        match self.renew(outcome).await {
            Ok(Some(())) => {}
            Ok(None) => tracing::info!(job_id = %self.ledger.job, "the job's record is no longer this container's"),
            Err(why) => tracing::warn!(job_id = %self.ledger.job, why, "the job's end could not be recorded"),
        }
    }
}
