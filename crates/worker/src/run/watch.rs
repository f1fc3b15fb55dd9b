//! Limits of a run, each watched by its own task: none of them waits for the engine.

use std::time::Duration;

use engine::{Stop, StopReason};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::config::RunLimits;
use crate::memory::{ResidentMemory, free_bytes};

/// How often the memory of the process is measured.
const MEMORY_INTERVAL: Duration = Duration::from_millis(500);

/// The tasks that watch the limits of a run, until dropped.
pub struct Watchers(JoinSet<()>);

impl Watchers {
    pub(super) fn start(limits: &RunLimits, stop: &Stop) -> Self {
        let mut watchers = Self(JoinSet::new());
        watchers.add(time(limits.time, stop.clone()));
        watchers.add(memory(limits.memory, stop.clone()));
        watchers
    }

    /// Adds another watcher.
    pub(crate) fn add(&mut self, watch: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(watch);
    }
}

async fn time(limit: Duration, stop: Stop) {
    sleep(limit).await;
    stop.raise(StopReason::TimedOut { limit_s: limit.as_secs() });
}

/// Stops the engine when the process has grown by more than `limit` bytes (`None`: what is free now).
async fn memory(limit: Option<u64>, stop: Stop) {
    let Some(mut resident) = ResidentMemory::new() else { return };
    let Some(before) = resident.bytes() else { return };
    let Some(limit) = limit.or_else(free_bytes) else { return };
    let mut ticks = interval(MEMORY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let used = resident.bytes().unwrap_or(before).saturating_sub(before);
        if used > limit {
            stop.raise(StopReason::OutOfMemory { used, limit });
            return;
        }
    }
}
