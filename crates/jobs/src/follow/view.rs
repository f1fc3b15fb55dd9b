//! The state of a followed job, and what a follower does next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FollowedEvent;
use crate::broker::Head;
use crate::{BrokerError, EventKind};

/// How many of a job's newest events are kept for its followers. A follower that falls further behind reads the queue
/// itself.
pub(super) const RECENT: usize = 32;

/// How long the queue may fail before followers get its error.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state of a job that all its followers share.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The number of the newest event; `None` until the first poll.
    newest: Option<u64>,
    /// The newest events, as far as they arrived since the first poll.
    recent: VecDeque<Arc<FollowedEvent>>,
    /// The position in the queue after the newest event.
    position: Option<u64>,
    end: Option<End>,
    failing_since: Option<Instant>,
}

/// Why no more events will come.
#[derive(Debug, Clone)]
pub(super) enum End {
    Over,
    Removed,
    /// The queue did not answer for too long.
    Failed(Arc<BrokerError>),
}

/// What a follower does next.
#[derive(Debug)]
pub(super) enum NextStep {
    Events(Vec<Arc<FollowedEvent>>),
    /// Read the queue, because the events are not kept here.
    Read,
    Position(u64),
    /// Wait for a change.
    Wait,
    End(End),
}

/// Whether a job waits after this event.
pub(super) fn waits_from(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Queued | EventKind::Requeued { .. })
}

