//! Parts of a model that do not all fit on the device: they are loaded ahead on a thread and dropped after use.

mod mark;
mod ring;
mod staging;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use mark::Mark;
#[cfg(test)]
pub use staging::plain;
pub use staging::{STAGED, Staged, Staging};

use crate::{Error, Result};

/// Loads one of several parts that are used in turn.
///
/// Copies and kernels that a thread submits to a device go into that thread's queue, and the thread continues before they
/// run. A mark is a position in the queue of the thread that makes it.
pub trait Load: Send + Sync + 'static {
    type Item: Send + 'static;
    type Mark: Send + 'static;

    /// How many there are.
    fn count(&self) -> usize;

    /// Begins to bring part `index` to the device.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    fn load(&self, index: usize) -> Result<Self::Item>;

    /// The position after everything that the calling thread has submitted so far.
    ///
    /// # Errors
    /// When the device fails.
    fn mark(&self) -> Result<Self::Mark>;

    /// Makes the device run what the calling thread submits from now on after `mark`.
    ///
    /// # Errors
    /// When the device fails.
    fn follow(&self, mark: &Self::Mark) -> Result<()>;

    /// Waits until the device has reached `mark`.
    ///
    /// # Errors
    /// When the device fails.
    fn wait(&self, mark: &Self::Mark) -> Result<()>;
}

/// Hands out the parts 0, 1, ... in order, pass after pass; at most `in_flight` are on the device at any time, the one
/// in use included, and the others are loaded meanwhile. After the last part of a pass comes the first of the next one.
///
/// No thread waits for the device: its queues wait for each other.
pub struct Stream<L: Load> {
    loader: Arc<L>,
    in_flight: usize,
    /// `None` until the first part is asked for, and after a failure.
    worker: Option<Worker<L>>,
    /// The part that the worker hands out next.
    next: usize,
}

struct Worker<L: Load> {
    parts: Receiver<Result<Held<L>>>,
    permits: Arc<Permits<L::Mark>>,
    thread: Option<JoinHandle<()>>,
}

/// A part in use by the thread that asked for it. Dropping it makes room for another, once the device has run what that
/// thread submitted.
pub struct Held<L: Load> {
    /// Dropped before the permit is given back: `Option` only for that.
    item: Option<L::Item>,
    /// The position at which its last byte is on the device; `None` once the user's queue waits for that.
    arrived: Option<L::Mark>,
    loader: Arc<L>,
    permits: Arc<Permits<L::Mark>>,
}

impl<L: Load> std::ops::Deref for Held<L> {
    type Target = L::Item;

    fn deref(&self) -> &L::Item {
        // Only `drop` takes the item.
        self.item.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl<L: Load> Drop for Held<L> {
    fn drop(&mut self) {
        if let Some(arrived) = &self.arrived {
            // It was not used: its memory must not be freed while copies run. A failed device reports at its next use.
            let _ = self.loader.wait(arrived);
        }
        self.item = None;
        self.permits.release(self.loader.mark().ok());
    }
}

/// How many more parts may be on the device.
struct Permits<M> {
    state: Mutex<State<M>>,
    changed: Condvar,
}

struct State<M> {
    /// For each part that may be loaded: the position at which the part that it replaces is no longer used.
    free: Vec<Option<M>>,
    closed: bool,
}

impl<M> Permits<M> {
    fn new(count: usize) -> Self {
        let free = (0..count).map(|_| None).collect();
        Self { state: Mutex::new(State { free, closed: false }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one; `None` when the stream is closed.
    fn take(&self) -> Option<Option<M>> {
        let wait =
            |state| self.changed.wait_while(state, |state: &mut State<M>| state.free.is_empty() && !state.closed);
        let mut state = wait(self.lock()).unwrap_or_else(PoisonError::into_inner);
        if state.closed { None } else { state.free.pop() }
    }

    fn release(&self, gone: Option<M>) {
        self.lock().free.push(gone);
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

    /// Begins a pass. Parts that an abandoned pass had loaded are dropped.
    pub fn rewind(&mut self) {
        if self.next != 0 {
            self.worker = None;
            self.next = 0;
        }
    }

    /// The next part of the pass, for work of the calling thread, which the device does once the part is there. Starts
    /// loading ahead with the first call.
    ///
    /// # Errors
    /// The loader's error. The next pass starts anew.
    pub fn next(&mut self) -> Result<Held<L>> {
        let worker = match &mut self.worker {
            Some(worker) => worker,
            none => none.insert(Worker::start(&self.loader, self.in_flight)?),
        };
        let part = worker.parts.recv().unwrap_or_else(|_| Err(ended()));
        let part = part.and_then(|mut part| {
            if let Some(arrived) = &part.arrived {
                self.loader.follow(arrived)?;
            }
            part.arrived = None;
            Ok(part)
        });
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

impl<L: Load> Worker<L> {
    fn start(loader: &Arc<L>, in_flight: usize) -> Result<Self> {
        let permits = Arc::new(Permits::new(in_flight));
        let (sender, parts) = sync_channel(in_flight);
        let body = {
            let (loader, permits) = (loader.clone(), permits.clone());
            move || load_ahead(&loader, &permits, &sender)
        };
        let thread = std::thread::Builder::new().name("blocks".to_owned()).spawn(body);
        let failed = |error| Error::Compute(candle_core::Error::Msg(format!("no thread can be started: {error}")));
        Ok(Self { parts, permits, thread: Some(thread.map_err(failed)?) })
    }
}

fn load_ahead<L: Load>(loader: &Arc<L>, permits: &Arc<Permits<L::Mark>>, sender: &SyncSender<Result<Held<L>>>) {
    for index in (0..loader.count()).cycle() {
        let Some(gone) = permits.take() else { return };
        let part = bring(loader, index, gone, permits);
        let failed = part.is_err();
        if sender.send(part).is_err() || failed {
            return;
        }
    }
}

/// Part `index`, in the place of one that is gone at a mark.
fn bring<L: Load>(
    loader: &Arc<L>,
    index: usize,
    gone: Option<L::Mark>,
    permits: &Arc<Permits<L::Mark>>,
) -> Result<Held<L>> {
    if let Some(gone) = gone {
        loader.follow(&gone)?;
    }
    let item = loader.load(index)?;
    let arrived = Some(loader.mark()?);
    Ok(Held { item: Some(item), arrived, loader: loader.clone(), permits: permits.clone() })
}

impl<L: Load> Drop for Worker<L> {
    /// Waits for the thread, so that it brings nothing more to the device.
    fn drop(&mut self) {
        self.permits.close();
        // The channel holds as many as there are permits, so the thread never waits for it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
