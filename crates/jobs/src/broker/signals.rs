use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, timeout_at};

use super::BrokerError;
use crate::JobId;

/// How many wakes a slow listener may fall behind. One that falls further behind is told so, and polls.
const BACKLOG: usize = 1024;

/// Wakes the listeners in this process.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    events: broadcast::Sender<JobId>,
    work: Arc<Notify>,
}

impl Signals {
    pub(super) fn new() -> Self {
        Self { events: broadcast::Sender::new(BACKLOG), work: Arc::new(Notify::new()) }
    }

    /// Signals that some jobs got an event, and whether there may be a job to take.
    pub(super) fn send(&self, touched: &[JobId], has_work: bool) {
        for id in touched {
            // Fails when nobody listens, which is fine.
            let _ = self.events.send(*id);
        }
        if has_work {
            self.work.notify_waiters();
        }
    }

    pub(super) fn events(&self) -> broadcast::Receiver<JobId> {
        self.events.subscribe()
    }

    /// Calls `look` now, whenever there may be work, and every `poll`, until it finds some or `wait` has passed.
    pub(super) async fn wait_for_work<T, F>(
        &self,
        wait: Duration,
        poll: Duration,
        mut look: impl FnMut() -> F,
    ) -> Result<Option<T>, BrokerError>
    where
        F: Future<Output = Result<Option<T>, BrokerError>>,
    {
        let end = Instant::now() + wait;
        loop {
            // Armed before looking, so that work that arrives in between is not missed.
            let mut woken = std::pin::pin!(self.work.notified());
            woken.as_mut().enable();
            let found = look().await?;
            let now = Instant::now();
            if found.is_some() || now >= end {
                return Ok(found);
            }
            // Look again in either case.
            let _ = timeout_at(end.min(now + poll), woken).await;
        }
    }
}
