#![doc = include_str!("../README.md")]

mod analysis;
mod cleanup;
mod defaults;
pub mod edits;
mod event;
mod follow;
mod job;
mod metadata;
mod params;
mod priority;
mod removal;
mod state;
pub mod tree;
mod variables;
mod webhook;

pub mod broker;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use analysis::{Analysis, LayerAnalysis, Quality, Recommendation, Verdict};
pub use broker::{Broker, BrokerError};
pub use cleanup::{CleanupError, CleanupReport, cleanup, cleanup_after, sweep_leftovers};
pub use defaults::JobDefaults;
pub use event::{Event, EventKind};
pub use follow::{Feed, FollowedEvent, Update};
pub use job::{Failure, FailureCode, Job, JobId, Progress, State, Timings};
pub use metadata::{
    ChildJob, EngineInfo, InputInfo, LayerFlags, LayerInfo, Metadata, ModelLayers, ParentLayer, Recomposition,
    SCHEMA_VERSION, Size,
};
pub use params::{
    CaptionLanguage, EngineChoice, LayerCount, MAX_LAYERS, MAX_SEED, OutputSize, Params, ParamsError, Resolution,
};
pub use priority::Priority;
pub use removal::{Removal, remove, remove_unlinked};
pub use store::Store;
pub use variables::VARIABLES;
pub use webhook::{DeliveriesInFlight, Delivery, DeliveryOutcome, Webhook, WebhookEvent};
