//! `unflatten-worker`: takes jobs from Redis, runs engines, writes results.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig, connect};
use jobs::store::StoreConfig;
use service::{Settings, signals};
use tokio_util::sync::CancellationToken;
use unflatten::equip;
use worker::{Config, Context};

/// Runs jobs from the queue in Redis. Settings are environment variables, or
/// lines in the file .env of the current folder; .env.example lists them all.
#[derive(Parser)]
#[command(name = "unflatten-worker", version)]
struct Arguments {
    /// Serve predictions over HTTP as a container on Vertex AI, without a queue
    #[arg(long)]
    vertex: bool,
}

fn main() -> ExitCode {
    worker::tune_allocator();
    let arguments = Arguments::parse();
    service::run("unflatten-worker", async |settings| {
        let shutdown = CancellationToken::new();
        let limit = Config::from_settings(&settings)?.shutdown_limit();
        signals::stop_on_signals(shutdown.clone(), Some(limit)).context("signal handlers cannot be installed")?;
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
    bail!("this build does not support Google Cloud; build it with --features cloud")
}

async fn work(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Config::from_settings(settings)?;
    let broker_config = BrokerConfig::from_settings(settings)?;
    if matches!(broker_config.backend, Backend::Embedded(_)) {
        bail!("a separate worker needs a shared queue; set REDIS_URL, or run `unflatten serve` instead");
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
