//! Whether the service works, checked in ways that clients cannot exhaust.

mod paused;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::broker::{self, Stats, WorkerInfo};
use jobs::store::StoreError;
use jobs::{Broker, BrokerError, Store};
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use crate::http::error::Error;

/// How long the queue and the storage may take to answer before the service is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long no thread may be free before only a restart helps. No legitimate work keeps several hundred threads busy for
/// so long.
const WEDGED: Duration = Duration::from_secs(30);

const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The health of the service.
#[derive(Default)]
pub struct Health {
    threads: Threads,
    queue: SharedProbe<Result<(), Fault>>,
    storage: SharedProbe<Result<(), Fault>>,
    numbers: SharedProbe<Option<(Stats, Vec<WorkerInfo>)>>,
}

/// Why requests cannot be served.
#[derive(Debug, Clone)]
struct Fault {
    code: &'static str,
    message: &'static str,
    cause: String,
}

impl Fault {
    fn new(code: &'static str, message: &'static str, cause: impl Display) -> Self {
        Self { code, message, cause: cause.to_string() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::unavailable(fault.code, fault.message, fault.cause)
    }
}

impl Health {
    /// Watches the threads until the future is dropped.
    pub async fn watch(self: Arc<Self>) {
        self.threads.watch().await;
    }

    /// Whether the process works at all; otherwise it has to be restarted.
    pub fn check_alive(&self) -> Result<(), Error> {
        let busy = self.threads.busy_for();
        if busy <= WEDGED {
            return Ok(());
        }
        let cause = format!("no thread was free for {} s", busy.as_secs());
        let message = "no thread of the service has been free for over 30 seconds; restart it";
        Err(Fault::new("threads_exhausted", message, cause).into())
    }

    /// Whether requests can be served.
    ///
    /// The queue and the storage are asked once at a time for all requests, none of which waits longer than [`PATIENCE`].
    pub async fn check_ready(&self, broker: &Arc<dyn Broker>, store: &Store) -> Result<(), Error> {
        if self.threads.busy_for() > PATIENCE {
            let message = "all threads of the service are busy; try again in a moment";
            return Err(Fault::new("threads_exhausted", message, "no thread is free").into());
        }
        let (owned_broker, owned_store) = (Arc::clone(broker), store.clone());
        let (queue, storage) = tokio::join!(
            self.queue.get(PATIENCE, async move { owned_broker.ping().await.map_err(|err| queue_fault(&err)) }),
            self.storage.get(PATIENCE, async move { owned_store.check().await.map_err(|err| storage_fault(&err)) }),
        );
        let silent = "it did not answer in time";
        queue.unwrap_or_else(|_| Err(Fault::new("queue_unavailable", "the queue does not answer", silent)))?;
        storage.unwrap_or_else(|_| Err(Fault::new("storage_unavailable", "the storage does not answer", silent)))?;
        // A queue that stops answering now is noticed by the next check.
        let workers = self.queue_numbers(broker).await.map(|(_, workers)| workers);
        paused::check(&workers.unwrap_or_default())
    }

    /// The queue's numbers and the workers that are alive. `None` when the queue does not answer.
    pub async fn queue_numbers(&self, broker: &Arc<dyn Broker>) -> Option<(Stats, Vec<WorkerInfo>)> {
        let broker = Arc::clone(broker);
        let ask = async move { tokio::try_join!(broker.stats(), broker.workers()).ok() };
        self.numbers.get(PATIENCE, ask).await.ok().flatten()
    }
}

fn queue_fault(err: &BrokerError) -> Fault {
    match err.fault() {
        Some(fault @ broker::Fault::DiskFull) => Fault::new("storage_full", fault.reason(), err),
        Some(fault) => Fault::new("queue_unavailable", fault.reason(), err),
        None => Fault::new("queue_unavailable", "the queue cannot be used", err),
    }
}

fn storage_fault(err: &StoreError) -> Fault {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match err {
        StoreError::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
            Fault::new("storage_full", "the disk of the service is full", err)
        }
        _ => Fault::new("storage_unavailable", "the storage cannot be used", err),
    }
}

/// Whether all threads for blocking work (files, the embedded queue, pictures) are busy.
#[derive(Default)]
struct Threads {
    /// Since when an empty task has waited for a thread.
    waiting_since: Mutex<Option<Instant>>,
}

