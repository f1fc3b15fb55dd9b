//! `unflatten-worker`: takes jobs from Redis, runs an engine, writes the store.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig, connect};
use jobs::settings::Settings;
use jobs::store::StoreConfig;
use tokio_util::sync::CancellationToken;
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
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unflatten-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => bail!("the file .env cannot be read: {error}"),
    }
    let settings = Settings::from_env();
    jobs::telemetry::init(&settings)?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime cannot be started")?;
    let shutdown = CancellationToken::new();
    jobs::signals::stop_on_signals(shutdown.clone(), Some(Config::from_settings(&settings)?.shutdown_limit()))?;
    let result = runtime.block_on(async {
        if arguments.vertex { serve_predictions(&settings, shutdown).await } else { work(&settings, shutdown).await }
    });
    runtime.shutdown_timeout(jobs::signals::LAST_TASKS);
    result
}

#[cfg(feature = "cloud")]
async fn serve_predictions(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    Ok(worker::cloud::container::serve(settings, shutdown).await?)
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
    for entry in worker::engines::available(&config) {
        match entry.state {
            Ok(offer) => tracing::info!(engine = %entry.name, device = offer.device, "engine available"),
            Err(missing) => tracing::info!(engine = %entry.name, why = missing.why, "engine not available"),
        }
    }
    worker::run(Context { broker, store, config }, shutdown).await
}
