//! The pixels of stored results, loaded one layer at a time by the thread of an export.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, BufReader, Cursor};
use std::sync::Arc;

use image::RgbaImage;
use jobs::store::{StoreError, StoredResult};
use jobs::tree::{Leaf, LeafSource};
use jobs::{JobId, Typefaces};
use layers::{DecodeError, Filter, Limits, PixelSource, ResizeError, SourceError};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::retype;

/// Why pixels could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the client of the export has left")]
    Stopped,
    #[error("there is no such layer")]
    NoSuchLayer,
    #[error("{0} was deleted while it was being exported")]
    Deleted(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Resize(#[from] ResizeError),
    #[error("the words of a layer cannot be drawn: {0}")]
    Text(#[from] typeset::Error),
    #[error("words that are stretched to {width} x {height} pixels are larger than the canvas; scale them less")]
    TooLarge { width: u64, height: u64 },
}

/// The leaves of a composition.
pub(super) struct StoredLeaves {
    /// The results that the leaves are layers of.
    results: HashMap<JobId, StoredResult>,
    /// The job that the document belongs to, which has its pictures.
    owner: JobId,
    leaves: Vec<Leaf>,
    /// Width and height of the outermost canvas; no stored layer has more pixels.
    canvas: (u32, u32),
    plan: Plan,
    typefaces: Arc<Typefaces>,
    runtime: Handle,
    stop: CancellationToken,
    cache: RefCell<PictureCache>,
}

/// Pictures that may be needed again.
#[derive(Default)]
struct PictureCache {
    /// Decoded files, if the plan keeps them.
    files: Vec<(LeafSource, Arc<RgbaImage>)>,
    /// Layers by the first of several equal leaves, the most recently used last.
    layers: Vec<(usize, RgbaImage)>,
    bytes: u64,
}

impl StoredLeaves {
    /// Needs a runtime; the methods below must not be called on its threads.
    pub(super) fn new(
        (results, owner): (HashMap<JobId, StoredResult>, JobId),
        leaves: Vec<Leaf>,
        canvas: (u32, u32),
        (plan, typefaces): (Plan, Arc<Typefaces>),
        stop: CancellationToken,
    ) -> Self {
        Self {
            results,
            owner,
            leaves,
            canvas,
            plan,
            typefaces,
            runtime: Handle::current(),
            stop,
            cache: RefCell::default(),
        }
    }

    fn canvas_pixels(&self) -> u64 {
        u64::from(self.canvas.0) * u64::from(self.canvas.1)
    }

    /// The most pixels that a stored file has.
    fn most_pixels(&self, source: &LeafSource) -> u64 {
        match source {
            LeafSource::Layer { .. } => self.canvas_pixels(),
            LeafSource::Picture(id) => u64::from(id.size().0) * u64::from(id.size().1),
        }
    }

    /// Reads a stored file. Blocks until it is read or the work has to stop.
    pub(super) fn bytes(&self, source: &LeafSource) -> Result<Vec<u8>, LoadError> {
        let read = async {
            let deleted = || {
                LoadError::Deleted(match source {
                    LeafSource::Layer { job_id, file } => format!("{file} of job {job_id}"),
                    LeafSource::Picture(id) => format!("picture {id} of job {}", self.owner),
                })
            };
            let stored = match source {
                LeafSource::Layer { job_id, file } => self.results.get(job_id).ok_or_else(deleted)?.open(file).await?,
                LeafSource::Picture(id) => self.results.get(&self.owner).ok_or_else(deleted)?.open_picture(*id).await?,
            };
            let stored = stored.ok_or_else(deleted)?;
            let likely = stored.len.min(self.most_pixels(source).saturating_mul(4).saturating_add(1 << 20));
            let mut bytes = Vec::with_capacity(usize::try_from(likely).unwrap_or_default());
            let mut reader = stored.read().await.map_err(|err| match err.kind() {
                io::ErrorKind::NotFound => deleted(),
                _ => err.into(),
            })?;
            reader.read_to_end(&mut bytes).await?;
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

    pub(super) fn layer(&self, source: usize) -> Result<RgbaImage, LoadError> {
        self.check()?;
        let leaf = self.leaves.get(source).ok_or(LoadError::NoSuchLayer)?;
        if !self.plan.used.get(source).is_some_and(|used| *used) {
            return Ok(RgbaImage::new(0, 0));
        }
        let first = self.leaves.iter().position(|other| other == leaf).unwrap_or(source);
        if let Some(kept) = self.cache.borrow_mut().layer(first) {
            return Ok(kept);
        }
        let made = self.make(leaf)?;
        self.cache.borrow_mut().keep_layer(first, &made, self.plan.kept_layers);
        Ok(made)
    }

    fn make(&self, leaf: &Leaf) -> Result<RgbaImage, LoadError> {
        let Some(retyped) = &leaf.retyped else { return self.pixels(leaf) };
        let kept = if retyped.kept.is_empty() { None } else { Some(self.pixels(leaf)?) };
        let drawn = retype::draw(kept, self.canvas, retyped, self.typefaces.fonts(), &|| self.check())?;
        match &retyped.stretch {
            None => Ok(drawn),
            Some(stretch) => retype::stretched(drawn, stretch, &|| self.check()),
        }
    }

    /// The stored pixels of a leaf, without words that were edited.
    fn pixels(&self, leaf: &Leaf) -> Result<RgbaImage, LoadError> {
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
        if let Some(retyped) = &leaf.retyped {
            let corner = leaf.area.map_or((0, 0), |area| (area.x, area.y));
            retype::erase(&mut picture, corner, retyped);
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
        let bytes = self.bytes(&leaf.source)?;
        let limits = Limits { max_pixels: self.most_pixels(&leaf.source) };
        Ok(layers::decode(BufReader::new(Cursor::new(bytes)), &limits)?.pixels)
    }

    fn kept_file(&self, leaf: &Leaf) -> Result<Arc<RgbaImage>, LoadError> {
        let name = leaf.source.clone();
        if let Some((_, kept)) = self.cache.borrow().files.iter().find(|(kept, _)| *kept == name) {
            return Ok(Arc::clone(kept));
        }
        let decoded = Arc::new(self.decode(leaf)?);
        self.cache.borrow_mut().files.push((name, Arc::clone(&decoded)));
        Ok(decoded)
    }
}

impl PixelSource for StoredLeaves {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        self.layer(source).map_err(|error| SourceError(Box::new(error)))
    }
}

impl PictureCache {
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