impl Threads {
    fn waiting_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(&self) {
        loop {
            *self.waiting_since() = Some(Instant::now());
            // Fails only when the runtime ends.
            let _ = tokio::task::spawn_blocking(|| ()).await;
            *self.waiting_since() = None;
            sleep(PROBE_EVERY).await;
        }
    }

    fn busy_for(&self) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A question whose answer is shared by all who ask at the same time.
struct SharedProbe<T> {
    open: Mutex<Option<OpenQuestion<T>>>,
}

struct OpenQuestion<T> {
    at: tokio::time::Instant,
    answer: watch::Receiver<Option<T>>,
}

/// No answer came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoAnswer;

impl<T> Default for SharedProbe<T> {
    fn default() -> Self {
        Self { open: Mutex::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> SharedProbe<T> {
    /// The answer of `ask`, or of the question that is already open.
    ///
    /// A question without an answer stays open, so that questions do not pile up.
    async fn get(&self, patience: Duration, ask: impl Future<Output = T> + Send + 'static) -> Result<T, NoAnswer> {
        let (asked_at, mut answer) = self.open_question(ask);
        let answered = timeout_at(asked_at + patience, answer.wait_for(Option::is_some)).await;
        answered.ok().and_then(Result::ok).and_then(|answer| answer.clone()).ok_or(NoAnswer)
    }

    fn open_question(
        &self,
        ask: impl Future<Output = T> + Send + 'static,
    ) -> (tokio::time::Instant, watch::Receiver<Option<T>>) {
        let mut question = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The sender is dropped with the answer, and when answering panics.
        if let Some(open) = question.as_ref().filter(|open| open.answer.has_changed().is_ok()) {
            return (open.at, open.answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        tokio::spawn(async move {
            let value = ask.await;
            let _ = sender.send(Some(value));
        });
        let at = tokio::time::Instant::now();
        *question = Some(OpenQuestion { at, answer: answer.clone() });
        (at, answer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_question_is_asked_once_at_a_time() {
        let shared = SharedProbe::default();
        let count = Arc::new(AtomicU32::new(0));
        let ask = || {
            let count = Arc::clone(&count);
            async move {
                sleep(Duration::from_millis(50)).await;
                count.fetch_add(1, Ordering::Relaxed)
            }
        };
        assert_eq!(tokio::join!(shared.get(LONG, ask()), shared.get(LONG, ask())), (Ok(0), Ok(0)));
        // What was answered is old: the next one wants to know how it is now.
        assert_eq!(shared.get(LONG, ask()).await, Ok(1));
    }

    #[tokio::test]
    async fn what_does_not_answer_is_not_asked_again_and_keeps_nobody() {
        let shared = SharedProbe::<()>::default();
        assert_eq!(shared.get(Duration::from_millis(20), pending()).await, Err(NoAnswer));
        let second = shared.get(Duration::from_millis(20), async {});
        assert_eq!(second.await, Err(NoAnswer), "the first question is still open");
    }

    #[tokio::test]
    async fn a_question_that_panics_can_be_asked_again() {
        let shared = SharedProbe::default();
        let panics = async {
            assert!(std::hint::black_box(false), "no answer");
            1
        };
        assert_eq!(shared.get(LONG, panics).await, Err(NoAnswer));
        assert_eq!(shared.get(LONG, async { 2 }).await, Ok(2));
    }

    #[test]
    fn taken_threads_are_noticed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        let (release, taken) = std::sync::mpsc::channel::<()>();
        runtime.unwrap().block_on(async {
            let health = Arc::new(Health::default());
            assert!(health.check_alive().is_ok());
            let blocker = tokio::task::spawn_blocking(move || taken.recv());
            let watching = tokio::spawn(Arc::clone(&health).watch());
            while health.threads.busy_for() < Duration::from_millis(20) {
                sleep(Duration::from_millis(5)).await;
            }
            // As if it had been so for long.
            *health.threads.waiting_since() = Instant::now().checked_sub(WEDGED + Duration::from_secs(1));
            assert!(health.check_alive().is_err());
            drop(release);
            assert!(blocker.await.unwrap().is_err());
            while health.check_alive().is_err() {
                sleep(Duration::from_millis(5)).await;
            }
            watching.abort();
        });
    }
}
