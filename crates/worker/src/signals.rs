use tokio_util::sync::CancellationToken;

/// Exit code of a process that was interrupted twice: 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// Raises `shutdown` at the first Ctrl-C or SIGTERM and ends the process at the second.
///
/// # Panics
/// When the system lets no signal handler be set, which only a broken sandbox does.
pub async fn stop_on_signals(shutdown: CancellationToken) {
    signal().await;
    tracing::info!("shutting down; a second signal ends at once");
    shutdown.cancel();
    signal().await;
    tracing::warn!("second signal: ending at once");
    std::process::exit(INTERRUPTED);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.expect("Ctrl-C can be handled"),
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    tokio::signal::ctrl_c().await.expect("Ctrl-C can be handled");
}
