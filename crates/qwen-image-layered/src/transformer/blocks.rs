//! The blocks of a transformer, wherever they are.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::TransformerConfig;
use super::block::Block;
use crate::placement::BlockPlace;
use crate::stream::{Load, Mark, STAGED, Staging, Stream};
use crate::weights::Weights;
use crate::{Degradation, Error, Monitor, Result, Stage};

/// The first blocks stay on the device, the others are streamed.
pub struct Blocks {
    resident: Vec<Block>,
    streamed: Option<Mutex<Stream<Loader>>>,
    degradation: Option<Degradation>,
}

/// Loads the blocks after the first `skipped`.
struct Loader {
    config: TransformerConfig,
    weights: Weights,
    skipped: usize,
    /// The page-locked memory that weights pass, if the device has any.
    staging: Option<Arc<Staging>>,
}

impl Loader {
    /// The loader, and what makes it slow.
    fn new(config: &TransformerConfig, weights: &Weights, skipped: usize) -> (Self, Option<Degradation>) {
        let room = (skipped..config.num_layers).map(|index| weights.pp(index).room()).max().unwrap_or(0);
        let (staging, degradation) = match Staging::new(weights.device(), room) {
            Ok(staging) => (staging.map(Arc::new), None),
            Err(error) => {
                let (bytes, reason) = ((STAGED * room) as u64, error.to_string());
                (None, Some(Degradation::NotPageLocked { bytes, reason }))
            }
        };
        let weights = staging.as_ref().map_or_else(|| weights.clone(), |staging| weights.through(staging.clone()));
        (Self { config: config.clone(), weights, skipped, staging }, degradation)
    }
}

impl Load for Loader {
    type Item = Block;
    type Mark = Mark;

    fn count(&self) -> usize {
        self.config.num_layers - self.skipped
    }

    fn load(&self, index: usize) -> Result<Block> {
        if let Some(staging) = &self.staging {
            staging.begin()?;
        }
        let block = Block::load(&self.config, &self.weights.pp(self.skipped + index));
        if let Some(staging) = &self.staging {
            // Also when it failed: some of it may be on its way.
            staging.end(self.mark()?);
        }
        block
    }

    fn mark(&self) -> Result<Mark> {
        Mark::here(self.weights.device())
    }

    fn follow(&self, mark: &Mark) -> Result<()> {
        mark.follow(self.weights.device())
    }

    fn wait(&self, mark: &Mark) -> Result<()> {
        mark.wait()
    }
}

impl Blocks {
    /// `weights` is the place `transformer_blocks`.
    pub fn load(config: &TransformerConfig, weights: &Weights, place: BlockPlace, monitor: &Monitor) -> Result<Self> {
        let resident = match place {
            BlockPlace::Resident => config.num_layers,
            BlockPlace::Streamed { resident, .. } => resident.min(config.num_layers),
        };
        let resident = load_all(config, weights, resident, monitor)?;
        let streamed = match place {
            BlockPlace::Streamed { in_flight, .. } if resident.len() < config.num_layers => {
                let skipped = resident.len();
                check_streamed(config, weights, skipped)?;
                Some((Loader::new(config, weights, skipped), in_flight))
            }
            _ => None,
        };
        let Some(((loader, degradation), in_flight)) = streamed else {
            return Ok(Self { resident, streamed: None, degradation: None });
        };
        Ok(Self { resident, streamed: Some(Mutex::new(Stream::new(loader, in_flight))), degradation })
    }

    /// What runs slower than it could.
    pub fn degradation(&self) -> Option<&Degradation> {
        self.degradation.as_ref()
    }

    /// Calls `work` with each block in turn, until it breaks.
    pub fn each(&self, mut work: impl FnMut(usize, &Block) -> Result<ControlFlow<()>>) -> Result<()> {
        for (index, block) in self.resident.iter().enumerate() {
            if work(index, block)?.is_break() {
                return Ok(());
            }
        }
        let Some(stream) = &self.streamed else { return Ok(()) };
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.rewind();
        for index in 0..stream.count() {
            let block = stream.next()?;
            if work(self.resident.len() + index, &block)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The first `count` blocks, several at a time, so that reading one overlaps with copying another.
fn load_all(config: &TransformerConfig, weights: &Weights, count: usize, monitor: &Monitor) -> Result<Vec<Block>> {
    let at_a_time = rayon::current_num_threads().clamp(1, 4);
    let mut blocks = Vec::with_capacity(count);
    for start in (0..count).step_by(at_a_time) {
        monitor.step(Stage::LoadTransformer, start, config.num_layers)?;
        let group = (start..count.min(start + at_a_time)).into_par_iter().map(|index| {
            let block = Block::load(config, &weights.pp(index))?;
            // Each thread has its own stream: the copies must be complete before another thread uses the block.
            weights.device().synchronize()?;
            Ok(block)
        });
        blocks.extend(group.collect::<Result<Vec<_>>>()?);
    }
    Ok(blocks)
}

/// Checks the headers of streamed blocks: otherwise one that differs from the first would fail in the middle of a job.
fn check_streamed(config: &TransformerConfig, weights: &Weights, skipped: usize) -> Result<()> {
    // Loads the first to report what is wrong with it, and drops it again.
    if skipped == 0 && config.num_layers > 0 {
        Block::load(config, &weights.pp(0))?;
    }
    let expected = weights.pp(0).listing();
    for index in skipped..config.num_layers {
        let place = weights.pp(index);
        let found = place.listing();
        if let Some((name, shape)) = expected.iter().find(|entry| !found.contains(entry)) {
            return Err(match found.iter().find(|(other, _)| other == name) {
                None => place.missing(name),
                Some((_, other)) => Error::TensorShape {
                    path: place.path(name),
                    tensor: format!("transformer_blocks.{index}.{name}"),
                    found: other.clone(),
                    expected: shape.clone(),
                },
            });
        }
        // What a block has beyond the first one's is left for `Weights::finish` to name.
        expected.iter().for_each(|(name, _)| place.defer(name));
    }
    Ok(())
}
