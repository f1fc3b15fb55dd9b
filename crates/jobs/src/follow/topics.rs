//! The jobs that are followed in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::view::View;
use crate::{Broker, JobId};

/// A view per followed job, and the task that keeps the views up to date.
pub(super) struct Topics {
    broker: Arc<dyn Broker>,
    registry: Mutex<Registry>,
    /// Signals that `Registry::joined` is not empty.
    joined: Arc<Notify>,
}

#[derive(Default)]
struct Registry {
    views: HashMap<JobId, watch::Sender<View>>,
    /// Jobs that were not polled yet.
    joined: Vec<JobId>,
    /// Runs while there are followers.
    watcher: Option<AbortHandle>,
}

impl Topics {
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, registry: Mutex::default(), joined: Arc::default() }
    }

    pub(super) fn broker(&self) -> &dyn Broker {
        self.broker.as_ref()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // No change can panic half-way.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a job. The first follower starts the watcher with `start`.
    pub(super) fn join(
        self: &Arc<Self>,
        id: JobId,
        start: impl FnOnce(&Arc<Self>, Arc<Notify>) -> AbortHandle,
    ) -> watch::Receiver<View> {
        let mut registry = self.registry();
        if registry.watcher.as_ref().is_none_or(AbortHandle::is_finished) {
            registry.watcher = Some(start(self, self.joined.clone()));
        }
        if let Some(view) = registry.views.get(&id) {
            return view.subscribe();
        }
        let (view, receiver) = watch::channel(View::default());
        registry.views.insert(id, view);
        registry.joined.push(id);
        self.joined.notify_one();
        receiver
    }

    /// The jobs that were not polled since they were joined.
    pub(super) fn take_joined(&self) -> Vec<JobId> {
        std::mem::take(&mut self.registry().joined)
    }

    /// All followed jobs; those without followers are dropped. `None` when no job is followed: the next follower starts
    /// another watcher.
    pub(super) fn all(&self) -> Option<Vec<JobId>> {
        let mut registry = self.registry();
        registry.views.retain(|_, view| view.receiver_count() > 0);
        if registry.views.is_empty() {
            *registry = Registry::default();
            return None;
        }
        registry.joined.clear();
        Some(registry.views.keys().copied().collect())
    }

    /// The number of the newest known event of a job; `None` when it is not followed or was not polled yet.
    pub(super) fn newest(&self, id: JobId) -> Option<u64> {
        self.registry().views.get(&id)?.borrow().newest()
    }

    /// Changes the view of a job; its followers are woken when `change` answers `true`.
    pub(super) fn update(&self, id: JobId, change: impl FnOnce(&mut View) -> bool) {
        let Some(view) = self.registry().views.get(&id).cloned() else { return };
        view.send_if_modified(change);
        if view.borrow().has_ended() {
            // Present followers keep the view; later ones get a new one.
            self.registry().views.remove(&id);
        }
    }
}
