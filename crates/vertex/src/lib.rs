#![doc = include_str!("../README.md")]

mod advice;
mod call;
mod clients;
mod config;
pub mod container;
mod engine;
mod gemini;
mod protocol;

pub use self::config::{CloudConfig, ContainerConfig, GeminiConfig, VARIABLES};
pub use self::engine::VertexFactory;
pub use self::gemini::GeminiAnalyzer;
