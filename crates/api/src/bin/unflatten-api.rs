//! The API without a worker. Workers on this or other machines share Redis and the storage with it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use jobs::broker::{Backend, BrokerConfig};
use jobs::store::StoreConfig;
use service::{Failure, SettingError, Settings};
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
    /// Ask the service that runs on this machine with these settings whether it works, and exit with 0 or 1
    #[arg(long)]
    health: bool,
}

/// Time for the process to end after the grace period of requests.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(6);

/// Time for the answer of a service that works.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let options = Options::parse();
    service::run("unflatten-api", async |settings| {
        if options.health {
            return check_health(&settings, &options);
        }
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

/// What the health check of a container runs: `/healthz` of the service in it.
fn check_health(settings: &Settings, options: &Options) -> Result<ExitCode, Failure> {
    let config = api::Config::from_settings(settings)?.at(options.host, options.port)?;
    let host = match config.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let status = health_status(SocketAddr::new(host, config.port)).context("the service does not answer")?;
    if status == "200" {
        return Ok(ExitCode::SUCCESS);
    }
    Err(anyhow::anyhow!("the service answers {status}").into())
}

/// The status of the answer to `GET /healthz`.
fn health_status(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTH_TIMEOUT))?;
    stream.set_write_timeout(Some(HEALTH_TIMEOUT))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    // HTTP/1.1 200 OK
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = start.strip_prefix(b"HTTP/1.1 ").context("the answer is not HTTP")?;
    Ok(String::from_utf8_lossy(status).into_owned())
}
