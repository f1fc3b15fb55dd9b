//! The state that all handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use jobs::{Broker, Feed, Store, Typefaces};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::config::Config;
use crate::decodes::Decodes;
use crate::health::Health;
use crate::lifting::Lifting;
use crate::turns::Turns;

/// The state of the service, which every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub broker: Arc<dyn Broker>,
    /// The events of jobs, for all followers in this process.
    pub feed: Feed,
    pub store: Store,
    pub config: Arc<Config>,
    /// Tokens, signatures and limits of callers.
    pub(crate) auth: Arc<Auth>,
    /// Limits how many pictures are decoded at once.
    pub decodes: Decodes,
    /// The exports that wait and run.
    pub exports: Arc<Turns>,
    /// Parts that are lifted off layers.
    pub(crate) lifting: Arc<Lifting>,
    /// What exports set words in.
    pub typefaces: Arc<Typefaces>,
    pub shutdown: CancellationToken,
    /// Open WebSockets, which the HTTP server does not wait for itself.
    pub sockets: TaskTracker,
    pub health: Arc<Health>,
}

impl FromRef<App> for Arc<Config> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.config)
    }
}
