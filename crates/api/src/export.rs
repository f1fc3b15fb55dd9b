//! A composition as a document of a drawing program or a picture. Such files
//! cannot be written from front to back, so each is written aside first.
//!
//! The work is done by a thread of its own, which holds its turn until it has stopped. It is told to stop when nobody
//! waits for it any more.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt;
use jobs::broker::InFlight;
use jobs::tree::{Composition, Tree};
use jobs::{Metadata, Store};
use layers::{ArchiveError, Document, EncodeError, ExportError, ExportOptions, Format, SourceError};
use tokio::sync::oneshot;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::blocks::BLOCK;
use crate::error::Error;
use crate::turns::{Busy, Place, Turn, TurnLimits, Turns};

mod plan;
mod source;
#[cfg(test)]
mod tests;

use plan::{Plan, TooMuch};
use source::{LoadError, StoredLeaves};

/// Exports that run at once, in all and of one client.
const RUNNING: usize = 3;
const RUNNING_PER_CLIENT: usize = 2;

/// Exports that wait, run or are being sent, in all and of one client; each may hold a file on the disk.
const UNFINISHED: usize = 96;
const UNFINISHED_PER_CLIENT: usize = 16;

/// How long an export may wait for its turn.
const WAIT: Duration = Duration::from_secs(120);

/// The exports of a service, which may need `memory` bytes together.
pub fn turns(memory: u64) -> Arc<Turns> {
    Turns::new(TurnLimits {
        running: RUNNING,
        running_per_client: RUNNING_PER_CLIENT,
        memory,
        unfinished: UNFINISHED,
        unfinished_per_client: UNFINISHED_PER_CLIENT,
        wait: WAIT,
    })
}

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

/// What is to be exported.
pub struct Export {
    /// What the layers of the composition were taken from.
    pub tree: Tree,
    pub composition: Composition,
    /// Goes into a ZIP.
    pub metadata: Metadata,
    pub target: Target,
    /// Not edited: as large as the service made it, which it therefore never refuses.
    pub is_original: bool,
    /// Held by the work: should it take the process down, no job is blamed.
    pub in_flight: InFlight,
}

/// An export as the body of an answer. It ends, with all that is done for it, when the future or the body is dropped.
pub async fn body(app: &App, client: &str, export: Export) -> Result<Body, Error> {
    let max_pixels = app.config.defaults.max_pixels;
    let (file, place) = written(&app.store, &app.exports, max_pixels, client, export).await?;
    Ok(sent(file, place))
}

/// The file of an export, when its turn has come and all of it is written.
async fn written(
    store: &Store,
    turns: &Arc<Turns>,
    max_pixels: u64,
    client: &str,
    export: Export,
) -> Result<(std::fs::File, Place), Error> {
    let memory = turns.limits().memory;
    let plan = Plan::of(&export.composition, &export.tree, export.target, memory);
    if !export.is_original {
        plan.check(&export.composition.leaves, max_pixels, memory)?;
    }
    let (turn, place) = turns.enter(client, plan.memory).await?;
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let file = work(store.clone(), export, plan, turn, stop)?.await.map_err(Error::internal)??;
    Ok((file, place))
}

/// Starts the thread that writes an export.
fn work(
    store: Store,
    export: Export,
    plan: Plan,
    turn: Turn,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<Result<std::fs::File, Error>>, Error> {
    let Export { composition: Composition { document, leaves }, metadata, target, in_flight, .. } = export;
    let canvas = u64::from(document.width) * u64::from(document.height);
    let source = StoredLeaves::new(store, leaves, canvas, plan, stop.clone());
    let (sender, receiver) = oneshot::channel();
    let span = tracing::Span::current();
    let work = move || {
        let _span = span.enter();
        let _in_flight = in_flight;
        let written = write(&source, &document, &metadata, target, &stop);
        if stop.is_cancelled() {
            tracing::debug!("the client left before the end of an export");
        }
        // The pictures are gone before the memory is given to others.
        drop(source);
        drop(turn);
        // Nobody may wait for it any more; then the file, which has no name, is gone with it.
        let _ = sender.send(written);
    };
    // As many as there are turns.
    let started = std::thread::Builder::new().name("export".to_owned()).spawn(work);
    started.map_err(|err| {
        Error::unavailable("exports_busy", "no thread could be started for the export; try again later", err)
    })?;
    Ok(receiver)
}

/// A file as a body; its place is free when all of it is sent, or nobody reads it any more.
fn sent(file: std::fs::File, place: Place) -> Body {
    let blocks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), BLOCK);
    Body::from_stream(blocks.inspect(move |_| {
        let _held = &place;
    }))
}

