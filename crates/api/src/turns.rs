//! Turns for work that needs much memory, such as exports and decoding. Clients take turns, however many requests each
//! has, and the work that runs at once stays within a memory budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How much work may run and wait at once.
#[derive(Debug, Clone, Copy)]
pub struct TurnLimits {
    /// How many run at once, in all and of one client. If the second is less, a place stays free for other clients.
    pub running: usize,
    pub running_per_client: usize,
    /// Bytes that all running work may need together. Work that needs more runs alone.
    pub memory: u64,
    /// How many wait, run or keep their [`Place`], in all and of one client.
    pub unfinished: usize,
    pub unfinished_per_client: usize,
    /// How long work may wait.
    pub wait: Duration,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// The client has this many that are unfinished.
    Client(usize),
    /// All clients together have this many that are unfinished.
    Service(usize),
    /// The turn did not come in time.
    Waited,
}

/// The turns of one kind of work in this process.
#[derive(Debug)]
pub struct Turns {
    limits: TurnLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By client key; only clients with unfinished work.
    clients: HashMap<String, Client>,
    waiting: Vec<Waiting>,
    running: usize,
    memory: u64,
    unfinished: usize,
    /// Counts the turns, as a logical clock.
    now: u64,
    next_id: u64,
}

#[derive(Debug, Default)]
struct Client {
    unfinished: usize,
    running: usize,
    /// Its last turn, or its arrival.
    served: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    client: String,
    memory: u64,
    go: oneshot::Sender<()>,
}

/// Counts as unfinished until it is dropped, such as when an export is sent.
#[derive(Debug)]
pub struct Place {
    turns: Arc<Turns>,
    client: String,
}

/// A turn that is waited for or taken. The work holds it until it has stopped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    id: u64,
    client: String,
    memory: u64,
}

