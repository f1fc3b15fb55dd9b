//! A composition as a document of a drawing program, or as a picture. Such files cannot be written from front to back, so
//! each is written to a scratch file first.
//!
//! A thread of its own does the work, and holds its turn until it has stopped. It is stopped when the client leaves.

pub(crate) mod archive;
mod errors;
mod plan;
mod retype;
mod source;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use image::RgbaImage;
use jobs::broker::InFlight;
use jobs::store::StoredTree;
use jobs::tree::{Composition, LeafSource};
use jobs::{Metadata, Store, Typefaces};
use layers::{Document, ExportError, ExportOptions, Format, PixelSource, Rect, SourceError};
use tokio::sync::oneshot;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use self::plan::Plan;
use self::source::{LoadError, StoredLeaves};
use self::target::Target;
use crate::http::blocks::BLOCK;
use crate::http::error::Error;
use crate::state::App;
use crate::turns::{Place, Turn, TurnLimits, Turns};

/// Exports that run at once, in all and of one client.
const RUNNING: usize = 3;
const RUNNING_PER_CLIENT: usize = 2;

/// Exports that wait, run or are being sent, in all and of one client; each may occupy a scratch file.
const UNFINISHED: usize = 96;
const UNFINISHED_PER_CLIENT: usize = 16;

/// How long an export may wait for its turn.
const WAIT: Duration = Duration::from_secs(120);

/// Turns for the exports of a service, which together may need `memory` bytes.
pub(crate) fn turns(memory: u64) -> Arc<Turns> {
    Turns::new(TurnLimits {
        running: RUNNING,
        running_per_client: RUNNING_PER_CLIENT,
        memory,
        unfinished: UNFINISHED,
        unfinished_per_client: UNFINISHED_PER_CLIENT,
        wait: WAIT,
    })
}

/// An export that a client asked for.
pub(crate) struct Export {
    /// The document that the layers of the composition were taken from.
    pub stored: StoredTree,
    pub composition: Composition,
    /// Written into a ZIP.
    pub metadata: Metadata,
    pub target: Target,
    /// Not edited, so as large as the service made it: never refused for its size.
    pub is_original: bool,
    /// What words are set in.
    pub typefaces: Arc<Typefaces>,
    /// Held by the work, so that no job is blamed if the work takes the process down.
    pub in_flight: InFlight,
}

/// An export as the body of an answer. Dropping the future or the body ends all of its work.
pub(crate) async fn body(app: &App, client: &str, export: Export) -> Result<Body, Error> {
    let max_pixels = app.config.defaults.max_pixels;
    let (file, place) = write_in_turn(&app.store, &app.exports, max_pixels, client, export).await?;
    Ok(stream_file(file, place))
}

/// Waits for the turn of an export, and writes its file.
async fn write_in_turn(
    store: &Store,
    turns: &Arc<Turns>,
    max_pixels: u64,
    client: &str,
    export: Export,
) -> Result<(std::fs::File, Place), Error> {
    let memory = turns.limits().memory;
    let plan = Plan::new(&export.composition, &export.stored.tree, export.target, memory);
    if !export.is_original {
        plan.check(&export.composition.leaves, max_pixels, memory)?;
    }
    let (turn, place) = turns.enter(client, plan.memory).await?;
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let file = spawn_writer(store.clone(), export, plan, turn, stop)?.await.map_err(Error::internal)??;
    Ok((file, place))
}

/// Starts the thread that writes an export.
fn spawn_writer(
    store: Store,
    export: Export,
    plan: Plan,
    turn: Turn,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<Result<std::fs::File, Error>>, Error> {
    let Export {
        stored,
        composition: Composition { document, leaves, .. },
        metadata,
        target,
        in_flight,
        typefaces,
        ..
    } = export;
    let canvas = (document.width, document.height);
    let source = StoredLeaves::new(
        (stored.results, stored.tree.job_id),
        leaves,
        canvas,
        (plan, Arc::clone(&typefaces)),
        stop.clone(),
    );
    let (sender, receiver) = oneshot::channel();
    let span = tracing::Span::current();
    let work = move || {
        let _span = span.enter();
        let _in_flight = in_flight;
        let written = write(&store, &source, &document, &metadata, (target, &typefaces), &stop);
        if stop.is_cancelled() {
            tracing::debug!("the client left before the end of an export");
        }
        // The pictures are dropped before others get the memory.
        drop(source);
        drop(turn);
        // If the client has left, the nameless file is dropped with the message.
        let _ = sender.send(written);
    };
    let started = std::thread::Builder::new().name("export".to_owned()).spawn(work);
    started.map_err(|err| {
        Error::unavailable("exports_busy", "no thread could be started for the export; try again later", err)
    })?;
    Ok(receiver)
}

/// A file as a body, which holds its place until it is sent or dropped.
fn stream_file(file: std::fs::File, place: Place) -> Body {
    let blocks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), BLOCK);
    Body::from_stream(blocks.inspect(move |_| {
        let _held = &place;
    }))
}

