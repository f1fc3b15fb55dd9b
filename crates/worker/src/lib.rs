#![doc = include_str!("../README.md")]

mod advice;
mod config;
pub mod describe;
pub mod engines;
mod equipment;
mod folder;
mod memory;
pub mod model;
mod queue;
pub mod run;
mod staging;
mod typefaces;
mod write;

pub use config::{Config, Retry, RunLimits, VARIABLES};
pub use describe::AnalyzerChoice;
pub use draft::allocator::one_heap as tune_allocator;
pub use equipment::Equipment;
pub use folder::{FolderError, FolderJob, FolderResult, FolderRunner, Update};
pub use memory::{free_bytes, free_disk_bytes, total_bytes};
pub use queue::{Context, EngineStuck, run};
