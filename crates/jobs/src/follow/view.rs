//! What is known of a followed job, and what a follower makes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FollowedEvent;
use crate::broker::Head;
use crate::{BrokerError, EventKind};

/// How many of a job's newest events are kept for its followers. One that falls
/// further behind reads the queue itself, so nothing is kept for it.
pub(super) const RECENT: usize = 32;

/// How long a queue may fail to answer before followers are told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all followers of a job see.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The number of the newest event; `None` until the first look.
    newest: Option<u64>,
    /// The newest events, up to that one, as far as they came since the first look.
    recent: VecDeque<Arc<FollowedEvent>>,
    /// The place in the queue right after the newest event.
    position: Option<u64>,
    end: Option<End>,
    failing_since: Option<Instant>,
}

/// Why no more will come.
#[derive(Debug, Clone)]
pub(super) enum End {
    Over,
    Removed,
    /// The queue did not answer for too long.
    Failed(Arc<BrokerError>),
}

/// What a follower does next.
#[derive(Debug)]
pub(super) enum Step {
    Events(Vec<Arc<FollowedEvent>>),
    /// Read the queue: the events it needs are not kept here.
    Read,
    Position(u64),
    /// Wait until something changes.
    Wait,
    End(End),
}

/// Whether a job waits in the queue after this event.
pub(super) fn waits_from(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Queued | EventKind::Requeued { .. })
}

impl View {
    /// What comes next for a follower that has seen the events up to `after` and the place `shown`.
    pub(super) fn step(&self, after: u64, shown: Option<u64>) -> Step {
        let newest = self.newest.unwrap_or_default();
        if after < newest {
            if self.recent.front().is_some_and(|first| first.event.seq <= after + 1) {
                let new = self.recent.iter().filter(|event| event.event.seq > after);
                return Step::Events(new.cloned().collect());
            }
            if matches!(self.end, None | Some(End::Over)) {
                return Step::Read;
            }
        }
        match (&self.end, self.position) {
            (Some(end), _) => Step::End(end.clone()),
            // It is the place after the newest event, and means nothing after another.
            (None, Some(position)) if after == newest && shown != Some(position) => Step::Position(position),
            (None, _) => Step::Wait,
        }
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Takes over where the job stands; says whether that changed anything for followers.
    pub(super) fn stand(&mut self, head: Option<Head>) -> bool {
        self.failing_since = None;
        let Some(head) = head else {
            self.end = Some(End::Removed);
            return true;
        };
        let is_first = self.newest.is_none();
        if head.seq > *self.newest.get_or_insert(head.seq) {
            // Events come first: place and end are those after them.
            return is_first;
        }
        let moved = self.position != head.position;
        self.position = head.position;
        if head.is_over {
            self.end = Some(End::Over);
        }
        is_first || moved || head.is_over
    }

    /// Adds the events that come after the newest one; says whether the job waits and its place is to be looked up.
    pub(super) fn add(&mut self, events: &[Arc<FollowedEvent>]) -> bool {
        self.failing_since = None;
        let mut wants_place = false;
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
            wants_place = waits_from(&event.event.kind);
            if event.event.kind.is_terminal() {
                self.end = Some(End::Over);
            }
        }
        wants_place
    }

    /// Notes that the queue did not answer; ends the view when it has not for too long, and says whether it did.
    pub(super) fn fail(&mut self, err: &Arc<BrokerError>, now: Instant) -> bool {
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

    fn numbers(step: &Step) -> Vec<u64> {
        let Step::Events(events) = step else { panic!("{step:?}") };
        events.iter().map(|event| event.event.seq).collect()
    }

    #[test]
    fn who_is_behind_by_little_is_served_and_by_much_reads() {
        let mut view = View::default();
        assert!(matches!(view.step(0, None), Step::Wait), "before the first look nothing is known");
        assert!(view.stand(head(5, None)));
        assert!(matches!(view.step(0, None), Step::Read), "the history is not kept");
        assert!(matches!(view.step(5, None), Step::Wait));
        view.add(&[note(6), note(7)]);
        assert_eq!(numbers(&view.step(5, None)), [6, 7]);
        assert_eq!(numbers(&view.step(6, None)), [7]);
        assert!(matches!(view.step(4, None), Step::Read));
        for seq in 8..1000 {
            view.add(&[note(seq)]);
        }
        assert_eq!(view.recent.len(), RECENT, "what is kept is bounded");
        assert!(matches!(view.step(7, None), Step::Read));
        assert_eq!(numbers(&view.step(999 - RECENT as u64, None)).len(), RECENT);
        assert!(matches!(view.step(u64::MAX, None), Step::Wait), "a number that never was");
    }

    #[test]
    fn a_place_is_shown_only_after_the_event_it_belongs_to() {
        let mut view = View::default();
        view.stand(head(1, Some(3)));
        assert!(matches!(view.step(0, None), Step::Read));
        assert!(matches!(view.step(1, None), Step::Position(3)));
        assert!(matches!(view.step(1, Some(3)), Step::Wait));
        assert!(view.stand(head(1, Some(2))));
        assert!(!view.stand(head(1, Some(2))), "nothing has changed");
        assert!(matches!(view.step(1, Some(3)), Step::Position(2)));
        // A follower that has read on knows better.
        assert!(matches!(view.step(2, None), Step::Wait));
        // Nor does the place of a moment later count before the event is known.
        assert!(!view.stand(head(2, Some(7))));
        assert!(matches!(view.step(1, Some(2)), Step::Wait));
        assert!(view.add(&[event(2, EventKind::Requeued { reason: String::new() })]));
        assert!(matches!(view.step(2, None), Step::Wait));
        assert!(view.stand(head(2, Some(0))));
        assert!(matches!(view.step(2, None), Step::Position(0)));
    }

    #[test]
    fn events_come_before_the_end() {
        let mut view = View::default();
        view.stand(head(1, None));
        view.add(&[note(2), event(3, EventKind::Cancelled)]);
        assert!(view.has_ended());
        assert_eq!(numbers(&view.step(1, None)), [2, 3]);
        assert!(matches!(view.step(0, None), Step::Read), "the history of a finished job can be read");
        assert!(matches!(view.step(3, None), Step::End(End::Over)));
        let mut view = View::default();
        view.stand(head(1, None));
        view.add(&[note(2)]);
        view.stand(None);
        assert_eq!(numbers(&view.step(1, None)), [2]);
        assert!(matches!(view.step(0, None), Step::End(End::Removed)), "there is nothing to read");
    }

    #[test]
    fn a_queue_that_is_back_in_time_is_no_end() {
        let err = Arc::new(BrokerError::NotRecordable);
        let start = Instant::now();
        let mut view = View::default();
        view.stand(head(1, None));
        assert!(!view.fail(&err, start));
        assert!(!view.fail(&err, start + PATIENCE / 2));
        assert!(!view.stand(head(1, None)), "it answers again, and nothing has changed");
        assert!(!view.fail(&err, start + PATIENCE));
        assert!(view.fail(&err, start + PATIENCE * 2));
        assert!(matches!(view.step(1, None), Step::End(End::Failed(_))));
    }
}
