//! The server: connections, tasks beside them, and shutdown.

pub(crate) mod accept;
mod bodies;
mod connection;
mod connections;
mod lag;
pub(crate) mod limits;
mod stream;
mod tasks;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::{Broker, Store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connections::Connections;
use self::tasks::keep_running;
use crate::auth::Auth;
use crate::config::Config;
use crate::decodes::Decodes;
use crate::lifting::Lifting;
use crate::router::router;
use crate::state::App;
use crate::{export, prometheus, removal, webhooks};

/// How long requests may take to end once the service is told to stop.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

/// How long connections that are cut off may take to close.
const CUT_OFF: Duration = Duration::from_secs(2);

/// The parts that the API is given by its program.
#[derive(Clone)]
pub struct Context {
    pub broker: Arc<dyn Broker>,
    pub store: Store,
    pub config: Config,
}

/// Serves on `listener` until `shutdown`. Then live streams end, requests in flight get twenty seconds to finish, the
/// rest is cut off, and the call returns.
///
/// # Errors
/// None so far: accepting connections is retried.
pub async fn run(listener: TcpListener, context: Context, shutdown: CancellationToken) -> io::Result<()> {
    prometheus::recorder();
    let connections = Connections::new(context.config.connections.clone());
    tracing::debug!(most = connections.most(), "the most connections at once");
    let app = App {
        exports: export::turns(context.config.export_memory),
        lifting: Lifting::new(context.config.export_memory),
        typefaces: Arc::clone(&context.config.typefaces),
        feed: jobs::Feed::new(context.broker.clone()),
        broker: context.broker,
        store: context.store,
        auth: Auth::new(&context.config.access),
        config: Arc::new(context.config),
        decodes: Decodes::new(),
        shutdown: shutdown.clone(),
        sockets: TaskTracker::new(),
        health: Arc::default(),
    };
    let mut beside = run_beside(&app, &connections, &shutdown);
    let mut webhooks = JoinSet::new();
    webhooks.spawn(keep_running("webhooks", shutdown.clone(), {
        let app = app.clone();
        move || webhooks::run(app.clone())
    }));
    let sockets = app.sockets.clone();
    accept::accept(listener, router(app), Arc::clone(&connections), shutdown).await;

    connections.end_half_sent();
    sockets.close();
    // Webhooks have a grace period of their own, which is shorter.
    let all_ended = async { tokio::join!(connections.drained(), sockets.wait(), webhooks.join_next()) };
    if timeout(SHUTDOWN_GRACE, all_ended).await.is_err() {
        tracing::warn!("some requests did not end within {} s and are cut off", SHUTDOWN_GRACE.as_secs());
        connections.end_all();
        let _ = timeout(CUT_OFF, connections.drained()).await;
    }
    beside.shutdown().await;
    Ok(())
}

/// Starts the tasks that run beside the requests.
fn run_beside(app: &App, connections: &Arc<Connections>, shutdown: &CancellationToken) -> JoinSet<()> {
    let mut beside = JoinSet::new();
    let owned = app.clone();
    beside.spawn(keep_running("cleanup", shutdown.clone(), move || tasks::clean_up(owned.clone())));
    let owned = app.clone();
    beside.spawn(keep_running("removal", shutdown.clone(), move || removal::remove_unlinked(owned.clone())));
    beside.spawn(keep_running("metrics", shutdown.clone(), tasks::tidy_metrics));
    let health = Arc::clone(&app.health);
    beside.spawn(keep_running("health", shutdown.clone(), move || Arc::clone(&health).watch()));
    let connections = Arc::clone(connections);
    beside.spawn(keep_running("connections", shutdown.clone(), move || sweep(Arc::clone(&connections))));
    beside
}

/// Ends connections that exceed a timeout.
async fn sweep(connections: Arc<Connections>) {
    let mut ticks = interval(connections.sweep_every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        connections.sweep(Instant::now());
        metrics::gauge!("unflatten_connections").set(connections.open() as f64);
    }
}
