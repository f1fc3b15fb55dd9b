//! How events change a job.

use time::OffsetDateTime;

use crate::broker::NewJob;
use crate::{EventKind, Job, State, Timings};

impl Job {
    /// A job that was just handed in, before its first event.
    pub(crate) fn new(new: NewJob, at: OffsetDateTime) -> Self {
        Self {
            id: new.id,
            state: State::Queued,
            params: new.params,
            priority: new.priority,
            upload_id: new.upload_id,
            engine: None,
            progress: None,
            position: None,
            attempt: 0,
            cancel_requested: false,
            timings: Timings { created_at: at, started_at: None, finished_at: None },
            error: None,
            seq: 0,
        }
    }

    /// A worker takes it. No event of its own: the worker says `Started` once
    /// it knows the engine.
    pub(crate) fn take(&mut self, at: OffsetDateTime) {
        self.state = State::Running;
        self.attempt += 1;
        self.timings.started_at = Some(at);
    }

    /// The job after `kind` has happened to it.
    pub(crate) fn apply(&mut self, kind: &EventKind, at: OffsetDateTime) {
        self.seq += 1;
        match kind {
            EventKind::Queued | EventKind::Note { .. } => {}
            EventKind::Started { engine, .. } => self.engine = Some(*engine),
            EventKind::Progress(progress) => self.progress = Some(progress.clone()),
            EventKind::Requeued { .. } => {
                self.state = State::Queued;
                self.engine = None;
                self.progress = None;
            }
            EventKind::CancelRequested => self.cancel_requested = true,
            EventKind::Succeeded { .. } => self.end(State::Succeeded, at),
            EventKind::Failed { error } => {
                self.error = Some(error.clone());
                self.end(State::Failed, at);
            }
            EventKind::Cancelled => self.end(State::Cancelled, at),
        }
    }

    fn end(&mut self, state: State, at: OffsetDateTime) {
        self.state = state;
        self.timings.finished_at = Some(at);
    }
}
