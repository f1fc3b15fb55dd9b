//! A job's events for its followers. A process polls the queue once for all of them.

mod topics;
mod view;
mod watcher;

use std::sync::Arc;

use futures_util::Stream;

use self::topics::Topics;
use self::view::{End, NextStep};
use crate::{Broker, BrokerError, Event, JobId};

/// Events that a follower reads from the queue at once. It holds them while its client is not reading.
const HISTORY: usize = 64;

/// What a follower receives.
#[derive(Debug, Clone)]
pub enum Update {
    Event(Arc<FollowedEvent>),
    /// The job's position in the queue, when it has changed; 0 is next.
    Position(u64),
    /// The job vanished without a last event: it was deleted, or the queue lost it. This is the last update.
    Removed,
}

/// An event and its JSON, shared by all followers.
#[derive(Debug)]
pub struct FollowedEvent {
    pub event: Event,
    pub json: String,
}

impl FollowedEvent {
    fn new(event: Event) -> Result<Self, BrokerError> {
        Ok(Self { json: serde_json::to_string(&event)?, event })
    }
}

/// Gives any number of followers the events of jobs. One is enough for a process. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    topics: Arc<Topics>,
}

impl Feed {
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { topics: Arc::new(Topics::new(broker)) }
    }

    /// A job's events with a number above `after`, past and future ones, each once and in order; and its position while
    /// it waits.
    ///
    /// The stream ends after the job's last event, after [`Update::Removed`], and after an error, which means that the
    /// queue has not answered for several seconds. To continue after an error, follow again from the last number seen.
    /// Must be polled in a Tokio runtime.
    pub fn follow(&self, id: JobId, after: u64) -> impl Stream<Item = Result<Update, Arc<BrokerError>>> + Send + use<> {
        let topics = self.topics.clone();
        async_stream::try_stream! {
            // Joining comes before the first read, so that no event is missed in between.
            let mut view = topics.join(id, watcher::start);
            let mut after = after;
            let mut shown = None;
            loop {
                let step = view.borrow_and_update().next_step(after, shown);
                let events = match step {
                    NextStep::Events(events) => events,
                    NextStep::Read => match read_backlog(topics.broker(), id, after).await? {
                        Backlog::Events(events) => events,
                        Backlog::Empty if view.changed().await.is_ok() => continue,
                        Backlog::Empty | Backlog::Over => return,
                        Backlog::Removed => {
                            yield Update::Removed;
                            return;
                        }
                    },
                    NextStep::Position(position) => {
                        shown = Some(position);
                        yield Update::Position(position);
                        continue;
                    }
                    NextStep::Wait if view.changed().await.is_ok() => continue,
                    NextStep::Wait | NextStep::End(End::Over) => return,
                    NextStep::End(End::Removed) => {
                        yield Update::Removed;
                        return;
                    }
                    NextStep::End(End::Failed(err)) => Err(err)?,
                };
                for event in events {
                    after = event.event.seq;
                    // A requeued job gets a position again.
                    shown = shown.filter(|_| !view::waits_from(&event.event.kind));
                    let is_last = event.event.kind.is_terminal();
                    yield Update::Event(event);
                    if is_last {
                        return;
                    }
                }
            }
        }
    }
}

/// What a follower that fell behind finds in the queue.
enum Backlog {
    Events(Vec<Arc<FollowedEvent>>),
    /// No new events yet.
    Empty,
    /// No events, and none will come.
    Over,
    Removed,
}

async fn read_backlog(broker: &dyn Broker, id: JobId, after: u64) -> Result<Backlog, Arc<BrokerError>> {
    let events = broker.events_after(id, after, HISTORY).await?;
    if !events.is_empty() {
        let shared = events.into_iter().map(|event| FollowedEvent::new(event).map(Arc::new));
        return Ok(Backlog::Events(shared.collect::<Result<_, _>>()?));
    }
    // The view knew of some, so the job may have been deleted meanwhile.
    Ok(match broker.heads(&[id]).await?.first() {
        Some(Some(head)) if head.is_over => Backlog::Over,
        Some(Some(_)) => Backlog::Empty,
        Some(None) | None => Backlog::Removed,
    })
}
