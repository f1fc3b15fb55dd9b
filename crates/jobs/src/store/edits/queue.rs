//! Changes of one result's edits take turns in a queue that holds no thread. Those that wait are written together.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::Error as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::JobId;
use crate::edits::Edits;
use crate::store::StoreError;
use crate::store::backend::{Backend, Change, Shelf};

/// How many changes of one result may wait.
const MAX_WAITING: usize = 2000;

/// How many changes are written together.
const BATCH: usize = 256;

/// How long another process may have the file before those that wait are refused.
const LOCK_WAIT: Duration = Duration::from_secs(25);

/// Answers whether the change was made; otherwise the edits stay as they were.
type Edit = Box<dyn Fn(&mut Edits) -> bool + Send + Sync>;

/// Why a change was not made.
#[derive(Debug, Clone)]
pub(super) enum Refused {
    NoResult,
    Busy,
    TooLarge,
    Corrupt(String),
    Failed(io::ErrorKind, String),
}

impl Refused {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => Self::Busy,
            io::ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            kind => Self::Failed(kind, error.to_string()),
        }
    }
}

type Answer = Result<Edits, Refused>;

/// A change that somebody waits for.
struct Waiting {
    edit: Edit,
    answer: oneshot::Sender<Answer>,
}

/// The changes that wait, by result. An entry stands as long as a task works on it.
#[derive(Clone, Default)]
pub(in crate::store) struct EditQueue(Arc<Mutex<HashMap<JobId, VecDeque<Waiting>>>>);

impl std::fmt::Debug for EditQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EditQueue").field("results", &self.lines().len()).finish()
    }
}

impl EditQueue {
    fn lines(&self) -> MutexGuard<'_, HashMap<JobId, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change when its turn has come. One that nobody waits for any more is not made.
    pub(super) async fn change(&self, backend: &Arc<dyn Backend>, file: &'static str, id: JobId, edit: Edit) -> Answer {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { edit, answer };
        let is_first = {
            let mut lines = self.lines();
            match lines.get_mut(&id) {
                Some(line) if line.len() >= MAX_WAITING => return Err(Refused::Busy),
                Some(line) => {
                    line.push_back(waiting);
                    false
                }
                None => {
                    lines.insert(id, VecDeque::from([waiting]));
                    true
                }
            }
        };
        if is_first {
            let line = Line { queue: self.clone(), id, is_over: false };
            // A task of its own: whoever asked first may leave.
            tokio::spawn(line.work(Arc::clone(backend), file));
        }
        let ended = || Refused::Failed(io::ErrorKind::Interrupted, "the change was broken off".to_owned());
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Works on the changes of one result until none waits.
struct Line {
    queue: EditQueue,
    id: JobId,
    is_over: bool,
}

impl Line {
    async fn work(mut self, backend: Arc<dyn Backend>, file: &'static str) {
        while let Some(batch) = self.next() {
            let batch = Arc::new(batch);
            let change: Change = {
                let batch = Arc::clone(&batch);
                Arc::new(move |before| batch.apply(before))
            };
            let deadline = Instant::now() + LOCK_WAIT;
            let changed = backend.change(Shelf::Results, self.id, file, change, deadline).await;
            let failed = match changed {
                Ok(true) => None,
                Ok(false) => Some(Refused::NoResult),
                Err(err) => Some(Refused::of(&err)),
            };
            batch.answer(failed.as_ref());
        }
    }

    fn next(&mut self) -> Option<Batch> {
        let mut lines = self.queue.lines();
        let line = lines.get_mut(&self.id)?;
        if line.is_empty() {
            lines.remove(&self.id);
            self.is_over = true;
            return None;
        }
        let changes = line.drain(..line.len().min(BATCH)).map(|waiting| (waiting.edit, waiting.answer)).unzip();
        Some(Batch::new(changes))
    }
}

impl Drop for Line {
    /// A change that panicked, or a runtime that ends, must not leave others waiting for ever.
    fn drop(&mut self) {
        if !self.is_over {
            self.queue.lines().remove(&self.id);
        }
    }
}

/// Changes that are written together, and what became of each.
struct Batch {
    edits: Vec<Edit>,
    state: Mutex<Answers>,
}

struct Answers {
    to: Vec<oneshot::Sender<Answer>>,
    /// Of the latest attempt; a place may ask for more than one.
    made: Vec<Answer>,
}

impl Batch {
    fn new((edits, to): (Vec<Edit>, Vec<oneshot::Sender<Answer>>)) -> Self {
        Self { edits, state: Mutex::new(Answers { to, made: Vec::new() }) }
    }

    /// The file with the changes made; `None` when it stays as it is.
    fn apply(&self, before: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let read = before.map(Edits::from_json).transpose();
        let mut edits = read.map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))?.unwrap_or_default();
        let revision = edits.revision;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Answers { to, made } = &mut *state;
        made.clear();
        for (edit, asker) in self.edits.iter().zip(to.iter()) {
            made.push(if asker.is_closed() { Err(Refused::Busy) } else { applied(edit, &mut edits) });
        }
        if edits.revision == revision {
            return Ok(None);
        }
        Ok(Some(serde_json::to_vec(&edits)?))
    }

    fn answer(&self, failed: Option<&Refused>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = std::mem::take(&mut state.made).into_iter();
        for asker in state.to.drain(..) {
            let own = made.next().unwrap_or(Err(Refused::Busy));
            // Whoever does not wait any more hears nothing.
            let _ = asker.send(failed.map_or(own, |refused| Err(refused.clone())));
        }
    }
}

/// Makes one change, unless it is refused or the edits get too large by it.
fn applied(edit: &Edit, edits: &mut Edits) -> Answer {
    let before = edits.clone();
    if !edit(edits) {
        *edits = before;
        return Ok(edits.clone());
    }
    if edits.is_too_large() {
        *edits = before;
        return Err(Refused::TooLarge);
    }
    edits.revision = before.revision.wrapping_add(1);
    Ok(edits.clone())
}

impl Refused {
    pub(super) fn told(self, what: String, failed: impl FnOnce(io::Error) -> StoreError) -> StoreError {
        match self {
            Self::NoResult => failed(io::ErrorKind::NotFound.into()),
            Self::Busy => StoreError::Busy { what },
            Self::TooLarge => StoreError::TooLarge { what },
            Self::Corrupt(text) => StoreError::Corrupt { what, source: serde_json::Error::custom(text) },
            Self::Failed(kind, text) => failed(io::Error::new(kind, text)),
        }
    }
}
