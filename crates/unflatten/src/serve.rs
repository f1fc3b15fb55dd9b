//! `unflatten serve`: web page, API and worker in one process.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use engine::{Availability, EngineChoice, EngineChooser};
use jobs::broker::{Backend, BrokerConfig, connect};
use jobs::store::StoreConfig;
use service::{Failure, Settings, error_chain};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use unflatten::equip;

use crate::arguments::ServeArguments;

/// Grace period of open connections (live streams, slow downloads) after the worker has ended.
const API_DRAIN: Duration = Duration::from_secs(5);

/// Runs the command until a signal.
///
/// # Errors
/// When a setting is not valid, the service cannot start, or the worker or the API fails.
pub(crate) async fn serve(arguments: &ServeArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let host = arguments.host.as_deref().map(parse_host).transpose()?;
    let api_config = api::Config::from_settings(settings)?.at(host, arguments.port)?;
    let mut worker_config = worker::Config::from_settings(settings)?;
    // One list for the process.
    worker_config.typefaces = Arc::clone(&api_config.typefaces);
    let equipment = equip(settings, &worker_config)?;
    let broker_config = BrokerConfig::from_settings(settings)?;
    let store_config = StoreConfig::from_settings(settings)?;

    api::raise_descriptor_limit();
    // First: a second service must not touch the queue of the running one.
    let (listener, address) = bind(api_config.host, api_config.port)?;
    let store = store_config.open().await.map_err(|error| Failure::Failed(error_chain(&error)))?;
    let broker = connect(&broker_config).await.map_err(|error| {
        let advice = match broker_config.backend {
            Backend::Redis(_) => "start Redis, or unset REDIS_URL and REDIS_HOST to keep the queue in a file",
            Backend::Embedded(_) => "check EMBEDDED_QUEUE_FILE, and that no other service uses it",
        };
        Failure::Failed(format!("{}; {advice}", error_chain(&error)))
    })?;
    greet(address, broker.name(), &equipment.engines.available());

    let stop = CancellationToken::new();
    service::signals::stop_on_signals(stop.clone(), Some(worker_config.shutdown_limit() + API_DRAIN))
        .map_err(|error| Failure::Failed(format!("signal handlers cannot be installed: {error}")))?;
    let stop_api = CancellationToken::new();
    let context = api::Context { broker: broker.clone(), store: store.clone(), config: api_config };
    let mut api = tokio::spawn(api::run(listener, context, stop_api.clone()));
    let context = worker::Context { broker, store, config: worker_config };
    let mut worker = tokio::spawn(worker::run(context, equipment, stop.clone()));

    // The API outlives the worker, so that clients see how the last job ends.
    let result = tokio::select! {
        ended = &mut worker => worker_result(ended),
        ended = &mut api => {
            stop.cancel();
            let _ = worker.await;
            return Err(api_failure(ended));
        }
    };
    stop_api.cancel();
    if timeout(API_DRAIN, api).await.is_err() {
        tracing::info!("closing connections that are still open");
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn worker_result(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Failed(format!("the worker failed: {error:#}; restart the service"))),
        Err(error) => Err(Failure::Failed(format!("the worker crashed ({error}); please report this bug"))),
    }
}

fn api_failure(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Failure {
    Failure::Failed(match ended {
        Ok(Ok(())) => "the API ended unexpectedly; please report this bug".to_owned(),
        Ok(Err(error)) => format!("the API failed: {error}; restart the service"),
        Err(error) => format!("the API crashed ({error}); please report this bug"),
    })
}

fn parse_host(text: &str) -> Result<IpAddr, Failure> {
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse().map_err(|_| {
        Failure::BadUse(format!(
            "--host {text} is not a valid address; use one such as 127.0.0.1, 0.0.0.0 or localhost"
        ))
    })
}

fn bind(host: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), Failure> {
    let listen_failure = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("stop the program that uses it, or choose another port: --port {}", next_port(port))
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are privileged; choose another: --port 8000".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; use --host 127.0.0.1 or 0.0.0.0".to_owned()
            }
            _ => "choose another with --host and --port".to_owned(),
        };
        Failure::Failed(format!("cannot listen on {}: {error}; {advice}", SocketAddr::new(host, port)))
    };
    let listener = api::listen(SocketAddr::new(host, port)).map_err(listen_failure)?;
    let address = listener.local_addr().map_err(listen_failure)?;
    Ok((listener, address))
}

fn next_port(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(8000)
}

/// Prints the address, the engine for `auto` and the queue.
fn greet(address: SocketAddr, queue: &str, engines: &[Availability]) {
    println!("Unflatten is ready: http://{}", browsable(address));
    let chooser = EngineChooser(engines);
    match chooser.choose(EngineChoice::Auto) {
        Ok(choice) => {
            println!("Engine: {}, {}", choice.engine, choice.reason);
            for (name, why) in chooser.better(choice.engine) {
                println!("  {name}: {why}");
            }
        }
        Err(failure) => println!("Engine: none; {}", failure.message),
    }
    println!("Queue: {queue}. Press Ctrl-C to stop.");
}

/// An address that a browser on this machine can open.
fn browsable(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        return format!("localhost:{}", address.port());
    }
    address.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_address_can_be_opened() {
        for (address, expected) in
            [("127.0.0.1:8000", "localhost:8000"), ("0.0.0.0:80", "localhost:80"), ("10.0.0.1:8000", "10.0.0.1:8000")]
        {
            assert_eq!(browsable(address.parse().expect(address)), expected);
        }
    }

    #[tokio::test]
    async fn a_taken_port_comes_with_advice() {
        let (listener, address) = bind(IpAddr::from([127, 0, 0, 1]), 0).expect("a free port");
        let failure = bind(address.ip(), address.port()).expect_err("it is taken");
        assert!(failure.to_string().contains("--port"), "{failure}");
        drop(listener);
    }
}
