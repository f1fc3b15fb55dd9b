use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why an engine is told to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Someone asked to cancel the job.
    Cancelled,
    /// Another worker has the job, or it is over.
    Lost,
    /// It ran longer than it may; the limit in seconds.
    TimedOut { limit_s: u64 },
    /// It made no progress for too long; what that was and what to do.
    Stalled { message: String },
    /// It took more memory than it may; both in bytes.
    OutOfMemory { used: u64, limit: u64 },
    /// The worker shuts down and its grace period is over.
    ShuttingDown,
}

/// Tells an engine, from any thread, to give up. The first reason stands. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    // Read by the engine at every step: one atomic load.
    reason: OnceLock<StopReason>,
    raised: CancellationToken,
}

impl Stop {
    /// Tells the engine to give up; later reasons are ignored.
    pub fn raise(&self, reason: StopReason) {
        if self.shared.reason.set(reason).is_ok() {
            self.shared.raised.cancel();
        }
    }

    /// Why to give up, once that is so.
    pub fn reason(&self) -> Option<&StopReason> {
        self.shared.reason.get()
    }

    /// Waits until there is a reason.
    pub async fn raised(&self) {
        self.shared.raised.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands() {
        let stop = Stop::default();
        assert_eq!(stop.reason(), None);
        stop.clone().raise(StopReason::Cancelled);
        stop.raise(StopReason::Lost);
        stop.raised().await;
        assert_eq!(stop.reason(), Some(&StopReason::Cancelled));
    }
}
