//! The jobs that somebody in this process follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::view::View;
use super::watcher;
use crate::{Broker, JobId};

/// One view a followed job, and the task that keeps all of them up to date.
pub(super) struct Topics {
    broker: Arc<dyn Broker>,
    followed: Mutex<Followed>,
    /// Says that `Followed::joined` is not empty.
    joined: Arc<Notify>,
}

#[derive(Default)]
struct Followed {
    views: HashMap<JobId, watch::Sender<View>>,
    /// Jobs that were not looked at yet.
    joined: Vec<JobId>,
    /// Runs while somebody follows.
    watcher: Option<AbortHandle>,
}

impl Topics {
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, followed: Mutex::default(), joined: Arc::default() }
    }

    pub(super) fn broker(&self) -> &dyn Broker {
        self.broker.as_ref()
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        // No change to it can stop half-way.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a job. Without followers nothing runs, so the first one starts the watcher.
    pub(super) fn join(self: &Arc<Self>, id: JobId) -> watch::Receiver<View> {
        let mut followed = self.followed();
        if followed.watcher.as_ref().is_none_or(AbortHandle::is_finished) {
            followed.watcher = Some(watcher::start(self, self.joined.clone()));
        }
        if let Some(view) = followed.views.get(&id) {
            return view.subscribe();
        }
        let (view, receiver) = watch::channel(View::default());
        followed.views.insert(id, view);
        followed.joined.push(id);
        self.joined.notify_one();
        receiver
    }

    /// The jobs that nobody has looked at since they were joined.
    pub(super) fn take_joined(&self) -> Vec<JobId> {
        std::mem::take(&mut self.followed().joined)
    }

    /// All followed jobs; forgets those that everybody has left. `None` when
    /// nobody follows any more: the next one to join starts another watcher.
    pub(super) fn all(&self) -> Option<Vec<JobId>> {
        let mut followed = self.followed();
        followed.views.retain(|_, view| view.receiver_count() > 0);
        if followed.views.is_empty() {
            *followed = Followed::default();
            return None;
        }
        followed.joined.clear();
        Some(followed.views.keys().copied().collect())
    }

    /// The number of the newest event that followers of a job know of; `None` when nobody
    /// follows it, or it was not looked at yet.
    pub(super) fn newest(&self, id: JobId) -> Option<u64> {
        self.followed().views.get(&id)?.borrow().newest()
    }

    /// Changes what is known of a job; followers are woken when `change` answers `true`.
    pub(super) fn update(&self, id: JobId, change: impl FnOnce(&mut View) -> bool) {
        let Some(view) = self.followed().views.get(&id).cloned() else { return };
        view.send_if_modified(change);
        if view.borrow().has_ended() {
            // Its followers keep what they see; whoever comes later has it looked up anew.
            self.followed().views.remove(&id);
        }
    }
}
