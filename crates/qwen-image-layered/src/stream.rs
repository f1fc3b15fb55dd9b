//! Parts of a model that do not all fit on the device: they come and go, loaded ahead on a thread of their own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::{Error, Result};

/// Loads one of several parts that are used in turn.
pub trait Load: Send + Sync + 'static {
    type Item: Send + 'static;

    /// How many there are.
    fn count(&self) -> usize;

    /// Brings part `index` to the device; complete when it returns.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    fn load(&self, index: usize) -> Result<Self::Item>;
}

/// Hands out the parts 0, 1, ... in order, pass after pass; at most `in_flight` exist at any time, the one in use
/// included, and the others are loaded meanwhile. After the last part of a pass comes the first of the next one.
pub struct Stream<L: Load> {
    loader: Arc<L>,
    in_flight: usize,
    /// `None` until the first part is asked for, and after a failure.
    worker: Option<Worker<L::Item>>,
    /// The part that the worker hands out next.
    next: usize,
}

struct Worker<T> {
    parts: Receiver<Result<Held<T>>>,
    permits: Arc<Permits>,
    thread: Option<JoinHandle<()>>,
}

/// A part in use. Dropping it makes room for another.
pub struct Held<T> {
    /// Dropped before the permit is given back: `Option` only for that.
    item: Option<T>,
    permits: Arc<Permits>,
}

impl<T> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // Only `drop` takes the item.
        self.item.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.item = None;
        self.permits.give_back();
    }
}

/// How many more parts may exist.
struct Permits {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    closed: bool,
}

impl Permits {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one; `false` when nobody wants parts any more.
    fn take(&self) -> bool {
        let wait = |state| self.changed.wait_while(state, |state: &mut State| state.free == 0 && !state.closed);
        let mut state = wait(self.lock()).unwrap_or_else(PoisonError::into_inner);
        if !state.closed {
            state.free -= 1;
        }
        !state.closed
    }

