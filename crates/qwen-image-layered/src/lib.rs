#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![allow(unreachable_pub, reason = "which modules are public depends on the features `testing` and `synthetic`")]

mod bytes;
mod degradation;
mod error;
mod finite;
pub mod gpu;
mod lora;
mod nn;
mod noise;
mod options;
mod pipeline;
mod placement;
pub mod plan;
mod progress;
mod resize;
mod sampler;
mod scheduler;
mod sizes;
mod stream;
#[cfg(feature = "synthetic")]
pub mod synthetic;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod transformer;
mod units;
pub mod vae;
pub mod weights;

pub use degradation::{Degradation, KernelSet};
pub use error::{Error, Result};
pub use lora::{Lora, LoraUse};
pub use nn::MatmulPrecision;
pub use noise::randn;
pub use options::LoadOptions;
pub use pipeline::{Conditioning, Decomposer, Output, Params, PassCount, Pipeline, read_latents};
pub use progress::{Monitor, Progress, Stage};
pub use resize::{lanczos, working_size};
pub use sampler::{Sampler, Sampling};
pub use scheduler::{Schedule, SchedulerConfig, TimeShift};
pub use weights::{ModelFiles, WeightSource};
