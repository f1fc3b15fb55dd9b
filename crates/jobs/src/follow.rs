//! A job's events for those who follow it. However many there are, a process looks at the queue once for all of them.

mod topics;
mod view;
mod watcher;

use std::sync::Arc;

use futures_util::Stream;

use self::topics::Topics;
use self::view::{End, Step};
use crate::{Broker, BrokerError, Event, JobId};

/// How many events a follower that is behind reads at once. It may hold them for as long as its client reads nothing.
const HISTORY: usize = 64;

/// What a follower of a job is told.
#[derive(Debug, Clone)]
pub enum Update {
    Event(Arc<FollowedEvent>),
    /// The job's place in the queue, when it has changed; 0 is next.
    Position(u64),
    /// The job is gone without a last event: it was deleted, or the queue has lost it. Nothing comes after this.
    Removed,
}

/// An event and its JSON, which all followers share.
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

/// Tells any number of followers how jobs go. One is enough for a process. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    topics: Arc<Topics>,
}

impl Feed {
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { topics: Arc::new(Topics::new(broker)) }
    }

    /// A job's events with a number above `after`: first those that were, then
    /// those that come, each once and in order, and its place in the queue
    /// while it waits.
    ///
    /// Ends after the job's last event, at once when there is none to come,
    /// after [`Update::Removed`], and after an error: the queue has not
    /// answered for several seconds. To go on after an error, follow again from
    /// the last number seen. Has to be polled in a Tokio runtime.
    pub fn follow(&self, id: JobId, after: u64) -> impl Stream<Item = Result<Update, Arc<BrokerError>>> + Send + use<> {
        let topics = self.topics.clone();
        async_stream::try_stream! {
            // Joining comes before the first read, so that nothing falls in between.
            let mut view = topics.join(id);
            let mut after = after;
            let mut shown = None;
            loop {
                let step = view.borrow_and_update().step(after, shown);
                let events = match step {
                    Step::Events(events) => events,
                    Step::Read => match read(topics.broker(), id, after).await? {
                        Read::Events(events) => events,
                        Read::Nothing if view.changed().await.is_ok() => continue,
                        Read::Nothing | Read::Over => return,
                        Read::Removed => {
                            yield Update::Removed;
                            return;
                        }
                    },
                    Step::Position(position) => {
                        shown = Some(position);
                        yield Update::Position(position);
                        continue;
                    }
                    Step::Wait if view.changed().await.is_ok() => continue,
                    Step::Wait | Step::End(End::Over) => return,
                    Step::End(End::Removed) => {
                        yield Update::Removed;
                        return;
                    }
                    Step::End(End::Failed(err)) => Err(err)?,
                };
                for event in events {
                    after = event.event.seq;
                    // Waiting again, it is told its place again.
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

/// What a follower that is behind finds in the queue.
enum Read {
    Events(Vec<Arc<FollowedEvent>>),
    /// Nothing for now.
    Nothing,
    /// Nothing, and nothing will come.
    Over,
    Removed,
}

async fn read(broker: &dyn Broker, id: JobId, after: u64) -> Result<Read, Arc<BrokerError>> {
    let events = broker.events_after(id, after, HISTORY).await?;
    if !events.is_empty() {
        let shared = events.into_iter().map(|event| FollowedEvent::new(event).map(Arc::new));
        return Ok(Read::Events(shared.collect::<Result<_, _>>()?));
    }
    // There were some: perhaps they went with their job meanwhile.
    Ok(match broker.heads(&[id]).await?.first() {
        Some(Some(head)) if head.is_over => Read::Over,
        Some(Some(_)) => Read::Nothing,
        Some(None) | None => Read::Removed,
    })
}
