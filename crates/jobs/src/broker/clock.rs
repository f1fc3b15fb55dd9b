//! The queue's time. The wall clock only says when something happened: people and NTP set it, forward and back. Order,
//! delays and ages use a time of the queue's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::Timings;

/// The machine's wall clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Offset set by a test, in milliseconds.
    set_by_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The present time.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::milliseconds(self.set_by_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock forward, or back, as a person or NTP would.
    #[cfg(feature = "testing")]
    pub fn set(&self, by: time::Duration) {
        let by_ms = i64::try_from(by.whole_milliseconds()).unwrap_or(i64::MAX);
        self.set_by_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// One point in time: by the wall clock, for people, and by the queue's own time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: OffsetDateTime,
    /// Milliseconds that started at the wall clock and have advanced evenly since.
    pub(super) even_ms: i64,
}

impl Moment {
    /// The queue's own time `wait` after this moment, in milliseconds.
    pub(super) fn after(self, wait: Duration) -> i64 {
        self.even_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    }

    /// The wall clock for an event of a job. A clock that was set back must not let a job end before it started.
    pub(super) fn shown(self, timings: &Timings) -> OffsetDateTime {
        let latest = timings.started_at.unwrap_or(timings.created_at).max(timings.created_at);
        self.wall.max(latest)
    }
}

/// The queue's own time. It advances with the monotonic clock; over a restart it advances by as much as the wall clock
/// did, and never goes back.
#[derive(Debug)]
pub(super) struct EvenTime {
    clock: Clock,
    start_ms: i64,
    start: Instant,
}

impl EvenTime {
    /// Resumes from `last`: the queue's own time and the wall clock when they were last stored, in milliseconds.
    pub(super) fn resume(clock: Clock, last: Option<(i64, i64)>) -> Self {
        let wall_ms = milliseconds(clock.now());
        let start_ms = match last {
            Some((even_ms, stored_at_ms)) => even_ms.saturating_add(wall_ms.saturating_sub(stored_at_ms).max(0)),
            None => wall_ms,
        };
        Self { clock, start_ms, start: Instant::now() }
    }

    pub(super) fn now(&self) -> Moment {
        let passed_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment { wall: self.clock.now(), even_ms: self.start_ms.saturating_add(passed_ms) }
    }

    /// The queue's own time when the wall clock showed `at`, unless the clock was set in between.
    pub(super) fn at(&self, at: OffsetDateTime) -> i64 {
        let now = self.now();
        let ago_ms = milliseconds(now.wall).saturating_sub(milliseconds(at));
        now.even_ms.saturating_sub(ago_ms)
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_own_time_goes_on_over_a_restart_and_never_back() {
        let clock = Clock::default();
        let wall_ms = milliseconds(clock.now());
        let resumed = |even_ms, stored_at_ms| {
            let even = EvenTime::resume(clock.clone(), Some((even_ms, stored_at_ms))).now().even_ms;
            even - even_ms
        };
        let soon = 0..60_000;
        assert!(soon.contains(&resumed(5_000, wall_ms)));
        assert!(soon.contains(&(resumed(5_000, wall_ms - 3_600_000) - 3_600_000)), "the service was down for an hour");
        assert!(soon.contains(&resumed(5_000, wall_ms + 3_600_000)), "the clock was set back by an hour");
        assert!(soon.contains(&(EvenTime::resume(clock.clone(), None).now().even_ms - wall_ms)));
    }
}
