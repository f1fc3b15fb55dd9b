//! Memory plans: where each part of the model has to be for a job to fit a device, decided before anything is loaded.
//!
//! [`Footprint`] reads the headers of a checkpoint and says how large its parts are once they are loaded. With a
//! [`DeviceInfo`] and a [`Workload`], [`choose`] goes through every [`Placement`] of every available checkpoint and
//! takes the fastest that fits, or says what is short ([`NoPlan`]). Nothing here touches a device.
//!
//! ```no_run
//! use candle_core::DType;
//! use qwen_image_layered::plan::{Candidate, DeviceInfo, Footprint, Kind, Workload, choose};
//! use qwen_image_layered::{ModelFiles, Params};
//!
//! let footprint = Footprint::measure(&ModelFiles::folder("Qwen-Image-Layered"), DType::BF16)?;
//! let device = DeviceInfo {
//!     name: "RTX 4090".to_owned(),
//!     kind: Kind::Cuda { capability: (8, 9) },
//!     free: 23 << 30,
//!     total: 24 << 30,
//!     host_free: 60 << 30,
//!     fused_attention: true,
//! };
//! let candidates = [Candidate { name: "bf16", footprint: &footprint }];
//! let plan = choose(&device, &candidates, &Workload::square(&Params::default()))?;
//! println!("{}", plan.line());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choose;
mod estimate;
mod footprint;
#[cfg(test)]
mod tests;

use std::fmt;

pub use choose::{Candidate, Memory, NoPlan, Plan, Shortage, choose, plans, refusal};
pub use estimate::{Need, estimate};
pub use footprint::{Footprint, Widths};

pub use crate::placement::{BlockPlace, Passes, Placement, TextPlace};
pub use crate::units::gigabytes;
use crate::{Params, Result, working_size};

/// What kind of device it is, as far as memory and speed depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A CPU; the device's memory is the computer's.
    Cpu,
    /// An NVIDIA GPU.
    Cuda {
        /// Compute capability (major, minor).
        capability: (u32, u32),
    },
    /// An Apple GPU, which shares the computer's memory.
    Metal,
}

/// A device to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// For people, such as `NVIDIA H200`.
    pub name: String,
    /// What kind of device it is.
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
    /// Width of the picture as the model sees it, in pixels.
    pub width: usize,
    /// Height of the picture as the model sees it, in pixels.
    pub height: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of denoising steps.
    pub steps: usize,
    /// How often they call the model, guidance aside.
    pub calls: usize,
    /// Whether a step takes two passes.
    pub guided: bool,
    /// Whether the model writes the prompt itself.
    pub captioned: bool,
    /// Whether steps are cached.
    pub cached: bool,
    /// Numbers of all LoRAs together, see [`Lora::values`](crate::Lora::values).
    pub lora_values: u64,
}

/// Tokens that a prompt counts as: the most that the model sees.
pub(crate) const WORDS: usize = 512;

impl Workload {
    /// The work on a picture of `width` x `height` pixels, which is resized to the resolution of `params`.
    ///
    /// # Errors
    /// When the picture is too narrow for that.
    pub fn new(params: &Params, width: u32, height: u32) -> Result<Self> {
        let (width, height) = working_size(width, height, params.resolution)?;
        Ok(Self { width: width as usize, height: height as usize, ..Self::square(params) })
    }

    /// The work on a square picture; others of the same resolution have as many pixels but for rounding.
    pub fn square(params: &Params) -> Self {
        let side = params.resolution as usize;
        Self {
            width: side,
            height: side,
            layers: params.layers,
            steps: params.steps,
            calls: params.sampler.calls(params.steps),
            guided: params.uses_guidance(),
            captioned: params.wants_caption(),
            cached: params.step_cache > 0.0,
            lora_values: params.loras.iter().map(|lora| lora.lora.values()).sum(),
        }
    }

    /// Tokens of the picture's latents: the layers, the rendering and the condition.
    pub fn image_tokens(&self) -> usize {
        (self.layers + 2) * (self.width / 16) * (self.height / 16)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, layers, steps, .. } = self;
        write!(f, "{width}x{height}, {layers} layers, {steps} steps")?;
        if self.guided { f.write_str(", guided") } else { Ok(()) }
    }
}
