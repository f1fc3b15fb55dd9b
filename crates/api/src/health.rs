//! Whether the service works, found out in ways that clients cannot take up.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::broker::{self, Stats, WorkerInfo};
use jobs::store::StoreError;
use jobs::{Broker, BrokerError, Store};
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use crate::error::Error;
use crate::paused;

/// How long the queue and the storage may take to answer before the service is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long no thread may be free before only a restart helps. Legitimate work that keeps all of several hundred
/// threads busy for so long is not known.
const WEDGED: Duration = Duration::from_secs(30);

const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What is known of the service's own health.
#[derive(Default)]
pub struct Health {
    threads: Threads,
    queue: Shared<Result<(), Fault>>,
    storage: Shared<Result<(), Fault>>,
    numbers: Shared<Option<(Stats, Vec<WorkerInfo>)>>,
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
    /// Watches the threads until it is dropped.
    pub async fn watch(self: Arc<Self>) {
        self.threads.watch().await;
    }

    /// Whether the process works at all; otherwise it has to be started again.
    pub fn check_alive(&self) -> Result<(), Error> {
        let busy = self.threads.busy_for();
        if busy <= WEDGED {
            return Ok(());
        }
        let cause = format!("no thread was free for {} s", busy.as_secs());
        let message = "no thread of the service has been free for over 30 seconds; start it again";
        Err(Fault::new("threads_exhausted", message, cause).into())
    }

    /// Whether requests can be served.
    ///
    /// However many ask, the queue and the storage are asked once at a time, and nobody waits longer than [`PATIENCE`].
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
        // A queue that stops answering now is told of the next time.
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

/// Whether the threads for work that blocks (files, the embedded queue, pictures) have all been taken.
#[derive(Default)]
struct Threads {
    /// Since when a task that does nothing has waited for one.
    waiting_since: Mutex<Option<Instant>>,
}

impl Threads {
    fn waiting_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(&self) {
        loop {
            *self.waiting_since() = Some(Instant::now());
            // It fails only when the runtime ends.
            let _ = tokio::task::spawn_blocking(|| ()).await;
            *self.waiting_since() = None;
            sleep(PROBE_EVERY).await;
        }
    }

    fn busy_for(&self) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// An answer that those who ask at the same time share.
struct Shared<T> {
    asked: Mutex<Option<Asked<T>>>,
}

struct Asked<T> {
    at: tokio::time::Instant,
    answer: watch::Receiver<Option<T>>,
}

/// There was no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoAnswer;

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { asked: Mutex::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Shared<T> {
    /// What `ask` answers, or what the same question answers that somebody else has asked and waits for.
    ///
    /// A question that is not answered stays open, so that questions do not pile up where nothing answers.
    async fn get(&self, patience: Duration, ask: impl Future<Output = T> + Send + 'static) -> Result<T, NoAnswer> {
        let (asked_at, mut answer) = self.open_question(ask);
        let answered = timeout_at(asked_at + patience, answer.wait_for(Option::is_some)).await;
        answered.ok().and_then(Result::ok).and_then(|answer| answer.clone()).ok_or(NoAnswer)
    }

    fn open_question(
        &self,
        ask: impl Future<Output = T> + Send + 'static,
    ) -> (tokio::time::Instant, watch::Receiver<Option<T>>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Its sender is dropped with the answer, and when answering panics.
        if let Some(open) = asked.as_ref().filter(|asked| asked.answer.has_changed().is_ok()) {
            return (open.at, open.answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        tokio::spawn(async move {
            let value = ask.await;
            let _ = sender.send(Some(value));
        });
        let at = tokio::time::Instant::now();
        *asked = Some(Asked { at, answer: answer.clone() });
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
        let shared = Shared::default();
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
        let shared = Shared::<()>::default();
        assert_eq!(shared.get(Duration::from_millis(20), pending()).await, Err(NoAnswer));
        let second = shared.get(Duration::from_millis(20), async {});
        assert_eq!(second.await, Err(NoAnswer), "the first question is still open");
    }

    #[tokio::test]
    async fn a_question_that_panics_can_be_asked_again() {
        let shared = Shared::default();
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
