//! What an attempt reads from the storage and writes to it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{EngineRun, FailureCode, StopReason};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::store::{Published, Staging, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Attempt, count, lease};
use crate::run::{Fault, Part, Run, RunError, WriteError};
use crate::write::ResultJob;

/// How long reading one file may take: far more than the largest picture needs over a slow network.
const READ_PATIENCE: Duration = Duration::from_secs(120);

impl Attempt<'_> {
    /// Number of layers of a result that an attempt before this one has published.
    pub(super) async fn published_before(&self) -> Result<Option<u32>, RunError> {
        let metadata = self.read(self.store.metadata(self.job.id)).await?;
        Ok(metadata.map(|metadata| count(metadata.layers.len())))
    }

    pub(super) async fn load_input(&self) -> Result<(Arc<RgbaImage>, jobs::InputInfo), RunError> {
        let upload_id = self.job.upload_id;
        let upload = self.find(|| self.store.upload(upload_id)).await?;
        let png = self.find(|| self.store.upload_png(upload_id)).await?;
        let decoded = spawn_blocking(move || decode_stored(&png)).await;
        let pixels =
            decoded.map_err(|error| RunError::joined("reading the stored picture", error))?.map_err(|error| {
                let message = format!("the stored picture cannot be read ({error}); upload it again");
                RunError::failed(FailureCode::InputGone, message)
            })?;
        Ok((Arc::new(pixels), upload.input))
    }

    /// A part of the job's upload.
    async fn find<T, F>(&self, read: impl Fn() -> F) -> Result<T, RunError>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        if let Some(found) = self.read(read()).await? {
            return Ok(found);
        }
        // Nothing is found either where a disk is not mounted.
        let missing =
            Fault::new(Part::Read, format!("the storage is not there (looking for upload {})", self.job.upload_id));
        if self.outages.look(&missing, self.store).await.is_err() {
            return Err(RunError::Environment(missing));
        }
        self.read(read()).await?.ok_or_else(|| {
            let message = "the uploaded picture is no longer there; upload it again".to_owned();
            RunError::failed(FailureCode::InputGone, message)
        })
    }

    /// Reads from the storage, but does not wait for one that hangs.
    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, RunError> {
        tokio::select! {
            done = timeout(READ_PATIENCE, call) => match done {
                Ok(read) => read.map_err(|error| RunError::store(Part::Read, &error)),
                Err(_) => Err(hangs(Part::Read)),
            },
            () = self.stop.raised() => Err(hangs(Part::Read)),
        }
    }

    pub(super) async fn write(
        &self,
        run: &mut Run<'_, Self>,
        job: ResultJob,
        input: Arc<RgbaImage>,
        made: EngineRun,
    ) -> Result<(Staging, u32), RunError> {
        let staging =
            self.store.make_staging(self.job.id).await.map_err(|e| RunError::store(Part::Write { bytes: 0 }, &e))?;
        let dir = staging.dir().to_owned();
        match run.write(dir, job, input, made, |metadata| Ok(count(metadata.layers.len()))).await {
            Ok(layers) => Ok((staging, layers)),
            Err(WriteError::Run(error)) => Err(error),
            // The engine thread is fine here: a disk that hangs is the storage's failure.
            Err(WriteError::Stuck) => Err(hangs(Part::Write { bytes: 0 })),
            Err(WriteError::Io(error)) => Err(RunError::writing(&error, bytes_in(staging.dir()))),
        }
    }

    /// Rename first, then say so in the queue: a crash between the two leaves a
    /// result that the next attempt finds, never a success without a result.
    pub(super) async fn publish(&self, staging: Staging, layers: u32) -> Result<u32, RunError> {
        if let Ok(standing) = self.broker.heartbeat(&self.lease).await {
            lease::obey(standing, &self.stop);
        }
        // A finished result beats a time limit or a shutdown, but not a cancel or another worker.
        if matches!(self.stop.reason(), Some(StopReason::Cancelled | StopReason::Lost)) {
            return Err(RunError::Stopped);
        }
        let part = Part::Write { bytes: bytes_in(staging.dir()) };
        let publishing = self.runner.unless_stuck(&self.stop, self.store.publish(staging));
        let published = publishing.await.map_err(|_| hangs(part))?;
        match published.map_err(|error| RunError::store(part, &error))? {
            Published::Now => Ok(layers),
            Published::Before => Ok(self.published_before().await?.unwrap_or(layers)),
        }
    }
}

fn hangs(part: Part) -> RunError {
    RunError::Environment(Fault::new(part, "the storage does not respond".to_owned()))
}

/// Length of all files in a folder in bytes, as far as it can be told.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn decode_stored(png: &[u8]) -> io::Result<RgbaImage> {
    // Our own file, checked when it was uploaded: no limits but the ones it met then.
    let mut reader = ImageReader::with_format(io::Cursor::new(png), ImageFormat::Png);
    reader.no_limits();
    reader.decode().map(image::DynamicImage::into_rgba8).map_err(io::Error::other)
}
