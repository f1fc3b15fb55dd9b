//! A composition as a document of a drawing program or a picture. Such files
//! cannot be written from front to back, so each is written aside first.

use std::io::{BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};

use axum::body::Body;
use image::RgbaImage;
use jobs::broker::InFlight;
use jobs::tree::{Composition, Leaf};
use jobs::{JobId, Metadata, Store};
use layers::{Document, ExportError, ExportOptions, Filter, Format, Limits, PixelSource, SourceError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::error::Error;

/// Each export holds a few canvases in memory, so only this many run at once.
static EXPORTS: Semaphore = Semaphore::const_new(2);

/// What a composition is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What one sees, in one picture.
    Png,
    Document {
        format: Format,
        trim: bool,
    },
}

impl Target {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Document { format, .. } => format.extension(),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Document { format, .. } => format.media_type(),
        }
    }
}

/// `composition` as `target`, as the body of an answer. `metadata` goes into a ZIP.
///
/// `max_pixels` holds for every picture that is enlarged for it. The work holds `in_flight`.
pub async fn body(
    store: &Store,
    in_flight: InFlight,
    composition: Composition,
    metadata: Metadata,
    target: Target,
    max_pixels: u64,
) -> Result<Body, Error> {
    let Composition { document, leaves } = composition;
    let too_large = |(width, height): (u32, u32)| u64::from(width) * u64::from(height) > max_pixels;
    if let Some((width, height)) = leaves.iter().filter_map(|leaf| leaf.size).find(|size| too_large(*size)) {
        let message = format!("a layer scaled to {width} x {height} pixels is more than {max_pixels}; scale it less");
        return Err(Error::unprocessable("layer_too_large", message));
    }
    let _permit = EXPORTS.acquire().await.map_err(Error::internal)?;
    let canvas = u64::from(document.width) * u64::from(document.height);
    let source = StoredLeaves { store: store.clone(), leaves, canvas, runtime: Handle::current() };
    let work = move || {
        let _in_flight = in_flight;
        write(&source, &document, &metadata, target)
    };
    let written = tokio::task::spawn_blocking(work);
    let file = written.await.map_err(Error::internal)??;
    Ok(Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 << 10)))
}

/// Writes the export to a file that has no name any more, ready to be read.
fn write(
    source: &StoredLeaves,
    document: &Document,
    metadata: &Metadata,
    target: Target,
) -> Result<std::fs::File, Error> {
    let mut file = source.store.scratch()?.into_file();
    let mut writer = BufWriter::new(&mut file);
    match target {
        Target::Png => {
            let picture = document.compose(source).map_err(Error::internal)?;
            layers::write_png(&mut writer, &picture).map_err(Error::internal)?;
        }
        Target::Document { format, trim } => {
            let mut extra_files =
                vec![("metadata.json".to_owned(), serde_json::to_vec_pretty(metadata).map_err(Error::internal)?)];
            if let (Format::Zip, Some(id)) = (format, metadata.job_id) {
                for name in metadata.other_files() {
                    extra_files.push((name.to_owned(), source.bytes(id, name).map_err(Error::internal)?));
                }
            }
            let options = ExportOptions { trim, extra_files };
            layers::export(document, source, format, &options, &mut writer).map_err(|error| match error {
                ExportError::TooLarge { .. } => Error::unprocessable("export_too_large", error.to_string()),
                error => Error::internal(error),
            })?;
        }
    }
    writer.flush().map_err(Error::internal)?;
    drop(writer);
    file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
    Ok(file)
}

/// The pixels of stored results, loaded one layer at a time.
struct StoredLeaves {
    store: Store,
    leaves: Vec<Leaf>,
    /// Pixels of the outermost canvas; no stored picture has more.
    canvas: u64,
    runtime: Handle,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl StoredLeaves {
    fn bytes(&self, job: JobId, file: &str) -> Result<Vec<u8>, Cause> {
        let stored = self.runtime.block_on(self.store.result_file(job, file))?;
        let stored = stored.ok_or_else(|| format!("{file} was deleted"))?;
        let mut bytes = Vec::new();
        let reader = self.runtime.block_on(stored.read())?;
        SyncIoBridge::new_with_handle(reader, self.runtime.clone()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&self, leaf: &Leaf) -> Result<RgbaImage, Cause> {
        let bytes = self.bytes(leaf.job_id, &leaf.file)?;
        let limits = Limits { max_pixels: self.canvas };
        let mut picture = layers::decode(BufReader::new(Cursor::new(bytes)), &limits)?.pixels;
        if let Some(area) = leaf.area {
            picture = layers::crop(&picture, area);
        }
        if let Some((width, height)) = leaf.size {
            picture = layers::resize(&picture, width, height, Filter::Lanczos3)?;
        }
        for recolour in &leaf.recolours {
            recolour.apply(&mut picture);
        }
        Ok(picture)
    }
}

impl PixelSource for StoredLeaves {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let leaf = self.leaves.get(source).ok_or_else(|| SourceError("there is no such layer".into()))?;
        self.read(leaf).map_err(SourceError)
    }
}
