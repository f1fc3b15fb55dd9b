//! The pixels of stored results, loaded one layer at a time by a thread that works on an export.

use std::cell::RefCell;
use std::io::{self, BufReader, Cursor};
use std::sync::Arc;

use image::RgbaImage;
use jobs::store::StoreError;
use jobs::tree::Leaf;
use jobs::{JobId, Store};
use layers::{DecodeError, Filter, Limits, PixelSource, ResizeError, SourceError};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::error::Error;

/// Why pixels could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("nobody waits for the export any more")]
    Stopped,
    #[error("there is no such layer")]
    NoSuchLayer,
    #[error("{0} was deleted while it was exported")]
    Deleted(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Resize(#[from] ResizeError),
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Io(error) => Self::storage(error),
            LoadError::Deleted(_) => {
                Self::not_found("result_gone", "the result was deleted while it was exported; start a new job")
            }
            error => Self::internal(error),
        }
    }
}

/// The leaves of a composition.
pub struct StoredLeaves {
    store: Store,
    leaves: Vec<Leaf>,
    /// Pixels of the outermost canvas; no stored picture has more.
    canvas: u64,
    plan: Plan,
    runtime: Handle,
    stop: CancellationToken,
    kept: RefCell<Kept>,
}

/// Pictures that may be asked for again.
#[derive(Default)]
struct Kept {
    /// Decoded files, where the plan says so.
    files: Vec<((JobId, String), Arc<RgbaImage>)>,
    /// Layers by the first leaf that is the same; those that were used last at the end.
    layers: Vec<(usize, RgbaImage)>,
    bytes: u64,
}

impl StoredLeaves {
    /// Needs a runtime, whose threads none of the calls below may be made on.
    pub fn new(store: Store, leaves: Vec<Leaf>, canvas: u64, plan: Plan, stop: CancellationToken) -> Self {
        Self { store, leaves, canvas, plan, runtime: Handle::current(), stop, kept: RefCell::default() }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A stored file. The thread waits for the storage, but neither for others nor longer than somebody waits for it.
    pub fn bytes(&self, job: JobId, file: &str) -> Result<Vec<u8>, LoadError> {
        let read = async {
            let deleted = || LoadError::Deleted(format!("{file} of job {job}"));
            let stored = self.store.result_file(job, file).await?.ok_or_else(deleted)?;
            let likely = stored.len.min(self.canvas.saturating_mul(4).saturating_add(1 << 20));
            let mut bytes = Vec::with_capacity(usize::try_from(likely).unwrap_or_default());
            stored.read().await?.read_to_end(&mut bytes).await?;
            Ok(bytes)
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(LoadError::Stopped),
                read = read => read,
            }
        })
    }

    fn check(&self) -> Result<(), LoadError> {
        if self.stop.is_cancelled() { Err(LoadError::Stopped) } else { Ok(()) }
    }

    fn layer(&self, source: usize) -> Result<RgbaImage, LoadError> {
        self.check()?;
        let leaf = self.leaves.get(source).ok_or(LoadError::NoSuchLayer)?;
        if !self.plan.used.get(source).is_some_and(|used| *used) {
            return Ok(RgbaImage::new(0, 0));
        }
        let first = self.leaves.iter().position(|other| other == leaf).unwrap_or(source);
        if let Some(kept) = self.kept.borrow_mut().layer(first) {
            return Ok(kept);
        }
        let made = self.make(leaf)?;
        self.kept.borrow_mut().keep_layer(first, &made, self.plan.kept_layers);
        Ok(made)
    }

    fn make(&self, leaf: &Leaf) -> Result<RgbaImage, LoadError> {
        let mut picture = match self.plan.keeps_files {
            false => self.decode(leaf)?,
            true => {
                let whole = self.kept_file(leaf)?;
                match leaf.area {
                    Some(area) => layers::crop(&whole, area),
                    None => RgbaImage::clone(&whole),
                }
            }
        };
        if let Some(area) = leaf.area.filter(|_| !self.plan.keeps_files) {
            picture = layers::crop(&picture, area);
        }
        self.check()?;
        if let Some((width, height)) = leaf.size {
            picture = layers::resize(&picture, width, height, Filter::Lanczos3)?;
            self.check()?;
        }
        for recolour in &leaf.recolours {
            recolour.apply(&mut picture);
        }
        Ok(picture)
    }

    fn decode(&self, leaf: &Leaf) -> Result<RgbaImage, LoadError> {
        let bytes = self.bytes(leaf.job_id, &leaf.file)?;
        let limits = Limits { max_pixels: self.canvas };
        Ok(layers::decode(BufReader::new(Cursor::new(bytes)), &limits)?.pixels)
    }

    fn kept_file(&self, leaf: &Leaf) -> Result<Arc<RgbaImage>, LoadError> {
        let name = (leaf.job_id, leaf.file.clone());
        if let Some((_, kept)) = self.kept.borrow().files.iter().find(|(kept, _)| *kept == name) {
            return Ok(Arc::clone(kept));
        }
        let decoded = Arc::new(self.decode(leaf)?);
        self.kept.borrow_mut().files.push((name, Arc::clone(&decoded)));
        Ok(decoded)
    }
}

impl PixelSource for StoredLeaves {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        self.layer(source).map_err(|error| SourceError(Box::new(error)))
    }
}

impl Kept {
    fn layer(&mut self, first: usize) -> Option<RgbaImage> {
        let at = self.layers.iter().position(|(kept, _)| *kept == first)?;
        let kept = self.layers.remove(at);
        let picture = kept.1.clone();
        self.layers.push(kept);
        Some(picture)
    }

    fn keep_layer(&mut self, first: usize, picture: &RgbaImage, most: u64) {
        let bytes = |picture: &RgbaImage| picture.as_raw().len() as u64;
        if bytes(picture) > most {
            return;
        }
        while self.bytes + bytes(picture) > most && !self.layers.is_empty() {
            self.bytes -= bytes(&self.layers.remove(0).1);
        }
        self.bytes += bytes(picture);
        self.layers.push((first, picture.clone()));
    }
}