impl Turns {
    pub fn new(limits: TurnLimits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    pub fn limits(&self) -> &TurnLimits {
        &self.limits
    }

    /// Waits for a turn of `client` for work that needs `memory` bytes. Dropping the future gives up its place.
    ///
    /// # Errors
    /// When too much work is unfinished, or the turn does not come in time.
    pub async fn enter(self: &Arc<Self>, client: &str, memory: u64) -> Result<(Turn, Place), Busy> {
        let (turn, place, go) = self.register(client, memory)?;
        match timeout(self.limits.wait, go).await {
            Ok(Ok(())) => Ok((turn, place)),
            _ => Err(Busy::Waited),
        }
    }

    fn register(self: &Arc<Self>, client: &str, memory: u64) -> Result<(Turn, Place, oneshot::Receiver<()>), Busy> {
        let mut state = self.lock();
        if state.unfinished >= self.limits.unfinished {
            return Err(Busy::Service(state.unfinished));
        }
        let now = state.now;
        let known = state.clients.get(client).map_or(0, |client| client.unfinished);
        if known >= self.limits.unfinished_per_client {
            return Err(Busy::Client(known));
        }
        state.clients.entry(client.to_owned()).or_insert(Client { served: now, ..Client::default() }).unfinished += 1;
        state.unfinished += 1;
        state.next_id += 1;
        let (id, client) = (state.next_id, client.to_owned());
        let (go, gone) = oneshot::channel();
        state.waiting.push(Waiting { id, client: client.clone(), memory, go });
        self.admit(&mut state);
        drop(state);
        let place = Place { turns: Arc::clone(self), client: client.clone() };
        Ok((Turn { turns: Arc::clone(self), id, client, memory }, place, gone))
    }

    /// Starts the next work while there is room.
    fn admit(&self, state: &mut State) {
        while state.running < self.limits.running {
            let Some(at) = self.next(state) else { return };
            let needed = state.waiting[at].memory;
            // Nothing overtakes work that waits for memory, or large work would never get enough.
            if state.running > 0 && state.memory.saturating_add(needed) > self.limits.memory {
                return;
            }
            let waiting = state.waiting.remove(at);
            state.now += 1;
            state.running += 1;
            state.memory = state.memory.saturating_add(needed);
            let now = state.now;
            if let Some(client) = state.clients.get_mut(&waiting.client) {
                client.running += 1;
                client.served = now;
            }
            // Work that has just stopped waiting returns its turn when it is dropped.
            let _ = waiting.go.send(());
        }
    }

    /// The oldest work of the client that runs the fewest, and was served longest ago.
    fn next(&self, state: &State) -> Option<usize> {
        let rank = |waiting: &Waiting| {
            let client = state.clients.get(&waiting.client)?;
            let may = client.running < self.limits.running_per_client;
            may.then_some((client.running, client.served, waiting.id))
        };
        let ranked = state.waiting.iter().enumerate().filter_map(|(at, waiting)| Some((rank(waiting)?, at)));
        ranked.min().map(|(_, at)| at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is done in one step, so a panic leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.lock().running
    }

    #[cfg(test)]
    pub fn unfinished(&self) -> usize {
        self.lock().unfinished
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        match state.waiting.iter().position(|waiting| waiting.id == self.id) {
            Some(at) => drop(state.waiting.remove(at)),
            None => {
                state.running -= 1;
                state.memory = state.memory.saturating_sub(self.memory);
                if let Some(client) = state.clients.get_mut(&self.client) {
                    client.running -= 1;
                }
            }
        }
        forget_idle(&mut state, &self.client);
        self.turns.admit(&mut state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.unfinished -= 1;
        if let Some(client) = state.clients.get_mut(&self.client) {
            client.unfinished -= 1;
        }
        forget_idle(&mut state, &self.client);
    }
}

/// Clients without work are forgotten: there may be any number of them.
fn forget_idle(state: &mut State, client: &str) {
    if state.clients.get(client).is_some_and(|client| client.unfinished == 0 && client.running == 0) {
        state.clients.remove(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(running: usize, running_per_client: usize) -> Arc<Turns> {
        waiting_at_most(Duration::from_secs(3600), running, running_per_client)
    }

    fn waiting_at_most(wait: Duration, running: usize, running_per_client: usize) -> Arc<Turns> {
        Turns::new(TurnLimits {
            running,
            running_per_client,
            memory: 100,
            unfinished: 8,
            unfinished_per_client: 5,
            wait,
        })
    }

    struct Export {
        turn: Turn,
        _place: Place,
        go: oneshot::Receiver<()>,
    }

    impl Export {
        fn of(turns: &Arc<Turns>, client: &str, memory: u64) -> Self {
            let (turn, place, go) = turns.register(client, memory).unwrap();
            Self { turn, _place: place, go }
        }

        fn runs(&mut self) -> bool {
            self.go.try_recv().is_ok() || !self.turn.turns.lock().waiting.iter().any(|other| other.id == self.turn.id)
        }
    }

    #[test]
    fn one_client_leaves_a_turn_to_others() {
        let turns = turns(3, 2);
        let mut greedy: Vec<_> = (0..5).map(|_| Export::of(&turns, "greedy", 1)).collect();
        assert_eq!(greedy.iter_mut().map(Export::runs).collect::<Vec<_>>(), [true, true, false, false, false]);
        let mut other = Export::of(&turns, "other", 1);
        assert!(other.runs());
        let mut third = Export::of(&turns, "third", 1);
        assert!(!third.runs());
        greedy.remove(0);
        assert!(third.runs(), "who runs none comes before who runs some");
        assert_eq!(turns.running(), 3);
    }

    #[test]
    fn clients_take_turns() {
        let turns = turns(1, 1);
        let mut first = Some(Export::of(&turns, "a", 1));
        let mut a: Vec<_> = (0..3).map(|_| Export::of(&turns, "a", 1)).collect();
        let mut b: Vec<_> = (0..2).map(|_| Export::of(&turns, "b", 1)).collect();
        let mut order = Vec::new();
        drop(first.take());
        while !(a.is_empty() && b.is_empty()) {
            let line = if b.first_mut().is_some_and(Export::runs) { ("b", &mut b) } else { ("a", &mut a) };
            assert!(line.1[0].runs());
            order.push(line.0);
            line.1.remove(0);
        }
        assert_eq!(order, ["a", "b", "a", "b", "a"]);
        assert!(turns.lock().clients.is_empty() && turns.unfinished() == 0);
    }

    #[test]
    fn memory_is_bounded_and_a_large_export_finds_it() {
        let turns = turns(3, 3);
        let small = Export::of(&turns, "a", 60);
        let mut large = Export::of(&turns, "b", 500);
        let mut late = Export::of(&turns, "c", 10);
        assert!(!large.runs() && !late.runs(), "none passes the one that waits for memory");
        drop(small);
        assert!(large.runs() && !late.runs(), "what needs more than there is runs alone");
        drop(large);
        assert!(late.runs());
        assert_eq!(turns.lock().memory, 10);
    }

    #[tokio::test]
    async fn too_many_are_refused_and_who_leaves_makes_room() {
        let turns = turns(1, 1);
        let mut many: Vec<_> = (0..5).map(|_| Export::of(&turns, "a", 1)).collect();
        assert_eq!(turns.enter("a", 1).await.unwrap_err(), Busy::Client(5));
        many.extend((0..3).map(|_| Export::of(&turns, "b", 1)));
        assert_eq!(turns.enter("c", 1).await.unwrap_err(), Busy::Service(8));
        many.clear();
        // A client that stops waiting is forgotten.
        let running = turns.enter("a", 1).await.unwrap();
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.enter("b", 1).await.map(drop) }
        });
        while turns.unfinished() < 2 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(turns.unfinished(), 1);
        // The work is over, the file is still being sent.
        let (turn, place) = running;
        drop(turn);
        assert_eq!((turns.running(), turns.unfinished()), (0, 1));
        drop(place);
        assert!(turns.lock().clients.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_is_given_up() {
        let turns = waiting_at_most(Duration::from_millis(1), 1, 1);
        let _running = turns.enter("a", 1).await.unwrap();
        assert_eq!(turns.enter("b", 1).await.unwrap_err(), Busy::Waited);
        assert_eq!(turns.unfinished(), 1);
    }
}
