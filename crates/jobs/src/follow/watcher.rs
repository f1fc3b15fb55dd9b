//! The one look at the queue that all followers of a process share.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::FollowedEvent;
use super::topics::Topics;
use super::view::RECENT;
use crate::broker::Head;
use crate::{BrokerError, JobId};

/// How often all followed jobs are looked at: wakes can get lost, jobs can vanish, and places in the queue change.
const LOOK: Duration = Duration::from_secs(1);

/// Jobs in one look at the queue.
const HEADS: usize = 256;

/// Jobs whose events are read at the same time.
const READS: usize = 8;

/// Pages that are read of one job before the others have their turn; the rest is read with the next wake or look.
const PAGES: usize = 8;

/// Starts the task that keeps the views of `topics` up to date, until nobody follows any more.
pub(super) fn start(topics: &Arc<Topics>, joined: Arc<Notify>) -> AbortHandle {
    // Listening starts before the first look, so that nothing falls in between.
    let wakes = topics.broker().wakes();
    // The queue is held only while it is used: it can be closed as soon as its last user is gone.
    tokio::spawn(watch(Arc::downgrade(topics), joined, wakes)).abort_handle()
}

/// What there is to do.
enum Due {
    All,
    Joined,
    Woken(HashSet<JobId>),
}

async fn watch(topics: Weak<Topics>, joined: Arc<Notify>, mut wakes: Receiver<JobId>) {
    let mut look = interval_at(Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_wakes = true;
    loop {
        let due = tokio::select! {
            _ = look.tick() => Due::All,
            () = joined.notified() => Due::Joined,
            woken = wakes.recv(), if has_wakes => match woken {
                Ok(first) => all_woken(first, &mut wakes),
                Err(RecvError::Lagged(_)) => Due::All,
                Err(RecvError::Closed) => {
                    // Looking now and then is all that is left.
                    has_wakes = false;
                    continue;
                }
            },
        };
        let Some(topics) = topics.upgrade() else { return };
        match due {
            Due::All => match topics.all() {
                Some(ids) => look_at(&topics, &ids).await,
                None => return,
            },
            Due::Joined => look_at(&topics, &topics.take_joined()).await,
            Due::Woken(ids) => read(&topics, ids.into_iter().map(|id| (id, None)).collect()).await,
        }
    }
}

/// All wakes that have come so far, each job once.
fn all_woken(first: JobId, wakes: &mut Receiver<JobId>) -> Due {
    let mut ids = HashSet::from([first]);
    loop {
        match wakes.try_recv() {
            Ok(id) => {
                ids.insert(id);
            }
            Err(TryRecvError::Lagged(_)) => return Due::All,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Due::Woken(ids),
        }
    }
}

/// Looks where jobs stand, and reads the events of those that have new ones.
async fn look_at(topics: &Topics, ids: &[JobId]) {
    let behind = heads(topics, ids).await;
    read(topics, behind).await;
}

/// Takes over where jobs stand; answers with those that have events that are not known yet.
async fn heads(topics: &Topics, ids: &[JobId]) -> Vec<(JobId, Option<Head>)> {
    let mut behind = Vec::new();
    let mut left = ids;
    while !left.is_empty() {
        let (some, rest) = left.split_at(left.len().min(HEADS));
        match topics.broker().heads(some).await {
            Ok(heads) => {
                for (id, head) in some.iter().zip(heads) {
                    topics.update(*id, |view| view.stand(head));
                    if head.is_some_and(|head| topics.newest(*id).is_some_and(|newest| newest < head.seq)) {
                        behind.push((*id, head));
                    }
                }
            }
            Err(err) => {
                // The queue would make wait for each of the others too.
                fail(topics, left, err);
                break;
            }
        }
        left = rest;
    }
    behind
}

/// Reads the new events of some jobs, and looks up the places of those that wait from then on.
async fn read(topics: &Topics, jobs: Vec<(JobId, Option<Head>)>) {
    let waiting = stream::iter(jobs)
        .map(|(id, head)| async move { read_one(topics, id, head).await.then_some(id) })
        .buffer_unordered(READS)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>()
        .await;
    heads(topics, &waiting).await;
}

/// Reads the new events of a job; answers whether it waits from then on.
async fn read_one(topics: &Topics, id: JobId, head: Option<Head>) -> bool {
    let mut waits = false;
    for page in 0..PAGES {
        let Some(newest) = topics.newest(id) else { break };
        let events = match next_page(topics, id, newest).await {
            Ok(events) => events,
            Err(err) => {
                fail(topics, &[id], err);
                break;
            }
        };
        if events.is_empty() {
            if page == 0 && head.is_some_and(|head| head.is_over) {
                // It is said to have more, and has not: nothing will come.
                topics.update(id, |view| view.stand(head.map(|head| Head { seq: newest, ..head })));
            }
            break;
        }
        topics.update(id, |view| {
            waits = view.add(&events);
            true
        });
        if events.len() < RECENT {
            break;
        }
    }
    waits
}

async fn next_page(topics: &Topics, id: JobId, after: u64) -> Result<Vec<Arc<FollowedEvent>>, BrokerError> {
    let events = topics.broker().events_after(id, after, RECENT).await?;
    events.into_iter().map(|event| FollowedEvent::new(event).map(Arc::new)).collect()
}

/// Leaves jobs as they are until the next look, or gives them up when the queue has not answered for too long.
fn fail(topics: &Topics, ids: &[JobId], err: BrokerError) {
    let (err, now) = (Arc::new(err), std::time::Instant::now());
    let mut given_up = 0;
    for id in ids {
        topics.update(*id, |view| {
            let ends = view.fail(&err, now);
            given_up += usize::from(ends);
            ends
        });
    }
    if given_up > 0 {
        tracing::error!(error = %err, jobs = given_up, "the queue does not answer; the followers of these jobs are told");
    } else {
        tracing::debug!(error = %err, jobs = ids.len(), "followed jobs could not be looked up; retrying");
    }
}
