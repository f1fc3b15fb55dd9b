#![doc = include_str!("../README.md")]

mod event;
mod job;
mod metadata;
mod params;
pub mod settings;

pub mod broker;
pub mod store;

pub use broker::{Broker, BrokerError};
pub use event::{Event, EventKind};
pub use job::{Failure, FailureCode, Job, JobId, Progress, State, Timings};
pub use metadata::{EngineInfo, InputInfo, LayerFlags, LayerInfo, Metadata, Recomposition, SCHEMA_VERSION};
pub use params::{CaptionLanguage, EngineChoice, LayerCount, Params, ParamsError, Resolution};
pub use store::Store;
