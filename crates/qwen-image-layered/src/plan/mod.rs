//! What has to be where for a job to fit a device, decided before anything is loaded.
//!
//! [`Footprint`] reads the headers of a checkpoint and says how large its parts are once they are loaded. With a
//! [`Card`] and a [`Workload`], [`choose`] goes through every [`Placement`] of every checkpoint that is at hand and
//! takes the fastest that fits, or says what would help. Nothing here touches a device.

mod choose;
mod estimate;
mod footprint;
#[cfg(test)]
mod tests;

use std::fmt;

pub use choose::{Candidate, NoPlan, Plan, choose, plans, refusal};
pub use estimate::{Need, estimate};
pub use footprint::Footprint;

use crate::{Params, Result, working_size};

/// Where the text encoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextPlace {
    /// On the device, beside everything else.
    #[default]
    Resident,
    /// On the device until the prompt is encoded; the transformer is loaded after it.
    Staged,
    /// In the computer's own memory, where it also computes.
    Host,
}

/// Where the transformer's blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlockPlace {
    /// On the device.
    #[default]
    Resident,
    /// The first `resident` on the device; the others are brought to it one after the other at each step, at most
    /// `in_flight` (2 or more) at a time.
    Streamed { resident: usize, in_flight: usize },
}

/// How the two passes of a guided step, with the prompt and with the negative one, go through a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passes {
    /// One after the other.
    #[default]
    InTurn,
    /// As one, but for attention: weights are read, and widened, once for both. Takes more memory.
    Together,
}

/// Where the parts of the model are while a job runs. By default all are on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    pub text: TextPlace,
    pub blocks: BlockPlace,
}

impl Placement {
    /// In words, with the number of blocks that the model has.
    pub fn describe(&self, blocks: usize) -> String {
        let text = match self.text {
            TextPlace::Resident => None,
            TextPlace::Staged => Some("text encoder staged".to_owned()),
            TextPlace::Host => Some("text encoder on the CPU".to_owned()),
        };
        let streamed = match self.blocks {
            BlockPlace::Resident => None,
            BlockPlace::Streamed { resident, .. } => {
                Some(format!("{} of {blocks} blocks streamed", blocks.saturating_sub(resident)))
            }
        };
        let words: Vec<_> = text.into_iter().chain(streamed).collect();
        if words.is_empty() { "everything resident".to_owned() } else { words.join(", ") }
    }
}

/// What kind of device it is, as far as memory and speed depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The processor; the device's memory is the computer's.
    Cpu,
    /// An NVIDIA GPU of this compute capability (major, minor).
    Cuda {
        capability: (u32, u32),
    },
    Metal,
}

/// A device to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub name: String,
    pub kind: Kind,
    /// Bytes that may be used: what is free, or a limit that was set.
    pub free: u64,
    /// Bytes that the device has.
    pub total: u64,
    /// Bytes of the computer's own memory that are free.
    pub host_free: u64,
    /// Whether attention runs in a fused kernel; otherwise tiles of scores take memory.
    pub fused_attention: bool,
}

/// A job as far as its memory and time depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Of the picture as the model sees it, in pixels.
    pub width: usize,
    pub height: usize,
    pub layers: usize,
    pub steps: usize,
    /// Whether each step asks the model twice.
    pub guided: bool,
    /// Whether the model writes the prompt itself.
    pub captioned: bool,
    /// Whether steps are cached.
    pub cached: bool,
}

/// Tokens that a prompt is counted as: the most that the model sees.
pub(crate) const WORDS: usize = 512;

impl Workload {
    /// For a picture of `width` x `height` pixels, which is brought to the size that `params` ask for.
    ///
    /// # Errors
    /// When it is too narrow for that.
    pub fn new(params: &Params, width: u32, height: u32) -> Result<Self> {
        let (width, height) = working_size(width, height, params.resolution)?;
        Ok(Self { width: width as usize, height: height as usize, ..Self::square(params) })
    }

    /// For a square picture; others of the same resolution have as many pixels but for rounding.
    pub fn square(params: &Params) -> Self {
        let side = params.resolution as usize;
        Self {
            width: side,
            height: side,
            layers: params.layers,
            steps: params.steps,
            guided: params.uses_guidance(),
            captioned: params.wants_caption(),
            cached: params.step_cache > 0.0,
        }
    }

    /// Tokens of the picture's latents: the layers, the rendering and the condition.
    pub fn image_tokens(&self) -> usize {
        (self.layers + 2) * (self.width / 16) * (self.height / 16)
    }
}

/// Bytes for people, as drivers and programs for GPUs show them: `21.3 GB` of 2^30 each.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / f64::from(1 << 30))
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, layers, steps, .. } = self;
        write!(f, "{width}x{height}, {layers} layers, {steps} steps")?;
        if self.guided { f.write_str(", guided") } else { Ok(()) }
    }
}
