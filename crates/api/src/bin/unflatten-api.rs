//! The API on its own. Workers on this or other machines meet it in Redis and
//! in the store.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig};
use jobs::settings::{SettingError, Settings};
use jobs::store::StoreConfig;
use jobs::telemetry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serve Unflatten's page and API; workers run on their own
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

/// Bad settings, like bad options.
const BAD_USE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // A missing .env is the usual case; one that cannot be read is told of below.
    let dotenv = dotenvy::dotenv();
    let settings = Settings::from_env();
    if let Err(err) = telemetry::init(&settings) {
        eprintln!("unflatten-api: {err}");
        return ExitCode::from(BAD_USE);
    }
    if let Err(err) = dotenv
        && !err.not_found()
    {
        tracing::warn!(error = %err, ".env cannot be read");
    }
    match serve(&settings, &options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            tracing::error!("{err:#}");
            let is_setting = err.is::<SettingError>();
            if is_setting { ExitCode::from(BAD_USE) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let mut config = api::Config::from_settings(settings)?;
    config.host = options.host.unwrap_or(config.host);
    config.port = options.port.unwrap_or(config.port);
    let broker_config = BrokerConfig::from_settings(settings)?;
    if let Backend::Embedded(_) = broker_config.backend {
        let problem = "must be set, because the API on its own reaches its workers through Redis; `unflatten` has a \
                       worker and a queue inside";
        return Err(SettingError { name: "REDIS_URL", value: String::new(), problem: problem.to_owned() }.into());
    }
    let store = StoreConfig::from_settings(settings)?.open().await?;
    let broker = jobs::broker::connect(&broker_config).await.context("the queue cannot be used; check REDIS_URL")?;
    let listener = TcpListener::bind((config.host, config.port))
        .await
        .with_context(|| format!("cannot listen on {}:{}; choose another PORT", config.host, config.port))?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}, API description on http://{address}/docs");

    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone()));
    api::run(listener, api::Context { broker, store, config }, shutdown).await?;
    Ok(())
}

/// Ctrl-C, or what container runtimes send to stop a process.
async fn stop_on_signal(shutdown: CancellationToken) {
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
    tracing::info!("stopping: requests in flight may finish, live streams end");
    shutdown.cancel();
}
