#![doc = include_str!("../README.md")]

mod analysis;
mod background;
mod failure;
mod fallback;
mod job;
mod live_text;
mod message;
mod name;
mod params;
mod registry;
mod sampling;
mod sink;
mod stage;
mod stop;

pub use analysis::{Analysis, LayerAnalysis, Quality, Recommendation, Verdict};
pub use background::{BackgroundQuality, BackgroundReport};
pub use failure::{Failure, FailureCode};
pub use job::{Engine, EngineError, EngineJob, EngineRun, Origin, Output};
pub use live_text::{FontInfo, FontMatch, LineInfo, LiveText, PixelLine, PixelReason, TextBlock, TextEdits};
pub use message::{Data, Message, MessageCode};
pub use name::{EngineChoice, EngineName, Tier, Traits};
pub use params::{
    CaptionLanguage, LayerCount, MAX_LAYERS, MAX_SEED, MODEL_LAYERS, OutputSize, Params, ParamsError, Resolution,
    SceneText,
};
pub use registry::{
    Availability, Choice, EngineChooser, EngineFactory, EngineOffer, EngineSet, MissingEngine, OmittedEngine, Registry,
};
pub use sampling::{LoraChoice, LoraOffer, LoraRecord, Sampler};
pub use sink::{ProgressSink, Step, Stopped};
pub use stage::Stage;
pub use stop::{Stop, StopReason};
