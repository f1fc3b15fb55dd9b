use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why an engine has to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The job was cancelled.
    Cancelled,
    /// Another worker has the job, or it is over.
    Lost,
    /// The job ran longer than `JOB_TIMEOUT_S`.
    TimedOut {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// The job made no progress for `STALL_TIMEOUT_S`.
    Stalled {
        /// What the job was doing, and what to do.
        message: String,
    },
    /// The job used more memory than allowed.
    OutOfMemory {
        /// Memory that it used, in bytes.
        used: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The worker shuts down, and the grace period is over.
    ShuttingDown,
}

/// A flag that tells an engine to stop, from any thread. The first reason is kept. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
    /// A stop that raises this one too.
    parent: Option<Box<Self>>,
}

#[derive(Debug, Default)]
struct Shared {
    // The engine reads it at every step: one atomic load.
    reason: OnceLock<StopReason>,
    raised: CancellationToken,
}

impl Stop {
    /// A stop that is raised with this one, but does not raise it: for one of several jobs.
    pub fn child(&self) -> Self {
        let shared = Shared { reason: OnceLock::new(), raised: self.shared.raised.child_token() };
        Self { shared: Arc::new(shared), parent: Some(Box::new(self.clone())) }
    }

    /// Raises the stop; later reasons are ignored.
    pub fn raise(&self, reason: StopReason) {
        if self.shared.reason.set(reason).is_ok() {
            self.shared.raised.cancel();
        }
    }

    /// The reason; `None` until the stop is raised.
    pub fn reason(&self) -> Option<&StopReason> {
        self.shared.reason.get().or_else(|| self.parent.as_ref()?.reason())
    }

    /// Waits until the stop is raised.
    pub async fn raised(&self) {
        self.shared.raised.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_is_kept() {
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
        assert_eq!(first.reason(), Some(&StopReason::TimedOut { limit_s: 1 }), "the first reason is kept");
    }
}