/// Writes the export to a nameless file, ready to be read.
fn write(
    store: &Store,
    source: &StoredLeaves,
    document: &Document,
    metadata: &Metadata,
    (target, typefaces): (Target, &Typefaces),
    stop: &CancellationToken,
) -> Result<std::fs::File, Error> {
    let file = store.scratch()?.into_file();
    let mut writer = BufWriter::with_capacity(BLOCK, StoppableFile { file, stop });
    match target {
        Target::Png { trim } => {
            let mut picture = document.compose(source).map_err(ExportError::from)?;
            if trim {
                let shown = layers::bounding_box(&picture).unwrap_or(Rect::whole(1, 1));
                picture = layers::crop(&picture, shown);
            }
            layers::write_dense_png(&mut writer, &picture, document.density).map_err(ExportError::from)?;
        }
        Target::Document { format, trim, names, text, shapes } => {
            let needs_fonts = ExportOptions::needs_fonts(document, format, text);
            let fonts = needs_fonts.then(|| Arc::clone(typefaces.fonts()));
            let options =
                ExportOptions { trim, names, text, shapes, fonts, extra_files: extra_files(source, metadata, format)? };
            layers::export(document, source, format, &options, &mut writer)?;
        }
    }
    let mut file = writer.into_inner().map_err(|err| Error::storage(err.into_error()))?.file;
    file.seek(SeekFrom::Start(0)).map_err(Error::storage)?;
    Ok(file)
}

/// The files of a ZIP beside the layers.
fn extra_files(source: &StoredLeaves, metadata: &Metadata, format: Format) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let json = serde_json::to_vec_pretty(metadata).map_err(Error::internal)?;
    let mut files = vec![("metadata.json".to_owned(), json)];
    if let (Format::Zip, Some(id)) = (format, metadata.job_id) {
        for name in metadata.other_files() {
            let file = LeafSource::Layer { job_id: id, file: name.to_owned() };
            files.push((name.to_owned(), source.bytes(&file)?));
        }
    }
    Ok(files)
}

/// A file to which writes fail once the work has to stop.
struct StoppableFile<'a> {
    file: std::fs::File,
    stop: &'a CancellationToken,
}

impl Write for StoppableFile<'_> {
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

impl Seek for StoppableFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The layers of a composition, for work on some of them.
pub(crate) struct OpenLeaves(StoredLeaves);

impl OpenLeaves {
    /// Beside them the memory, in bytes, that composing them takes. Needs a runtime; the methods below block, and must not be
    /// called on its threads. They fail once `stop` is cancelled.
    ///
    /// # Errors
    /// 422 when the document is too large to be composed.
    pub(crate) fn new(
        app: &App,
        stored: &StoredTree,
        composition: &Composition,
        stop: &CancellationToken,
    ) -> Result<(Self, u64), Error> {
        let memory = app.exports.limits().memory;
        let plan = Plan::new(composition, &stored.tree, Target::Png { trim: false }, memory);
        plan.check(&composition.leaves, app.config.defaults.max_pixels, memory)?;
        let needed = plan.memory;
        let (canvas, leaves) = ((composition.document.width, composition.document.height), composition.leaves.clone());
        let results = (stored.results.clone(), stored.tree.job_id);
        let leaves = StoredLeaves::new(results, leaves, canvas, (plan, Arc::clone(&app.typefaces)), stop.clone());
        Ok((Self(leaves), needed))
    }

    /// The pixels of a layer as the document shows it, without its opacity and blend mode; none of one that is hidden or
    /// lies outside the canvas.
    ///
    /// # Errors
    /// When they cannot be loaded.
    pub(crate) fn layer(&self, source: usize) -> Result<RgbaImage, Error> {
        Ok(self.0.layer(source)?)
    }
}

impl PixelSource for OpenLeaves {
    fn load(&self, source: usize) -> Result<RgbaImage, SourceError> {
        self.0.load(source)
    }
}
