//! The words of text layers as live text, whichever engine made the layers.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use engine::{LiveText, Stop};
use image::RgbaImage;
use layers::{Kind, Layer, LayerStack, ReadLine, Rect};

use crate::run::panic_text;
use jobs::Typefaces;

/// What looks for words.
pub(crate) struct WordFinder<'a> {
    pub(crate) typefaces: &'a Typefaces,
    /// Raised for any reason, it ends the search; the result then has the words that were found.
    pub(crate) stop: &'a Stop,
}

/// How often the caller is asked whether to go on.
const POLL: Duration = Duration::from_millis(40);
/// Mean opacity within its box from which a layer is not read: letters leave more free.
const DENSE: f64 = 0.75;
/// A lower or narrower layer, in pixels, has no letter that could be read.
const LEAST_SIDE: u32 = 8;
/// The reader's share of the progress, where layers have to be read.
const READING: f32 = 0.7;

/// The live text of each layer. Layers of an engine that does not read (`reads`) are read first; one that turns out to
/// be words becomes a text layer. `on_step` gets the share of the work that is done, 0 to 1.
///
/// This never fails for what it meets in the layers: an error is logged, and the layers have no live text.
///
/// # Errors
/// The error of `on_step`, which ends the search.
pub(super) fn find(
    stack: LayerStack,
    reads: bool,
    finder: &WordFinder<'_>,
    on_step: &mut dyn FnMut(f32) -> io::Result<()>,
) -> io::Result<(LayerStack, Vec<Option<LiveText>>)> {
    let (width, height) = (stack.width(), stack.height());
    let mut layers = stack.into_layers();
    let given_up = AtomicBool::new(false);
    let is_stopped = || given_up.load(Ordering::Relaxed) || finder.stop.reason().is_some();
    let (sender, steps) = channel();
    let none = vec![None; layers.len()];
    let mut step_error = None;
    let texts = std::thread::scope(|scope| {
        let search = Search { reads, typefaces: finder.typefaces, is_stopped: &is_stopped, steps: sender };
        let found = &mut layers;
        let thread = std::thread::Builder::new().name("words".to_owned());
        let thread = match thread.spawn_scoped(scope, move || search.run(found)) {
            Ok(thread) => thread,
            Err(error) => {
                tracing::warn!(%error, "no thread can be started to find live text");
                return none;
            }
        };
        let mut share = 0.0_f32;
        loop {
            if step_error.is_none()
                && let Err(error) = on_step(share)
            {
                given_up.store(true, Ordering::Relaxed);
                step_error = Some(error);
            }
            match steps.recv_timeout(POLL) {
                Ok(done) => share = share.max(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        thread.join().unwrap_or_else(|panic| {
            tracing::warn!(panic = panic_text(panic.as_ref()), "finding live text panicked; the layers have none");
            none
        })
    });
    match step_error {
        Some(error) => Err(error),
        None => Ok((LayerStack::new(width, height, layers).map_err(io::Error::other)?, texts)),
    }
}

struct Search<'a> {
    reads: bool,
    typefaces: &'a Typefaces,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    steps: Sender<f32>,
}

impl Search<'_> {
    fn run(self, layers: &mut [Layer]) -> Vec<Option<LiveText>> {
        let mut before = 0.0;
        if !self.reads {
            let count = layers.len() as f32;
            for (index, layer) in layers.iter_mut().enumerate() {
                self.read(layer, |share| READING * (index as f32 + share) / count);
            }
            before = READING;
        }
        if layers.iter().all(|layer| layer.lines.is_empty()) {
            return vec![None; layers.len()];
        }
        let done = AtomicUsize::new(0);
        let on_done = || {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            // Nobody listens only after a panic.
            let _ = self.steps.send(before + (1.0 - before) * done as f32 / layers.len() as f32);
        };
        live_text::live_texts(layers, self.typefaces.fonts(), self.is_stopped, &on_done)
    }

    /// Reads a layer that might be words, and makes it a text layer if it is.
    fn read(&self, layer: &mut Layer, share: impl Fn(f32) -> f32) {
        let Some((rect, pixels)) = readable(layer) else { return };
        let mut on_progress = |progress: draft::Progress| {
            let _ = self.steps.send(share(progress.fraction));
            if (self.is_stopped)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let read = match draft::read_layer(&pixels, &mut on_progress) {
            Ok(read) => read,
            Err(draft::Error::Stopped) => return,
            Err(error) => {
                tracing::warn!(%error, layer = layer.name, "the words of a layer cannot be read");
                return;
            }
        };
        let lines: Vec<ReadLine> = read.into_iter().map(|line| line.moved(rect.x, rect.y)).collect();
        if live_text::is_text(layer, &lines) {
            let words: Vec<&str> = lines.iter().map(|line| line.words.as_str()).collect();
            layer.text.get_or_insert_with(|| words.join("\n"));
            layer.kind = Kind::Text;
            layer.lines = lines;
        }
    }
}

/// The visible part of a layer that might be words.
fn readable(layer: &Layer) -> Option<(Rect, RgbaImage)> {
    // The diffusion model calls all that is not the background an object.
    let possible = matches!(layer.kind, Kind::Text | Kind::Unknown | Kind::Object) && layer.lines.is_empty();
    let rect = possible.then(|| layer.bounding_box()).flatten()?;
    let pixels = layer.within(rect);
    let sparse = layers::coverage(&pixels) < DENSE;
    (sparse && rect.width.min(rect.height) >= LEAST_SIDE).then_some((rect, pixels))
}