impl View {
    /// The next step of a follower that has seen the events up to `after` and the position `shown`.
    pub(super) fn next_step(&self, after: u64, shown: Option<u64>) -> NextStep {
        let newest = self.newest.unwrap_or_default();
        if after < newest {
            if self.recent.front().is_some_and(|first| first.event.seq <= after + 1) {
                let new = self.recent.iter().filter(|event| event.event.seq > after);
                return NextStep::Events(new.cloned().collect());
            }
            if matches!(self.end, None | Some(End::Over)) {
                return NextStep::Read;
            }
        }
        match (&self.end, self.position) {
            (Some(end), _) => NextStep::End(end.clone()),
            // The position belongs to the newest event only.
            (None, Some(position)) if after == newest && shown != Some(position) => NextStep::Position(position),
            (None, _) => NextStep::Wait,
        }
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Applies a job's head; answers whether that changed anything for followers.
    pub(super) fn apply_head(&mut self, head: Option<Head>) -> bool {
        self.failing_since = None;
        let Some(head) = head else {
            self.end = Some(End::Removed);
            return true;
        };
        let is_first = self.newest.is_none();
        if head.seq > *self.newest.get_or_insert(head.seq) {
            // Position and end belong to events that have to be read first.
            return is_first;
        }
        let moved = self.position != head.position;
        self.position = head.position;
        if head.is_over {
            self.end = Some(End::Over);
        }
        is_first || moved || head.is_over
    }

    /// Adds new events; answers whether the job waits, so that its position has to be read.
    pub(super) fn add_events(&mut self, events: &[Arc<FollowedEvent>]) -> bool {
        self.failing_since = None;
        let mut waits = false;
        for event in events {
            self.newest = Some(event.event.seq);
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(event.clone());
            if matches!(event.event.kind, EventKind::Note { .. }) {
                continue;
            }
            self.position = None;
            waits = waits_from(&event.event.kind);
            if event.event.kind.is_terminal() {
                self.end = Some(End::Over);
            }
        }
        waits
    }

    /// Records that the queue did not answer. Ends the view, and answers `true`, when that has lasted too long.
    pub(super) fn record_failure(&mut self, err: &Arc<BrokerError>, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        if now.duration_since(since) < PATIENCE {
            return false;
        }
        self.end = Some(End::Failed(err.clone()));
        true
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{Event, JobId};

    fn event(seq: u64, kind: EventKind) -> Arc<FollowedEvent> {
        let event = Event { seq, job_id: JobId::nil(), at: OffsetDateTime::UNIX_EPOCH, kind };
        Arc::new(FollowedEvent::new(event).expect("an event is JSON"))
    }

    fn note(seq: u64) -> Arc<FollowedEvent> {
        event(seq, EventKind::Note { message: String::new(), code: Default::default(), data: Default::default() })
    }

    fn head(seq: u64, position: Option<u64>) -> Option<Head> {
        Some(Head { seq, is_over: false, position })
    }

    fn numbers(step: &NextStep) -> Vec<u64> {
        let NextStep::Events(events) = step else { panic!("{step:?}") };
        events.iter().map(|event| event.event.seq).collect()
    }

    #[test]
    fn who_is_behind_by_little_is_served_and_by_much_reads() {
        let mut view = View::default();
        assert!(matches!(view.next_step(0, None), NextStep::Wait), "before the first look nothing is known");
        assert!(view.apply_head(head(5, None)));
        assert!(matches!(view.next_step(0, None), NextStep::Read), "the history is not kept");
        assert!(matches!(view.next_step(5, None), NextStep::Wait));
        view.add_events(&[note(6), note(7)]);
        assert_eq!(numbers(&view.next_step(5, None)), [6, 7]);
        assert_eq!(numbers(&view.next_step(6, None)), [7]);
        assert!(matches!(view.next_step(4, None), NextStep::Read));
        for seq in 8..1000 {
            view.add_events(&[note(seq)]);
        }
        assert_eq!(view.recent.len(), RECENT, "what is kept is bounded");
        assert!(matches!(view.next_step(7, None), NextStep::Read));
        assert_eq!(numbers(&view.next_step(999 - RECENT as u64, None)).len(), RECENT);
        assert!(matches!(view.next_step(u64::MAX, None), NextStep::Wait), "a number that never was");
    }

    #[test]
    fn a_place_is_shown_only_after_the_event_it_belongs_to() {
        let mut view = View::default();
        view.apply_head(head(1, Some(3)));
        assert!(matches!(view.next_step(0, None), NextStep::Read));
        assert!(matches!(view.next_step(1, None), NextStep::Position(3)));
        assert!(matches!(view.next_step(1, Some(3)), NextStep::Wait));
        assert!(view.apply_head(head(1, Some(2))));
        assert!(!view.apply_head(head(1, Some(2))), "nothing has changed");
        assert!(matches!(view.next_step(1, Some(3)), NextStep::Position(2)));
        // A follower that has read on knows better.
        assert!(matches!(view.next_step(2, None), NextStep::Wait));
        // Nor does the place of a moment later count before the event is known.
        assert!(!view.apply_head(head(2, Some(7))));
        assert!(matches!(view.next_step(1, Some(2)), NextStep::Wait));
        assert!(view.add_events(&[event(2, EventKind::requeued("".into()))]));
        assert!(matches!(view.next_step(2, None), NextStep::Wait));
        assert!(view.apply_head(head(2, Some(0))));
        assert!(matches!(view.next_step(2, None), NextStep::Position(0)));
    }

    #[test]
    fn events_come_before_the_end() {
        let mut view = View::default();
        view.apply_head(head(1, None));
        view.add_events(&[note(2), event(3, EventKind::Cancelled)]);
        assert!(view.has_ended());
        assert_eq!(numbers(&view.next_step(1, None)), [2, 3]);
        assert!(matches!(view.next_step(0, None), NextStep::Read), "the history of a finished job can be read");
        assert!(matches!(view.next_step(3, None), NextStep::End(End::Over)));
        let mut view = View::default();
        view.apply_head(head(1, None));
        view.add_events(&[note(2)]);
        view.apply_head(None);
        assert_eq!(numbers(&view.next_step(1, None)), [2]);
        assert!(matches!(view.next_step(0, None), NextStep::End(End::Removed)), "there is nothing to read");
    }

    #[test]
    fn a_queue_that_is_back_in_time_is_no_end() {
        let err = Arc::new(BrokerError::NotRecordable);
        let start = Instant::now();
        let mut view = View::default();
        view.apply_head(head(1, None));
        assert!(!view.record_failure(&err, start));
        assert!(!view.record_failure(&err, start + PATIENCE / 2));
        assert!(!view.apply_head(head(1, None)), "it answers again, and nothing has changed");
        assert!(!view.record_failure(&err, start + PATIENCE));
        assert!(view.record_failure(&err, start + PATIENCE * 2));
        assert!(matches!(view.next_step(1, None), NextStep::End(End::Failed(_))));
    }
}
