//! Whether the storage can be used, asked by many and looked at by one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::backend::{Backend, Shelf};
use super::{StoreError, failed};

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);

/// The latest look at the storage, which may still be on its way: on a disk that hangs, those who ask wait for one look
/// instead of starting one each.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<Mutex<Option<(Instant, Look)>>>);

type Look = Shared<BoxFuture<'static, Result<(), Arc<Problem>>>>;

/// An error that many can be told.
#[derive(Debug)]
struct Problem {
    shelf: Shelf,
    kind: io::ErrorKind,
    text: String,
}

impl Health {
    pub(super) async fn check(&self, backend: &Arc<dyn Backend>) -> Result<(), StoreError> {
        told(self.look(backend).await, backend)
    }

    /// By a look that begins now: for after a fault, which an answer of before knows nothing of.
    pub(super) async fn check_anew(&self, backend: &Arc<dyn Backend>) -> Result<(), StoreError> {
        *self.latest() = None;
        self.check(backend).await
    }

    fn latest(&self) -> MutexGuard<'_, Option<(Instant, Look)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, backend: &Arc<dyn Backend>) -> Look {
        let mut latest = self.latest();
        if let Some((started, look)) = &*latest
            && (look.peek().is_none() || started.elapsed() < FRESH)
        {
            return look.clone();
        }
        let look = look_at(Arc::clone(backend)).boxed().shared();
        *latest = Some((Instant::now(), look.clone()));
        look
    }
}

fn told(answer: Result<(), Arc<Problem>>, backend: &Arc<dyn Backend>) -> Result<(), StoreError> {
    answer.map_err(|problem| {
        let source = io::Error::new(problem.kind, problem.text.clone());
        failed(backend.as_ref(), problem.shelf, "checking", source)
    })
}

async fn look_at(backend: Arc<dyn Backend>) -> Result<(), Arc<Problem>> {
    for shelf in Shelf::ALL {
        let problem = |err: io::Error| Arc::new(Problem { shelf, kind: err.kind(), text: err.to_string() });
        backend.check(shelf).await.map_err(problem)?;
    }
    Ok(())
}
