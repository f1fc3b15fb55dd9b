use std::time::{Duration, Instant};

/// Bytes a second below which a client falls behind: slower than any connection in use.
const SLOWEST: f64 = 1024.0;

/// How far a client is behind: the time that was spent waiting for it, minus the time that its bytes take on the slowest
/// line. A client that stops or drips falls behind, a slow one does not.
#[derive(Debug, Default)]
pub(super) struct Lag {
    behind: Duration,
    waiting_since: Option<Instant>,
}

impl Lag {
    /// The client has to send or read before anything goes on.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// The client sent or read `bytes`.
    pub(super) fn moved(&mut self, now: Instant, bytes: usize) {
        let worth = Duration::from_secs_f64(bytes as f64 / SLOWEST);
        self.behind = self.at(now).saturating_sub(worth);
        self.waiting_since = None;
    }

    /// Nothing more is expected of the client.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    pub(super) fn at(&self, now: Instant) -> Duration {
        let waiting = self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.behind + waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lag after 100 rounds of `seconds` of waiting for `bytes`.
    fn after(seconds: u64, bytes: usize) -> Duration {
        let mut lag = Lag::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            lag.wait(now);
            now += Duration::from_secs(seconds);
            lag.moved(now, bytes);
        }
        lag.at(now)
    }

    #[test]
    fn dripping_falls_behind_and_a_slow_line_does_not() {
        assert!(after(5, 1) > Duration::from_secs(490));
        assert_eq!(after(5, 6000), Duration::ZERO);
        // A fast start buys no slack for later.
        let mut lag = Lag::default();
        let now = Instant::now();
        lag.moved(now, 1 << 30);
        lag.wait(now);
        assert_eq!(lag.at(now + Duration::from_secs(60)), Duration::from_secs(60));
    }

    #[test]
    fn nothing_counts_while_nothing_is_expected() {
        let mut lag = Lag::default();
        let now = Instant::now();
        lag.wait(now);
        assert!(lag.is_waiting());
        lag.clear();
        assert_eq!(lag.at(now + Duration::from_secs(1000)), Duration::ZERO);
    }
}
