//! The thread that owns the queue. Calls wait in a channel rather than in the runtime's blocking pool, so that neither
//! exhausts the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::queue::Queue;
use crate::broker::BrokerError;

type Result<T> = std::result::Result<T, BrokerError>;

type Call = Box<dyn FnOnce(&mut Queue) + Send>;

pub(super) struct QueueThread {
    /// `None` only during drop.
    calls: Option<mpsc::Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

impl QueueThread {
    /// Opens the queue on a new thread.
    ///
    /// # Errors
    /// When the thread cannot be started, or as `open`.
    pub(super) async fn start(open: impl FnOnce() -> Result<Queue> + Send + 'static) -> Result<Self> {
        let (calls, to_do) = mpsc::channel::<Call>();
        let (opened, is_open) = oneshot::channel();
        let work = move || match open() {
            Ok(mut queue) => {
                // The caller may be gone.
                if opened.send(Ok(())).is_ok() {
                    to_do.into_iter().for_each(|call| call(&mut queue));
                }
            }
            Err(err) => {
                let _ = opened.send(Err(err));
            }
        };
        let thread = std::thread::Builder::new().name("queue".to_owned()).spawn(work)?;
        let this = Self { calls: Some(calls), thread: Some(thread) };
        is_open.await.map_err(|_| BrokerError::Panicked)??;
        Ok(this)
    }

    /// Runs `work` after all earlier calls. It is skipped if the caller is gone by then.
    ///
    /// # Errors
    /// As `work`.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Queue) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call = move |queue: &mut Queue| {
            if answer.is_closed() {
                return;
            }
            // A panic rolls its transaction back, so the queue stays consistent.
            let done = catch_unwind(AssertUnwindSafe(|| work(queue))).unwrap_or(Err(BrokerError::Panicked));
            let _ = answer.send(done);
        };
        let calls = self.calls.as_ref().ok_or(BrokerError::Stopping)?;
        calls.send(Box::new(call)).map_err(|_| BrokerError::Stopping)?;
        answered.await.map_err(|_| BrokerError::Stopping)?
    }
}

impl Drop for QueueThread {
    /// Waits until the file is closed, so that another process can open it.
    fn drop(&mut self) {
        drop(self.calls.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
