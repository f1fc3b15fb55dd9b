#![doc = include_str!("../README.md")]

mod engine;

pub use engine::{Decomposition, Engine, EngineError, ProgressSink, Step, Stopped};