/// Writes the export to a file that has no name any more, ready to be read.
fn write(
    source: &StoredLeaves,
    document: &Document,
    metadata: &Metadata,
    target: Target,
    stop: &CancellationToken,
) -> Result<std::fs::File, Error> {
    let file = source.store().scratch()?.into_file();
    let mut writer = BufWriter::with_capacity(BLOCK, Stoppable { file, stop });
    match target {
        Target::Png => {
            let picture = document.compose(source).map_err(ExportError::from)?;
            layers::write_png(&mut writer, &picture).map_err(ExportError::from)?;
        }
        Target::Document { format, trim } => {
            let options = ExportOptions { trim, extra_files: extra_files(source, metadata, format)? };
            layers::export(document, source, format, &options, &mut writer)?;
        }
    }
    let mut file = writer.into_inner().map_err(|err| Error::storage(err.into_error()))?.file;
    file.seek(SeekFrom::Start(0)).map_err(Error::storage)?;
    Ok(file)
}

/// What goes into a ZIP beside the layers.
fn extra_files(source: &StoredLeaves, metadata: &Metadata, format: Format) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let json = serde_json::to_vec_pretty(metadata).map_err(Error::internal)?;
    let mut files = vec![("metadata.json".to_owned(), json)];
    if let (Format::Zip, Some(id)) = (format, metadata.job_id) {
        for name in metadata.other_files() {
            files.push((name.to_owned(), source.bytes(id, name)?));
        }
    }
    Ok(files)
}

/// A file that nothing can be written to any more once the work is to stop.
struct Stoppable<'a> {
    file: std::fs::File,
    stop: &'a CancellationToken,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(LoadError::Stopped));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Stoppable<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error.0.downcast::<LoadError>() {
            Ok(error) => (*error).into(),
            Err(error) => Self::internal(error),
        }
    }
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::TooLarge { .. } | ExportError::CanvasTooLarge(_) => {
                Self::unprocessable("export_too_large", error.to_string())
            }
            ExportError::TooDeep(_) => Self::unprocessable("too_many_groups", error.to_string()),
            ExportError::Source(error) => error.into(),
            ExportError::Io(error)
            | ExportError::Encode(EncodeError::Io(error))
            | ExportError::Archive(ArchiveError::Io(error)) => Self::storage(error),
            error => Self::internal(error),
        }
    }
}

impl From<TooMuch> for Error {
    fn from(error: TooMuch) -> Self {
        let code = match error {
            TooMuch::Layer { .. } => "layer_too_large",
            TooMuch::Work { .. } => "composition_too_large",
            TooMuch::Memory { .. } => "export_too_large",
        };
        Self::unprocessable(code, error.to_string())
    }
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Client(count) => {
                let message = format!(
                    "{count} exports of yours wait, run or are being sent; try again when one of them has arrived"
                );
                Self::retry_later(StatusCode::TOO_MANY_REQUESTS, "too_many_exports", message, 5)
            }
            Busy::Service(count) => {
                let message = format!("the service is busy with {count} exports; try again later");
                Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "exports_busy", message, 10)
            }
            Busy::Waited => {
                let message = "the export waited too long for its turn, because others were running; try again later";
                Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "exports_busy", message, 30)
            }
        }
    }
}
