use std::cell::RefCell;
use std::ops::ControlFlow;

use crate::{Error, Result};

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Loading the text encoder.
    LoadText,
    /// Loading the transformer and the autoencoder.
    LoadTransformer,
    /// Writing a caption; `total` is the most tokens it may have.
    Caption,
    /// Encoding prompt and negative prompt.
    EncodeText,
    /// Encoding the input picture.
    EncodeImage,
    /// Denoising; `total` is the number of calls of the model: the steps, but for samplers that make more.
    Denoise,
    /// Decoding; `total` is the number of layers.
    Decode,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is running.
    pub stage: Stage,
    /// Units of this stage that are done, 0 to `total`.
    pub done: u32,
    /// Units of this stage, at least 1.
    pub total: u32,
    /// How much of the current unit is done, 0 to 1.
    pub within: f32,
}

impl Progress {
    /// An estimate of how much of a whole run is done, 0 to 1; never decreases during one.
    pub fn fraction(&self) -> f32 {
        // Measured on runs of 50 steps; in shorter ones it advances less evenly.
        let (start, end) = match self.stage {
            Stage::LoadText => (0.0, 0.0),
            Stage::LoadTransformer => (0.07, 0.07),
            Stage::Caption => (0.0, 0.05),
            Stage::EncodeText => (0.05, 0.07),
            Stage::EncodeImage => (0.07, 0.1),
            Stage::Denoise => (0.1, 0.92),
            Stage::Decode => (0.92, 1.0),
        };
        let part = (self.done as f32 + self.within) / self.total.max(1) as f32;
        start + (end - start) * part.clamp(0.0, 1.0)
    }
}

/// Carries progress out of the models, and the request to stop into them.
///
/// The function that it wraps is called often (several times a second), between
/// attention tiles too, and must return quickly.
pub struct Monitor<'a> {
    state: RefCell<State<'a>>,
}

struct State<'a> {
    current: Progress,
    report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl<'a> Monitor<'a> {
    /// A monitor that calls `report`, which stops the work by returning `Break`.
    pub fn new(report: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        let current = Progress { stage: Stage::EncodeText, done: 0, total: 1, within: 0.0 };
        Self { state: RefCell::new(State { current, report }) }
    }

    /// Begins unit `done` of `total` (or ends the stage, with `done == total`).
    ///
    /// # Errors
    /// [`Error::Stopped`] when the caller wants no more.
    pub fn step(&self, stage: Stage, done: usize, total: usize) -> Result<()> {
        let clamp = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        self.report(Progress { stage, done: clamp(done), total: clamp(total), within: 0.0 })
    }

    /// Reports how much of the current unit is done, 0 to 1.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the caller wants no more.
    pub fn within(&self, fraction: f32) -> Result<()> {
        let current = self.state.borrow().current;
        self.report(Progress { within: fraction, ..current })
    }

    /// Asks whether to go on, without news. Models call it between tiles.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the caller wants no more.
    pub fn check(&self) -> Result<()> {
        let current = self.state.borrow().current;
        self.report(current)
    }

    fn report(&self, progress: Progress) -> Result<()> {
        let mut state = self.state.borrow_mut();
        state.current = progress;
        match (state.report)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }
}
