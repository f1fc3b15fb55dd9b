#![doc = include_str!("../README.md")]

mod activity;
mod advice;
mod analysis;
mod attempt;
pub mod cloud;
mod config;
mod engine;
pub mod engines;
mod fault;
mod follow;
mod host;
mod local;
mod memory;
pub mod model;
mod outage;
mod panics;
mod progress;
mod result;
mod service;
mod staging;
mod stall;
mod stop;
mod watch;

pub use analysis::{AnalyzerChoice, AnalyzerConfig};
pub use cloud::CLOUD_VARIABLES;
pub use config::{Config, VARIABLES};
pub use draft::allocator::one_heap;
pub use engine::{Decomposition, Engine, EngineError, EngineJob, ProgressSink, Step, Stopped};
pub use local::{Local, LocalDone, LocalError, LocalJob, Told};
pub use memory::{free_bytes, free_disk_bytes, total_bytes};
pub use outage::Retry;
pub use service::{Context, EngineStuck, run, run_with};
pub use stop::{Stop, StopReason};
