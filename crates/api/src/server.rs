use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use jobs::{Broker, Store};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, router};
use crate::config::Config;
use crate::decodes::Decodes;
use crate::{export, ops, removal, webhooks};

/// Pictures that may be decoded at once: each may take hundreds of megabytes.
const DECODES: usize = 2;

const CLEANUP_EVERY: Duration = Duration::from_secs(600);

/// The metrics library wants its histograms tidied now and then.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long requests may take to end once the service is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// What the API works with.
#[derive(Clone)]
pub struct Context {
    pub broker: Arc<dyn Broker>,
    pub store: Store,
    pub config: Config,
}

/// Serves on `listener` until `shutdown`. Then live streams end, requests in
/// flight get twenty seconds to finish, and the call returns.
///
/// # Errors
/// When the listener fails for good.
pub async fn run(listener: TcpListener, context: Context, shutdown: CancellationToken) -> io::Result<()> {
    ops::recorder();
    let app = App {
        exports: export::turns(context.config.export_memory),
        feed: jobs::Feed::new(context.broker.clone()),
        broker: context.broker,
        store: context.store,
        config: Arc::new(context.config),
        decodes: Decodes::new(DECODES),
        shutdown: shutdown.clone(),
        sockets: TaskTracker::new(),
    };
    let chores = tokio::spawn(chores(app.clone()));
    let webhooks = tokio::spawn(webhooks::run(app.clone()));
    let sockets = app.sockets.clone();
    // Progress frames are small; waiting to fill a packet would hold them back.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router(app).into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let mut server = tokio::spawn(server.into_future());
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown.cancelled() => match timeout(GRACE, &mut server).await {
            Ok(served) => served,
            Err(_) => {
                tracing::warn!("some requests did not end within {} s and are cut off", GRACE.as_secs());
                server.abort();
                Ok(Ok(()))
            }
        },
    };
    sockets.close();
    // Sockets see the same token, so this is short.
    let _ = timeout(GRACE, sockets.wait()).await;
    chores.abort();
    // It has a grace period of its own, and panics when it is a bug of ours: the service is at its end anyway.
    let _ = webhooks.await;
    served.unwrap_or_else(|err| Err(io::Error::other(err)))
}

/// What is to be done from time to time.
async fn chores(app: App) {
    tokio::spawn(removal::remove_unlinked(app.clone()));
    let mut cleanup = interval(CLEANUP_EVERY);
    let mut upkeep = interval(UPKEEP_EVERY);
    cleanup.set_missed_tick_behavior(MissedTickBehavior::Delay);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = cleanup.tick() => clean(&app).await,
            _ = upkeep.tick() => {
                if let Some(recorder) = ops::recorder() {
                    recorder.run_upkeep();
                }
            }
        }
    }
}

async fn clean(app: &App) {
    let cleaned = match app.config.cleanup_after {
        Some(age) => jobs::cleanup(app.broker.as_ref(), &app.store, age).await,
        None => jobs::sweep_leftovers(&app.store).await,
    };
    match cleaned {
        Ok(cleaned) if cleaned == jobs::Cleaned::default() => {}
        Ok(cleaned) => tracing::info!(
            jobs = cleaned.jobs,
            results = cleaned.results,
            uploads = cleaned.uploads,
            leftovers = cleaned.leftovers,
            "removed what was old"
        ),
        Err(err) => tracing::error!(error = %err, "the cleanup failed; it is tried again later"),
    }
}
