//! All connections: their number is limited, and so is the time of each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::{Connection, Ending, Rank, Timeout};
use crate::config::ConnectionLimits;
use crate::prometheus::CONNECTIONS_CLOSED;

/// How long a connection may take to give up its place before another one is ended too.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a new connection has for its request before it may lose its place. In a flood, later ones wait in the
/// system's queue meanwhile.
const YOUNG: Duration = Duration::from_millis(100);

/// Waiting connections that are picked at once to give up their places, one after the other.
const PICKED: usize = 64;

/// Connections of a network that holds more than one in so many places are ended first.
const HEAVY_SHARE: usize = 4;

/// The connections of the service.
pub(crate) struct Connections {
    limits: ConnectionLimits,
    most: usize,
    places: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: HashMap<u64, Arc<Connection>>,
    next: u64,
    /// The next ones to end, the very next one last, with the rank that each was picked for.
    picked: Vec<(Rank, Arc<Connection>)>,
}

/// A connection's place, which is free again when this is dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.id);
    }
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let most = limits.most().min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Arc::new(Self { limits, most, places: Arc::new(Semaphore::new(most)), table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    pub(crate) fn open(&self) -> usize {
        self.table().open.len()
    }

    /// Waits for a place for a new connection, and ends another connection if there is none.
    pub(crate) async fn admit(self: &Arc<Self>, peer: IpAddr) -> (Place, Arc<Connection>) {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break permit;
            }
            let wait = self.evict();
            if let Ok(Ok(permit)) = timeout(wait, Arc::clone(&self.places).acquire_owned()).await {
                break permit;
            }
        };
        let connection = Arc::new(Connection::new(peer, Instant::now()));
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.open.insert(id, Arc::clone(&connection));
        (Place { connections: Arc::clone(self), id, _permit: permit }, connection)
    }

    /// Ends the least important connection; returns how long to wait for its place.
    pub(crate) fn evict(&self) -> Duration {
        let now = Instant::now();
        let mut table = self.table();
        // Connections that were picked earlier may have got a request or ended meanwhile.
        table.picked.retain(|(rank, connection)| connection.rank(now) == Some(*rank));
        if table.picked.is_empty() {
            table.picked = pick(table.open.values(), now, self.most);
        }
        let Some((rank, connection)) = table.picked.pop() else { return PATIENCE };
        if let Some(wait) = young_for(rank, now) {
            return wait;
        }
        connection.end(if matches!(rank, Rank::Waiting(_)) { Ending::Soft } else { Ending::Hard });
        metrics::counter!(CONNECTIONS_CLOSED, "reason" => "place_needed").increment(1);
        PATIENCE
    }

    /// Ends connections that exceed a timeout.
    pub(crate) fn sweep(&self, now: Instant) {
        let overdue: Vec<_> = {
            let table = self.table();
            let open = table.open.values().filter(|connection| !connection.is_ending(Ending::Soft));
            open.filter_map(|connection| Some((Arc::clone(connection), connection.timeout(now, &self.limits)?)))
                .collect()
        };
        for (connection, why) in overdue {
            let (ending, reason) = match why {
                Timeout::Header => (Ending::Soft, "header_timeout"),
                Timeout::Idle => (Ending::Soft, "idle_timeout"),
                Timeout::Transfer => (Ending::Hard, "transfer_timeout"),
            };
            connection.end(ending);
            metrics::counter!(CONNECTIONS_CLOSED, "reason" => reason).increment(1);
        }
    }

    /// How often to [`Connections::sweep`].
    pub(crate) fn sweep_every(&self) -> Duration {
        let ConnectionLimits { header_timeout, idle_timeout, transfer_timeout, .. } = self.limits;
        let shortest = header_timeout.min(idle_timeout).min(transfer_timeout);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Ends connections that have sent only a part of a request's headers: a shutdown does not wait for the rest.
    pub(crate) fn end_half_sent(&self) {
        for connection in self.table().open.values().filter(|connection| connection.is_half_sent()) {
            connection.end(Ending::Soft);
        }
    }

    pub(crate) fn end_all(&self) {
        for connection in self.table().open.values() {
            connection.end(Ending::Hard);
        }
    }

    /// Returns when no connection is left.
    pub(crate) async fn drained(&self) {
        // At most u32::MAX, see `new`.
        let _ = self.places.acquire_many(u32::try_from(self.most).unwrap_or(u32::MAX)).await;
    }
}

/// The connections to end first, the very first one last: several that wait, or one of the others.
fn pick<'a>(
    open: impl Iterator<Item = &'a Arc<Connection>> + Clone,
    now: Instant,
    most: usize,
) -> Vec<(Rank, Arc<Connection>)> {
    let mut places: HashMap<IpAddr, usize> = HashMap::new();
    for connection in open.clone() {
        *places.entry(connection.network).or_default() += 1;
    }
    let is_light = |network| places.get(network).is_none_or(|&held| held <= most / HEAVY_SHARE);
    // By kind of rank, then by whether the network leaves room for others, then by rank.
    let mut ranked: Vec<_> = open
        .filter_map(|connection| {
            let rank = connection.rank(now)?;
            Some(((kind(rank, now), is_light(&connection.network), rank), connection))
        })
        .collect();
    let Some(&((first, ..), _)) = ranked.iter().min_by_key(|(key, _)| *key) else { return Vec::new() };
    let few = if first == 0 { PICKED } else { 1 };
    if ranked.len() > few {
        ranked.select_nth_unstable_by_key(few - 1, |(key, _)| *key);
        ranked.truncate(few);
    }
    ranked.retain(|((kind, ..), _)| *kind == first);
    ranked.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
    ranked.into_iter().map(|((_, _, rank), connection)| (rank, Arc::clone(connection))).collect()
}

