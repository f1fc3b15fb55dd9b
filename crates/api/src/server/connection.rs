//! The state of one connection, and how it ends.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::lag::Lag;
use crate::config::ConnectionLimits;

/// One connection, shared by the task that serves it and the task that watches all of them.
pub(crate) struct Connection {
    /// The client that its place counts for: the address, or the network of an IPv6 address.
    pub network: IpAddr,
    activity: Mutex<Activity>,
    ending: AtomicU8,
    /// Wakes the task that serves the connection when it has to end.
    waker: AtomicWaker,
}

struct Activity {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    receiving: Lag,
    sending: Lag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The headers of a request are expected: the connection is new, or part of them has arrived.
    Head,
    /// A request was answered, and nothing of the next one has arrived.
    Idle,
    /// A request is being answered.
    Busy,
    /// A live stream: a WebSocket or Server-Sent Events.
    Live,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// Data that was written is still sent.
    Soft = 1,
    /// At once.
    Hard = 2,
}

/// The timeout that a connection exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeout {
    Header,
    Idle,
    Transfer,
}

/// Which connection gives its place to a new one: the least is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// No request is in flight; the one that has waited longest is closed first.
    Waiting(Instant),
    /// The client of a request lags behind; the one that moved last is closed last.
    Lagging(Instant),
    /// A live stream, which its client resumes; the youngest is closed first, so that clients that reconnect do not push
    /// each other out in turns.
    Live(std::cmp::Reverse<Instant>),
    /// A request is being answered; the youngest is closed first, so that older ones finish.
    Busy(std::cmp::Reverse<Instant>),
}

/// A lag beyond this is a client that holds up its request, not a slow line.
const LAGGING: Duration = Duration::from_secs(1);

impl Connection {
    pub(crate) fn new(peer: IpAddr, now: Instant) -> Self {
        let activity = Activity { phase: Phase::Head, since: now, receiving: Lag::default(), sending: Lag::default() };
        Self {
            network: network(peer),
            activity: Mutex::new(activity),
            ending: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes arrived. The bytes of bodies are counted where they are read.
    pub(crate) fn received(&self) {
        let mut activity = self.activity();
        if activity.phase == Phase::Idle {
            activity.enter(Phase::Head);
        }
    }

    /// All headers of a request have arrived.
    pub(crate) fn request(&self) {
        self.activity().enter(Phase::Busy);
    }

    /// The answer to the request is a live stream.
    pub(crate) fn live(&self) {
        self.activity().enter(Phase::Live);
    }

    /// All of the answer was written.
    pub(crate) fn answered(&self) {
        let mut activity = self.activity();
        activity.receiving.clear();
        activity.enter(Phase::Idle);
    }

    /// The body of the request is waited for.
    pub(crate) fn awaits_body(&self) {
        self.activity().receiving.wait(Instant::now());
    }

    pub(crate) fn received_body(&self, bytes: usize) {
        self.activity().receiving.moved(Instant::now(), bytes);
    }

    /// The body has arrived, or no more of it is needed.
    pub(crate) fn ended_body(&self) {
        self.activity().receiving.clear();
    }

    /// The client has to read before more can be sent.
    pub(crate) fn awaits_reader(&self) {
        self.activity().sending.wait(Instant::now());
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.activity().sending.moved(Instant::now(), bytes);
    }

    /// The timeout that the connection exceeds, if any.
    pub(crate) fn timeout(&self, now: Instant, limits: &ConnectionLimits) -> Option<Timeout> {
        let activity = self.activity();
        let age = now.saturating_duration_since(activity.since);
        match activity.phase {
            Phase::Head if age > limits.header_timeout => Some(Timeout::Header),
            Phase::Idle if age > limits.idle_timeout => Some(Timeout::Idle),
            _ if activity.lag(now) > limits.transfer_timeout => Some(Timeout::Transfer),
            _ => None,
        }
    }

    /// `None` when it is ending already.
    pub(crate) fn rank(&self, now: Instant) -> Option<Rank> {
        if self.is_ending(Ending::Soft) {
            return None;
        }
        let activity = self.activity();
        let lag = activity.lag(now);
        let last_moved = now.checked_sub(lag).unwrap_or(activity.since);
        Some(match activity.phase {
            // The rest of an answer is still being sent.
            Phase::Idle if activity.sending.is_waiting() => Rank::Lagging(last_moved),
            Phase::Head | Phase::Idle => Rank::Waiting(activity.since),
            _ if lag > LAGGING => Rank::Lagging(last_moved),
            Phase::Live => Rank::Live(std::cmp::Reverse(activity.since)),
            Phase::Busy => Rank::Busy(std::cmp::Reverse(activity.since)),
        })
    }

    /// Whether only a part of a request's headers has arrived.
    pub(crate) fn is_half_sent(&self) -> bool {
        self.activity().phase == Phase::Head
    }

    pub(crate) fn end(&self, ending: Ending) {
        self.ending.fetch_max(ending as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether it has to end like this, or faster.
    pub(crate) fn is_ending(&self, ending: Ending) -> bool {
        self.ending.load(Ordering::Acquire) >= ending as u8
    }

    /// Ready when the connection has to end. Wakes only the last task that polled: one task at a time serves a connection.
    pub(crate) fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_ending(Ending::Soft) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Activity {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    fn lag(&self, now: Instant) -> Duration {
        self.receiving.at(now).max(self.sending.at(now))
    }
}

/// An IPv6 client owns a whole network of addresses.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}
