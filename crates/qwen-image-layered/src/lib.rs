#![doc = include_str!("../README.md")]

mod error;
mod finite;
pub mod gpu;
mod nn;
mod noise;
mod pipeline;
pub mod plan;
mod progress;
mod resize;
mod scheduler;
mod sizes;
mod stream;
pub mod synthetic;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
pub mod transformer;
pub mod vae;
pub mod weights;

pub use error::{Error, Result};
pub use nn::Products;
pub use noise::randn;
pub use pipeline::{Conditioning, Decomposer, ModelFiles, Output, Params, PassCount, Pipeline, read_latents};
pub use progress::{Monitor, Progress, Stage};
pub use resize::{lanczos, working_size};
pub use scheduler::{Schedule, SchedulerConfig, TimeShift};