fn kind(rank: Rank, now: Instant) -> u8 {
    match rank {
        Rank::Waiting(_) if young_for(rank, now).is_none() => 0,
        Rank::Lagging(_) => 1,
        // After lagging ones: when stalled bodies hold nearly all places, new connections would otherwise push each other
        // out.
        Rank::Waiting(_) => 2,
        Rank::Live(_) => 3,
        Rank::Busy(_) => 4,
    }
}

/// How long a connection without a request is still too young to lose its place.
fn young_for(rank: Rank, now: Instant) -> Option<Duration> {
    let Rank::Waiting(since) = rank else { return None };
    YOUNG.checked_sub(now.saturating_duration_since(since)).filter(|rest| !rest.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u32) -> ConnectionLimits {
        ConnectionLimits {
            max: Some(max),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            transfer_timeout: Duration::from_secs(60),
        }
    }

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// As many as there are places, each from an address of its own.
    async fn full(connections: &Arc<Connections>) -> Vec<(Place, Arc<Connection>)> {
        let mut all = Vec::new();
        for n in 0..connections.most() {
            all.push(connections.admit(peer(n as u8)).await);
        }
        all
    }

    /// Lets those that are there be old enough to go.
    fn grow_old() {
        std::thread::sleep(YOUNG);
    }

    fn ended(all: &[(Place, Arc<Connection>)]) -> Vec<usize> {
        (0..all.len()).filter(|&n| all[n].1.is_ending(Ending::Soft)).collect()
    }

    #[tokio::test]
    async fn those_without_a_request_go_first_and_the_oldest_of_them() {
        let connections = Connections::new(limits(6));
        let all = full(&connections).await;
        all[0].1.request();
        all[1].1.live();
        all[2].1.request();
        all[2].1.answered();
        all[3].1.request();
        grow_old();
        for expected in [&[4][..], &[4, 5], &[2, 4, 5]] {
            connections.evict();
            assert_eq!(ended(&all), expected);
        }
        assert!(!all[4].1.is_ending(Ending::Hard), "what was written still goes out");
        // Then live streams, then the youngest request.
        connections.evict();
        assert!(all[1].1.is_ending(Ending::Hard));
        connections.evict();
        assert!(all[3].1.is_ending(Ending::Hard) && !all[0].1.is_ending(Ending::Soft));
    }

    #[tokio::test]
    async fn one_that_got_a_request_meanwhile_is_kept() {
        let connections = Connections::new(limits(4));
        let all = full(&connections).await;
        grow_old();
        connections.evict();
        all[1].1.request();
        connections.evict();
        assert_eq!(ended(&all), [0, 2]);
    }

    #[tokio::test]
    async fn who_holds_many_places_gives_up_its_own() {
        let connections = Connections::new(limits(8));
        let honest = connections.admit(peer(1)).await;
        let mut many = Vec::new();
        for n in 0..7 {
            many.push(connections.admit(format!("2001:db8:0:1::{n}").parse().unwrap()).await);
        }
        grow_old();
        for _ in 0..7 {
            connections.evict();
        }
        assert_eq!(ended(&many).len(), 7);
        assert!(!honest.1.is_ending(Ending::Soft));
    }

    #[tokio::test]
    async fn a_place_is_free_when_its_connection_is_gone() {
        let connections = Connections::new(limits(2));
        let mut all = full(&connections).await;
        let (admitted, ()) = tokio::join!(connections.admit(peer(9)), async {
            while ended(&all).is_empty() {
                tokio::task::yield_now().await;
            }
            drop(all.remove(0));
        });
        assert_eq!(connections.open(), 2);
        drop((admitted, all));
        connections.drained().await;
        assert_eq!(connections.open(), 0);
    }

    #[tokio::test]
    async fn each_state_has_its_deadline() {
        let connections = Connections::new(limits(5));
        let all = full(&connections).await;
        let start = Instant::now();
        all[1].1.request();
        all[1].1.answered();
        all[2].1.request();
        all[2].1.awaits_body();
        all[3].1.request();
        all[3].1.live();
        all[3].1.awaits_reader();
        // Its answer takes as long as it takes.
        all[4].1.request();
        let deadlines = [(14, vec![]), (16, vec![0]), (59, vec![0]), (61, vec![0, 2, 3]), (3600, vec![0, 1, 2, 3])];
        for (seconds, expected) in deadlines {
            connections.sweep(start + Duration::from_secs(seconds));
            assert_eq!(ended(&all), expected, "after {seconds} s");
        }
    }
}
