//! Google Cloud, both sides: what a worker asks of Vertex AI, and the container that answers there.
//!
//! The settings are always there, so that a build without the feature can say what is missing.

mod config;

#[cfg(feature = "cloud")]
pub(crate) mod advice;
#[cfg(feature = "cloud")]
pub(crate) mod clients;
#[cfg(feature = "cloud")]
pub mod container;
#[cfg(feature = "cloud")]
pub(crate) mod protocol;

pub use config::{CLOUD_VARIABLES, CloudConfig, ContainerConfig};
