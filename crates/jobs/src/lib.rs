#![doc = include_str!("../README.md")]

mod cleanup;
mod defaults;
pub mod document;
pub mod edits;
mod event;
mod follow;
mod job;
mod metadata;
mod priority;
mod removal;
mod state;
pub mod tree;
mod typefaces;
mod variables;
mod webhook;

pub mod broker;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use broker::{Broker, BrokerError};
pub use cleanup::{CleanupError, CleanupReport, cleanup, cleanup_after, sweep_leftovers};
pub use defaults::JobDefaults;
// What a job says of its engine is in the engine's own types.
pub use engine::{
    Analysis, BackgroundQuality, BackgroundReport, CaptionLanguage, Data, EngineChoice, EngineName, EngineOffer,
    Failure, FailureCode, LayerCount, LiveText, LoraChoice, LoraRecord, MAX_LAYERS, MAX_SEED, Message, MessageCode,
    OutputSize, Params, ParamsError, Resolution, Sampler, SceneText, Stage, TextEdits,
};
pub use event::{Event, EventKind};
pub use follow::{Feed, FollowedEvent, Update};
pub use job::{Job, JobId, Progress, State, Timings};
pub use metadata::{
    ChildJob, EngineInfo, InputInfo, LayerFlags, LayerInfo, Metadata, ModelLayers, ParentLayer, Recomposition,
    SCHEMA_VERSION, Size,
};
pub use priority::Priority;
pub use removal::{Removal, remove, remove_unlinked};
pub use store::Store;
pub use typefaces::Typefaces;
pub use variables::VARIABLES;
pub use webhook::{DeliveriesInFlight, Delivery, DeliveryOutcome, Webhook, WebhookEvent};
