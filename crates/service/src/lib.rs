#![doc = include_str!("../README.md")]

mod failure;
mod run;
mod settings;
pub mod signals;
mod size;
pub mod telemetry;
mod text;

pub use failure::Failure;
pub use run::run;
pub use settings::{SettingError, Settings, Variable};
pub use size::ByteSize;
pub use telemetry::VARIABLES;
pub use text::{counted, error_chain, hex};
