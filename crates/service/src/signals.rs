//! How a process shuts down on a signal, the same way in every binary.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was interrupted twice: 128 + SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// Exit code of a process that did not end within its grace period.
const OVERDUE: i32 = 1;

/// How long the last log line of a process may take: a blocked log must not keep the process alive.
const LAST_WORD: Duration = Duration::from_millis(200);

/// How long the runtime may take to shut down: the queue closes its file when the last task that uses it is dropped.
/// Work that hangs, for instance on a dead network disk, must not keep the process alive any longer.
pub const LAST_TASKS: Duration = Duration::from_secs(3);

/// Raises `shutdown` at the first Ctrl-C or SIGTERM. Ends the process at the second one, or `grace` after the first.
///
/// Runs on a separate thread, so that it works even if the threads of the service are blocked.
///
/// # Errors
/// When the thread cannot be started, or signal handlers cannot be installed.
pub fn stop_on_signals(shutdown: CancellationToken, grace: Option<Duration>) -> io::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || match start() {
        Ok((runtime, signals)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(watch(signals, shutdown, grace));
        }
        Err(err) => {
            let _ = ready.send(Err(err));
        }
    })?;
    is_ready.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals has ended")))
}

fn start() -> io::Result<(Runtime, Signals)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    Ok((runtime, signals))
}

async fn watch(mut signals: Signals, shutdown: CancellationToken, grace: Option<Duration>) {
    signals.next().await;
    shutdown.cancel();
    say(|| tracing::info!("shutting down; a second signal ends at once"));
    let again = signals.next();
    let Some(grace) = grace else {
        again.await;
        end(INTERRUPTED, || tracing::warn!("second signal: ending at once"));
    };
    match tokio::time::timeout(grace, again).await {
        Ok(()) => end(INTERRUPTED, || tracing::warn!("second signal: ending at once")),
        Err(_) => end(OVERDUE, move || {
            tracing::error!("the process did not end within {} s of the signal; ending at once", grace.as_secs());
        }),
    }
}

/// Logs from a detached thread.
fn say(log: impl FnOnce() + Send + 'static) {
    // If the thread cannot be started, the line is lost.
    let _ = thread::Builder::new().spawn(log);
}

fn end(code: i32, log: impl FnOnce() + Send + 'static) -> ! {
    say(log);
    thread::sleep(LAST_WORD);
    std::process::exit(code)
}

/// Shutdown requests.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(not(unix))]
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
