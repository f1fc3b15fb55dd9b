#![doc = include_str!("../README.md")]

mod error;
mod nn;
mod progress;
pub mod text;
pub mod weights;

pub use error::{Error, Result};
pub use progress::{Monitor, Progress, Stage};
