//! Reads the input of an attempt from the storage, and writes and publishes its result.

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

use super::{Attempt, count, heartbeat};
use crate::run::{Fault, Operation, Run, RunError, WriteError};
use crate::write::ResultJob;

/// Time limit for reading one file: far more than the largest picture needs on a slow network.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

impl Attempt<'_> {
    /// The number of layers of a result that an earlier attempt published.
    pub(super) async fn published_before(&self) -> Result<Option<u32>, RunError> {
        let metadata = self.read(self.store.metadata(self.job.id)).await?;
        Ok(metadata.map(|metadata| count(metadata.layers.len())))
    }

    pub(super) async fn load_input(&self) -> Result<(Arc<RgbaImage>, jobs::InputInfo), RunError> {
        let upload_id = self.job.upload_id;
        let upload = self.read_upload(|| self.store.upload(upload_id)).await?;
        let png = self.read_upload(|| self.store.upload_png(upload_id)).await?;
        let decoded = spawn_blocking(move || decode_stored(&png)).await;
        let pixels =
            decoded.map_err(|error| RunError::joined("reading the stored picture", error))?.map_err(|error| {
                let message = format!("the stored picture cannot be read ({error}); upload it again");
                RunError::failed(FailureCode::InputGone, message)
            })?;
        Ok((Arc::new(pixels), upload.input))
    }

    /// Reads a part of the job's upload, which has to exist.
    async fn read_upload<T, F>(&self, read: impl Fn() -> F) -> Result<T, RunError>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        if let Some(found) = self.read(read()).await? {
            return Ok(found);
        }
        // A disk that is not mounted also looks empty.
        let missing =
            Fault::new(Operation::Read, format!("the storage is missing (looking for upload {})", self.job.upload_id));
        if self.outages.check_storage(&missing, self.store).await.is_err() {
            return Err(RunError::Environment(missing));
        }
        self.read(read()).await?.ok_or_else(|| {
            let message = "the uploaded picture is no longer there; upload it again".to_owned();
            RunError::failed(FailureCode::InputGone, message)
        })
    }

    /// Reads from the storage, with a timeout.
    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, RunError> {
        tokio::select! {
            done = timeout(READ_TIMEOUT, call) => match done {
                Ok(read) => read.map_err(|error| RunError::store(Operation::Read, &error)),
                Err(_) => Err(storage_hangs(Operation::Read)),
            },
            () = self.stop.raised() => Err(storage_hangs(Operation::Read)),
        }
    }

    pub(super) async fn write(
        &self,
        run: &mut Run<'_, Self>,
        job: ResultJob,
        input: Arc<RgbaImage>,
        made: EngineRun,
    ) -> Result<(Staging, u32), RunError> {
        let staging = self
            .store
            .make_staging(self.job.id)
            .await
            .map_err(|e| RunError::store(Operation::Write { bytes: 0 }, &e))?;
        let dir = staging.dir().to_owned();
        match run.write(dir, job, input, made, |metadata| Ok(count(metadata.layers.len()))).await {
            Ok(layers) => Ok((staging, layers)),
            Err(WriteError::Run(error)) => Err(error),
            // The engine thread is not involved: the storage hangs.
            Err(WriteError::Stuck) => Err(storage_hangs(Operation::Write { bytes: 0 })),
            Err(WriteError::Io(error)) => Err(RunError::writing(&error, bytes_in(staging.dir()))),
        }
    }

    /// Renames the result into place. Its success is recorded afterwards: a crash in between leaves a result that the
    /// next attempt finds, never a success without a result.
    pub(super) async fn publish(&self, staging: Staging, layers: u32) -> Result<u32, RunError> {
        if let Ok(standing) = self.broker.heartbeat(&self.lease).await {
            heartbeat::apply_standing(standing, &self.stop);
        }
        // A finished result is published despite a time limit or a shutdown, but not after a cancel or a lost lease.
        if matches!(self.stop.reason(), Some(StopReason::Cancelled | StopReason::Lost)) {
            return Err(RunError::Stopped);
        }
        let operation = Operation::Write { bytes: bytes_in(staging.dir()) };
        let publishing = self.runner.unless_stuck(&self.stop, self.store.publish(staging));
        let published = publishing.await.map_err(|_| storage_hangs(operation))?;
        match published.map_err(|error| RunError::store(operation, &error))? {
            Published::Now => Ok(layers),
            Published::Before => Ok(self.published_before().await?.unwrap_or(layers)),
        }
    }
}

fn storage_hangs(operation: Operation) -> RunError {
    RunError::Environment(Fault::new(operation, "the storage does not respond".to_owned()))
}

/// The total size in bytes of the files in a folder that can be read.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn decode_stored(png: &[u8]) -> io::Result<RgbaImage> {
    // Our own file, whose limits were checked when it was uploaded.
    let mut reader = ImageReader::with_format(io::Cursor::new(png), ImageFormat::Png);
    reader.no_limits();
    reader.decode().map(image::DynamicImage::into_rgba8).map_err(io::Error::other)
}
