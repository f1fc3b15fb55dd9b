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
    /// Raised with this one, by a reason of its own.
    parent: Option<Box<Self>>,
}

#[derive(Debug, Default)]
struct Shared {
    // Read by the engine at every step: one atomic load.
    reason: OnceLock<StopReason>,
    raised: CancellationToken,
}

impl Stop {
    /// A stop that is also raised when this one is, and does not raise it: for one of several pieces of work.
    pub fn child(&self) -> Self {
        let shared = Shared { reason: OnceLock::new(), raised: self.shared.raised.child_token() };
        Self { shared: Arc::new(shared), parent: Some(Box::new(self.clone())) }
    }

    /// Tells the engine to give up; later reasons are ignored.
    pub fn raise(&self, reason: StopReason) {
        if self.shared.reason.set(reason).is_ok() {
            self.shared.raised.cancel();
        }
    }

    /// Why to give up, once that is so.
    pub fn reason(&self) -> Option<&StopReason> {
        self.shared.reason.get().or_else(|| self.parent.as_ref()?.reason())
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

    #[tokio::test]
    async fn a_child_stops_with_its_parent_and_not_the_other_way_round() {
        let parent = Stop::default();
        let (first, second) = (parent.child(), parent.child());
        first.raise(StopReason::TimedOut { limit_s: 1 });
        assert_eq!((parent.reason(), second.reason()), (None, None));
        parent.raise(StopReason::Cancelled);
        second.raised().await;
        assert_eq!(second.reason(), Some(&StopReason::Cancelled));
        assert_eq!(first.reason(), Some(&StopReason::TimedOut { limit_s: 1 }), "the first reason stands");
    }
}