    fn give_back(&self) {
        self.lock().free += 1;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl<L: Load> Stream<L> {
    /// `in_flight` is at least 2: one in use, one on its way.
    pub fn new(loader: L, in_flight: usize) -> Self {
        Self { loader: Arc::new(loader), in_flight: in_flight.max(2), worker: None, next: 0 }
    }

    pub fn count(&self) -> usize {
        self.loader.count()
    }

    /// Begins a pass. What an abandoned pass had loaded is dropped.
    pub fn rewind(&mut self) {
        if self.next != 0 {
            self.worker = None;
            self.next = 0;
        }
    }

    /// The next part of the pass, waiting until it is there. Starts loading ahead with the first call.
    ///
    /// # Errors
    /// What the loader met with. The next pass starts anew.
    pub fn next(&mut self) -> Result<Held<L::Item>> {
        let worker = match &mut self.worker {
            Some(worker) => worker,
            none => none.insert(Worker::start(self.loader.clone(), self.in_flight)?),
        };
        let part = worker.parts.recv().unwrap_or_else(|_| Err(ended()));
        match part {
            Ok(part) => {
                self.next = (self.next + 1) % self.loader.count();
                Ok(part)
            }
            Err(error) => {
                self.worker = None;
                self.next = 0;
                Err(error)
            }
        }
    }
}

/// The loader's thread panicked: candle's bindings do where a library of the driver misbehaves.
fn ended() -> Error {
    Error::Compute(candle_core::Error::Msg("the thread that loads the model's blocks ended unexpectedly".to_owned()))
}

impl<T: Send + 'static> Worker<T> {
    fn start<L: Load<Item = T>>(loader: Arc<L>, in_flight: usize) -> Result<Self> {
        let permits =
            Arc::new(Permits { state: Mutex::new(State { free: in_flight, closed: false }), changed: Condvar::new() });
        let (sender, parts) = sync_channel(in_flight);
        let body = {
            let permits = permits.clone();
            move || load_ahead(loader.as_ref(), &permits, &sender)
        };
        let thread = std::thread::Builder::new().name("blocks".to_owned()).spawn(body);
        let failed = |error| Error::Compute(candle_core::Error::Msg(format!("no thread can be started: {error}")));
        Ok(Self { parts, permits, thread: Some(thread.map_err(failed)?) })
    }
}

fn load_ahead<L: Load>(loader: &L, permits: &Arc<Permits>, sender: &SyncSender<Result<Held<L::Item>>>) {
    for index in (0..loader.count()).cycle() {
        if !permits.take() {
            return;
        }
        let part = loader.load(index).map(|item| Held { item: Some(item), permits: permits.clone() });
        let failed = part.is_err();
        if sender.send(part).is_err() || failed {
            return;
        }
    }
}

impl<T> Drop for Worker<T> {
    /// Waits for the thread, so that afterwards nothing of it is on the device.
    fn drop(&mut self) {
        self.permits.close();
        // The channel holds as many as there are permits, so the thread never waits for it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// A device that counts what is on it.
    #[derive(Default)]
    struct Fake {
        count: usize,
        fails_at: Option<usize>,
        seen: Arc<Seen>,
    }

    #[derive(Default)]
    struct Seen {
        alive: AtomicUsize,
        most: AtomicUsize,
        loaded: Mutex<Vec<usize>>,
        arrived: Condvar,
    }

    struct Part {
        index: usize,
        seen: Arc<Seen>,
    }

    impl Drop for Part {
        fn drop(&mut self) {
            self.seen.alive.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Load for Fake {
        type Item = Part;

        fn count(&self) -> usize {
            self.count
        }

        fn load(&self, index: usize) -> Result<Part> {
            if self.fails_at == Some(index) {
                return Err(Error::Input(format!("part {index} is broken")));
            }
            let alive = self.seen.alive.fetch_add(1, Ordering::SeqCst) + 1;
            self.seen.most.fetch_max(alive, Ordering::SeqCst);
            self.seen.loaded.lock().unwrap().push(index);
            self.seen.arrived.notify_all();
            Ok(Part { index, seen: self.seen.clone() })
        }
    }

    impl Seen {
        /// Waits until `count` parts were loaded.
        fn wait(&self, count: usize) {
            let loaded = self.loaded.lock().unwrap();
            let few = |loaded: &mut Vec<usize>| loaded.len() < count;
            let (_loaded, timeout) = self.arrived.wait_timeout_while(loaded, Duration::from_secs(20), few).unwrap();
            assert!(!timeout.timed_out(), "nothing was loaded ahead");
        }
    }

    fn stream(count: usize, in_flight: usize) -> (Stream<Fake>, Arc<Seen>) {
        let fake = Fake { count, ..Fake::default() };
        let seen = fake.seen.clone();
        (Stream::new(fake, in_flight), seen)
    }

    #[test]
    fn parts_come_in_order_and_few_at_a_time() {
        for in_flight in [2, 3, 5] {
            let (mut stream, seen) = stream(7, in_flight);
            for _ in 0..3 {
                stream.rewind();
                for index in 0..7 {
                    assert_eq!(stream.next().unwrap().index, index);
                }
            }
            assert!(seen.most.load(Ordering::SeqCst) <= in_flight);
        }
    }

    #[test]
    fn others_are_loaded_while_one_is_in_use() {
        let (mut stream, seen) = stream(10, 3);
        let first = stream.next().unwrap();
        // The first is held: the two after it arrive all the same, and no third.
        seen.wait(3);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(*seen.loaded.lock().unwrap(), [0, 1, 2]);
        assert_eq!(seen.alive.load(Ordering::SeqCst), 3);
        drop(first);
        seen.wait(4);
        // And the first of the next pass is loaded during the last of this one.
        for index in 1..9 {
            assert_eq!(stream.next().unwrap().index, index);
        }
        let last = stream.next().unwrap();
        seen.wait(12);
        assert_eq!(seen.loaded.lock().unwrap()[9..12], [9, 0, 1]);
        assert_eq!(last.index, 9);
    }

    #[test]
    fn an_abandoned_pass_starts_anew() {
        let (mut stream, seen) = stream(5, 2);
        assert_eq!(stream.next().unwrap().index, 0);
        assert_eq!(stream.next().unwrap().index, 1);
        stream.rewind();
        assert_eq!(stream.next().unwrap().index, 0);
        drop(stream);
        assert_eq!(seen.alive.load(Ordering::SeqCst), 0, "nothing stays on the device");
    }

    #[test]
    fn a_part_that_cannot_be_loaded_ends_the_pass_not_the_stream() {
        let mut stream = Stream::new(Fake { count: 3, fails_at: Some(1), ..Fake::default() }, 2);
        for _ in 0..2 {
            stream.rewind();
            assert_eq!(stream.next().unwrap().index, 0);
            assert!(stream.next().err().unwrap().to_string().contains("part 1"));
        }
    }
}
