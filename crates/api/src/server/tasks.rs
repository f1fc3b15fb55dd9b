//! Periodic tasks.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::prometheus;
use crate::state::App;

const CLEANUP_EVERY: Duration = Duration::from_secs(600);

/// How often the metrics library compacts its histograms.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Waits before a task that panicked is restarted.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Runs a task until it returns, and restarts it when it panics: one bad job or file must not end the cleanup of all.
/// Dropping the future drops the task.
pub(super) async fn keep_running<F>(name: &'static str, shutdown: CancellationToken, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        let mut running = JoinSet::new();
        running.spawn(task());
        match running.join_next().await {
            Some(Err(err)) if err.is_panic() => {
                tracing::error!(task = name, error = %err, "a task of the service panicked; restarting it");
            }
            _ => return,
        }
        wait = if started.elapsed() > LONGEST_WAIT { FIRST_WAIT } else { wait };
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = shutdown.cancelled() => return,
        }
    }
}

pub(super) async fn clean_up(app: App) {
    let mut ticks = interval(CLEANUP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let cleaned = match app.config.cleanup_after {
            Some(age) => jobs::cleanup(app.broker.as_ref(), &app.store, age).await,
            None => jobs::sweep_leftovers(&app.store).await,
        };
        match cleaned {
            Ok(cleaned) if cleaned == jobs::CleanupReport::default() => {}
            Ok(cleaned) => tracing::info!(
                jobs = cleaned.jobs,
                results = cleaned.results,
                uploads = cleaned.uploads,
                leftovers = cleaned.leftovers,
                "removed old jobs and files"
            ),
            Err(err) => tracing::error!(error = %err, "the cleanup failed; retrying later"),
        }
    }
}

pub(super) async fn tidy_metrics() {
    let mut ticks = interval(UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(recorder) = prometheus::recorder() {
            recorder.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_starts_again() {
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let task = move || {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(start >= 1, "the first time") }
        };
        keep_running("test", CancellationToken::new(), task).await;
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_wait_for_another_start() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        keep_running("test", shutdown, || async { panic!("always") }).await;
    }
}
