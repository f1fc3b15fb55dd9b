//! How many pictures are decoded at once, and in whose turn.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::Error;

/// The most pictures that wait for their turn. Each lies in a scratch file of up to `MAX_FILE_SIZE`.
const MAX_WAITING: usize = 64;

/// How long a picture waits for its turn: the largest that is allowed takes a few seconds.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Places for work that may take hundreds of megabytes. Clients take turns; cheap to clone.
#[derive(Clone)]
pub struct Decodes(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Who waits, the client whose turn is next in front.
    turns: VecDeque<Turn>,
}

struct Turn {
    client: String,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// A place; free again when it is dropped.
pub struct Permit(Decodes);

impl Decodes {
    /// With this many places.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: places, turns: VecDeque::new() })))
    }

    /// A place for this client, as soon as it is its turn.
    ///
    /// # Errors
    /// 503 where too many wait, or it takes too long.
    pub async fn acquire(&self, client: &str) -> Result<Permit, Error> {
        let place = self.state().enter(client)?;
        let Some(place) = place else { return Ok(Permit(self.clone())) };
        // A client that leaves drops this future, and with it its place in the queue.
        match timeout(MAX_WAIT, place).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = self.0.state().leave();
        if let Some(next) = next {
            // Where nobody waits there any more, the permit comes back, is dropped, and goes to the one after.
            let _ = next.send(Self(self.0.clone()));
        }
    }
}

impl State {
    /// Takes a free place at once (`None`) or one in the queue.
    fn enter(&mut self, client: &str) -> Result<Option<oneshot::Receiver<Permit>>, Error> {
        self.forget_those_that_left();
        if self.free > 0 {
            self.free -= 1;
            return Ok(None);
        }
        if self.turns.iter().map(|turn| turn.waiting.len()).sum::<usize>() >= MAX_WAITING {
            self.make_room(client)?;
        }
        let (sender, receiver) = oneshot::channel();
        match self.turns.iter_mut().find(|turn| turn.client == client) {
            Some(turn) => turn.waiting.push_back(sender),
            None => self.turns.push_back(Turn { client: client.to_owned(), waiting: VecDeque::from([sender]) }),
        }
        Ok(Some(receiver))
    }

    /// Gives a place back, or on to the waiting one that it returns.
    fn leave(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.forget_those_that_left();
        let next = self.turns.pop_front().and_then(|mut turn| {
            let next = turn.waiting.pop_front();
            if !turn.waiting.is_empty() {
                self.turns.push_back(turn);
            }
            next
        });
        if next.is_none() {
            self.free += 1;
        }
        next
    }

    /// Sends the youngest of the client away that has the most waiting, unless that is the one that enters.
    fn make_room(&mut self, client: &str) -> Result<(), Error> {
        let own = self.turns.iter().find(|turn| turn.client == client).map_or(0, |turn| turn.waiting.len());
        let greediest = self.turns.iter_mut().max_by_key(|turn| turn.waiting.len());
        match greediest.filter(|turn| turn.waiting.len() > own + 1) {
            Some(turn) => {
                turn.waiting.pop_back();
                Ok(())
            }
            None => Err(busy()),
        }
    }

    fn forget_those_that_left(&mut self) {
        for turn in &mut self.turns {
            turn.waiting.retain(|sender| !sender.is_closed());
        }
        self.turns.retain(|turn| !turn.waiting.is_empty());
    }
}

fn busy() -> Error {
    let message = "many pictures are being read at the moment; send this one again in a little while";
    Error::retry_later(StatusCode::SERVICE_UNAVAILABLE, "uploads_busy", message, 10)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Permit, Error>>>>;

    /// A request that has taken its place in the queue.
    fn enter(decodes: &Decodes, client: &'static str) -> Waiting {
        let decodes = decodes.clone();
        let mut waiting: Waiting = Box::pin(async move { decodes.acquire(client).await });
        assert!(look(&mut waiting).is_none(), "{client} did not have to wait");
        waiting
    }

    fn look(waiting: &mut Waiting) -> Option<Result<Permit, Error>> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn granted(waiting: &mut Waiting) -> bool {
        match look(waiting) {
            // Never given back: a test counts who gets the next ones.
            Some(Ok(permit)) => {
                std::mem::forget(permit);
                true
            }
            _ => false,
        }
    }

    #[tokio::test]
    async fn clients_take_turns() {
        let decodes = Decodes::new(1);
        let first = decodes.acquire("a").await.unwrap();
        let mut many: Vec<_> = (0..20).map(|_| enter(&decodes, "a")).collect();
        let mut one = enter(&decodes, "b");
        drop(first);
        let second = look(&mut many[0]).expect("in their order").unwrap();
        assert!(look(&mut one).is_none());
        drop(second);
        assert!(granted(&mut one), "b waits behind all of a");
    }

    #[tokio::test]
    async fn whoever_left_is_passed_over() {
        let decodes = Decodes::new(1);
        let permit = decodes.acquire("a").await.unwrap();
        let waiting: Vec<_> = ["b", "b", "c"].into_iter().map(|client| enter(&decodes, client)).collect();
        let mut last = enter(&decodes, "d");
        drop(waiting);
        drop(permit);
        assert!(granted(&mut last));
    }

    #[tokio::test]
    async fn a_place_that_nobody_takes_is_free_again() {
        let decodes = Decodes::new(1);
        let permit = decodes.acquire("a").await.unwrap();
        let waiting = enter(&decodes, "b");
        drop(permit);
        // It has the permit without having looked.
        drop(waiting);
        assert!(decodes.acquire("c").await.is_ok());
    }

    #[tokio::test]
    async fn the_queue_has_an_end_and_one_client_cannot_fill_it() {
        let decodes = Decodes::new(1);
        let permit = decodes.acquire("a").await.unwrap();
        let mut many: Vec<_> = (0..MAX_WAITING).map(|_| enter(&decodes, "a")).collect();
        assert!(decodes.acquire("a").await.is_err(), "the queue is full");
        let mut one = enter(&decodes, "b");
        let youngest = many.last_mut().map(look);
        assert!(matches!(youngest, Some(Some(Err(_)))), "made room for b");
        drop(permit);
        assert!(granted(&mut many[0]));
        assert!(decodes.state().turns.front().is_some_and(|turn| turn.client == "b"));
        assert!(look(&mut one).is_none());
    }
}
