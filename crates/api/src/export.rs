//! A result as a document of a drawing program. Such files cannot be written
//! from front to back, so each is written aside first.

use std::io::{BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};

use axum::body::Body;
use image::RgbaImage;
use jobs::{JobId, Metadata, Store};
use layers::{ExportError, ExportOptions, Format, Limits, PixelSource, SourceError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::error::Error;

/// Each export holds a few canvases in memory, so only this many run at once.
static EXPORTS: Semaphore = Semaphore::const_new(2);

/// The result of `id` as `format`, as the body of an answer.
pub async fn body(store: &Store, id: JobId, metadata: Metadata, format: Format, trim: bool) -> Result<Body, Error> {
    let _permit = EXPORTS.acquire().await.map_err(Error::internal)?;
    let (store, runtime) = (store.clone(), Handle::current());
    let written =
        tokio::task::spawn_blocking(move || write(StoredLayers { store, id, metadata, runtime }, format, trim));
    let file = written.await.map_err(Error::internal)??;
    Ok(Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), 64 << 10)))
}

/// Writes the export to a file that has no name any more, ready to be read.
fn write(layers: StoredLayers, format: Format, trim: bool) -> Result<std::fs::File, Error> {
    let metadata = serde_json::to_vec_pretty(&layers.metadata).map_err(Error::internal)?;
    let options = ExportOptions { trim, extra_files: vec![("metadata.json".to_owned(), metadata)] };
    let mut file = layers.store.scratch()?.into_file();
    let mut writer = BufWriter::new(&mut file);
    let exported = layers::export(&layers.metadata.document(), &layers, format, &options, &mut writer);
    exported.map_err(|error| match error {
        ExportError::TooLarge { .. } => Error::unprocessable("export_too_large", error.to_string()),
        error => Error::internal(error),
    })?;
    writer.flush().map_err(Error::internal)?;
    drop(writer);
    file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
    Ok(file)
}

/// The layers of a stored result, loaded one at a time.
struct StoredLayers {
    store: Store,
    id: JobId,
    metadata: Metadata,
    runtime: Handle,
}

impl StoredLayers {
    fn read(&self, name: &str) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let stored = self.runtime.block_on(self.store.result_file(self.id, name))?;
        let stored = stored.ok_or_else(|| format!("{name} was deleted"))?;
        let mut bytes = Vec::new();
        SyncIoBridge::new_with_handle(stored.reader, self.runtime.clone()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl PixelSource for StoredLayers {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        let layer = self.metadata.layers.get(source).ok_or_else(|| SourceError("there is no such layer".into()))?;
        let bytes = self.read(&layer.file).map_err(SourceError)?;
        let input = &self.metadata.input;
        let limits = Limits { max_pixels: u64::from(input.width) * u64::from(input.height) };
        let picture = layers::decode(BufReader::new(Cursor::new(bytes)), &limits);
        Ok(picture.map_err(|error| SourceError(error.into()))?.pixels)
    }
}
