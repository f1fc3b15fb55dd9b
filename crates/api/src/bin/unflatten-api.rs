//! The API without a worker. Workers on this or other machines share Redis and the storage with it.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig};
use jobs::store::StoreConfig;
use service::{SettingError, Settings};
use tokio_util::sync::CancellationToken;

/// Serve Unflatten's page and API; workers run as processes of their own
#[derive(Parser)]
#[command(name = "unflatten-api", version)]
struct Options {
    /// Address to listen on (HOST)
    #[arg(long)]
    host: Option<IpAddr>,
    /// Port to listen on (PORT)
    #[arg(long)]
    port: Option<u16>,
}

/// Time for the process to end after the grace period of requests.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    let options = Options::parse();
    service::run("unflatten-api", async |settings| {
        api::raise_descriptor_limit();
        serve(&settings, &options).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn serve(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let config = api::Config::from_settings(settings)?.at(options.host, options.port)?;
    let broker_config = BrokerConfig::from_settings(settings)?;
    if let Backend::Embedded(_) = broker_config.backend {
        let problem = "must be set, because this program reaches its workers through Redis; `unflatten` has a worker and a \
                       queue of its own";
        return Err(SettingError { name: "REDIS_URL", value: String::new(), problem: problem.to_owned() }.into());
    }
    let store = StoreConfig::from_settings(settings)?.open().await?;
    let broker = jobs::broker::connect(&broker_config).await.context("the queue cannot be used; check REDIS_URL")?;
    let listener = api::listen(SocketAddr::new(config.host, config.port))
        .with_context(|| format!("cannot listen on {}:{}; choose another PORT", config.host, config.port))?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}, API description on http://{address}/docs");

    let shutdown = CancellationToken::new();
    service::signals::stop_on_signals(shutdown.clone(), Some(api::SHUTDOWN_GRACE + SHUTDOWN_MARGIN))
        .context("signals cannot be handled")?;
    api::run(listener, api::Context { broker, store, config }, shutdown).await?;
    Ok(())
}
