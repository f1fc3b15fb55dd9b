//! `unflatten-worker`: takes jobs from Redis, runs an engine, writes the store.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig, connect};
use jobs::store::StoreConfig;
use service::{Settings, signals};
use tokio_util::sync::CancellationToken;
use unflatten::equip;
use worker::{Config, Context};

/// Works on jobs from the queue in Redis. Every setting is an environment
/// variable (or a line in ./.env): see .env.example.
#[derive(Parser)]
#[command(name = "unflatten-worker", version)]
struct Arguments {
    /// Be the container of a model on Vertex AI instead: predictions over HTTP, no queue and no store
    #[arg(long)]
    vertex: bool,
}

fn main() -> ExitCode {
    worker::one_heap();
    let arguments = Arguments::parse();
    service::run("unflatten-worker", async |settings| {
        let shutdown = CancellationToken::new();
        let limit = Config::from_settings(&settings)?.shutdown_limit();
        signals::stop_on_signals(shutdown.clone(), Some(limit)).context("signals cannot be handled")?;
        if arguments.vertex {
            serve_predictions(&settings, shutdown).await?
        } else {
            work(&settings, shutdown).await?
        }
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(feature = "cloud")]
async fn serve_predictions(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    Ok(vertex::container::serve(settings, shutdown).await?)
}

#[cfg(not(feature = "cloud"))]
async fn serve_predictions(_: &Settings, _: CancellationToken) -> anyhow::Result<()> {
    bail!("this build has no clients for Google Cloud; build it with --features cloud")
}

async fn work(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Config::from_settings(settings)?;
    let broker_config = BrokerConfig::from_settings(settings)?;
    if matches!(broker_config.backend, Backend::Embedded(_)) {
        bail!("a worker of its own needs a queue to share: set REDIS_URL, or run `unflatten serve` instead");
    }
    let store = StoreConfig::from_settings(settings)?.open().await?;
    let broker = connect(&broker_config).await.context("start Redis, or set REDIS_URL to where it is")?;
    let equipment = equip(settings, &config)?;
    for entry in equipment.engines.available() {
        match entry.state {
            Ok(offer) => tracing::info!(engine = %entry.name, device = offer.device, "engine available"),
            Err(missing) => tracing::info!(engine = %entry.name, why = missing.why, "engine not available"),
        }
    }
    worker::run(Context { broker, store, config }, equipment, shutdown).await
}
