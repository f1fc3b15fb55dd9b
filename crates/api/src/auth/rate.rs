//! How many requests a client may send.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limit is per minute, and a client that was quiet for a minute may send as many at once.
const WINDOW: Duration = Duration::from_secs(60);

/// Limits the requests of each client (the generic cell rate algorithm): one moment a client is all that is kept.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// The time that one request takes up; `None` without a limit.
    interval: Option<Duration>,
    /// For each client, when its requests so far are paid off. Clients without debts are forgotten.
    clients: Mutex<Clients>,
}

#[derive(Debug)]
struct Clients {
    paid_at: HashMap<Box<str>, Instant>,
    swept_at: Instant,
}

impl RateLimiter {
    /// `per_minute` requests of each client; `None` for any number.
    pub(crate) fn new(per_minute: Option<NonZeroU32>) -> Self {
        let interval = per_minute.map(|per_minute| WINDOW / per_minute.get());
        Self { interval, clients: Mutex::new(Clients { paid_at: HashMap::new(), swept_at: Instant::now() }) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait, when the client has sent too many.
    pub(crate) fn count(&self, client: &str, now: Instant) -> Result<(), Duration> {
        let Some(interval) = self.interval else { return Ok(()) };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(clients.swept_at) >= WINDOW {
            clients.paid_at.retain(|_, paid_at| *paid_at > now);
            clients.swept_at = now;
        }
        let paid_at = clients.paid_at.get(client).copied().map_or(now, |paid_at| paid_at.max(now)) + interval;
        let debt = paid_at.duration_since(now);
        if debt > WINDOW {
            return Err(debt - WINDOW);
        }
        clients.paid_at.insert(client.into(), paid_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_share_and_no_more() {
        let limiter = RateLimiter::new(NonZeroU32::new(6));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!((0..6).all(|_| limiter.count("a", start).is_ok()));
        assert_eq!(limiter.count("a", start), Err(Duration::from_secs(10)));
        assert_eq!(limiter.count("b", start), Ok(()));
        assert_eq!(limiter.count("a", after(4)), Err(Duration::from_secs(6)));
        assert_eq!(limiter.count("a", after(10)), Ok(()));
        assert!(limiter.count("a", after(10)).is_err());
        // A minute later all is as at the start, and whoever is quiet is forgotten.
        assert!((0..6).all(|_| limiter.count("c", after(200)).is_ok()));
        assert_eq!(limiter.clients.lock().unwrap().paid_at.len(), 1);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let limiter = RateLimiter::new(None);
        assert!((0..10_000).all(|_| limiter.count("a", Instant::now()).is_ok()));
        assert!(limiter.clients.lock().unwrap().paid_at.is_empty());
    }
}
