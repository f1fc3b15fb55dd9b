//! The poll that all followers of a process share.

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

/// How often all followed jobs are polled: wakes can get lost, jobs can vanish, and positions change.
const POLL: Duration = Duration::from_secs(1);

/// Jobs in one call of the queue.
const HEADS: usize = 256;

/// Jobs whose events are read concurrently.
const READS: usize = 8;

/// Pages that are read of one job before the next; the rest is read with the next wake or poll.
const PAGES: usize = 8;

/// Starts the task that keeps the views of `topics` up to date while there are followers.
pub(super) fn start(topics: &Arc<Topics>, joined: Arc<Notify>) -> AbortHandle {
    // Subscribing comes before the first poll, so that no wake is missed in between.
    let wakes = topics.broker().wakes();
    // Weak, so that the queue can be closed as soon as its last user is gone.
    tokio::spawn(watch(Arc::downgrade(topics), joined, wakes)).abort_handle()
}

/// Which jobs to refresh.
enum Scope {
    All,
    Joined,
    Woken(HashSet<JobId>),
}

async fn watch(topics: Weak<Topics>, joined: Arc<Notify>, mut wakes: Receiver<JobId>) {
    let mut poll = interval_at(Instant::now() + POLL, POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_wakes = true;
    loop {
        let scope = tokio::select! {
            _ = poll.tick() => Scope::All,
            () = joined.notified() => Scope::Joined,
            woken = wakes.recv(), if has_wakes => match woken {
                Ok(first) => all_woken(first, &mut wakes),
                Err(RecvError::Lagged(_)) => Scope::All,
                Err(RecvError::Closed) => {
                    // Polling is all that is left.
                    has_wakes = false;
                    continue;
                }
            },
        };
        let Some(topics) = topics.upgrade() else { return };
        match scope {
            Scope::All => match topics.all() {
                Some(ids) => refresh(&topics, &ids).await,
                None => return,
            },
            Scope::Joined => refresh(&topics, &topics.take_joined()).await,
            Scope::Woken(ids) => read_events(&topics, ids.into_iter().map(|id| (id, None)).collect()).await,
        }
    }
}

/// All wakes that have arrived, each job once.
fn all_woken(first: JobId, wakes: &mut Receiver<JobId>) -> Scope {
    let mut ids = HashSet::from([first]);
    loop {
        match wakes.try_recv() {
            Ok(id) => {
                ids.insert(id);
            }
            Err(TryRecvError::Lagged(_)) => return Scope::All,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Scope::Woken(ids),
        }
    }
}

/// Reads the heads of jobs, and the events of those that have new ones.
async fn refresh(topics: &Topics, ids: &[JobId]) {
    let behind = apply_heads(topics, ids).await;
    read_events(topics, behind).await;
}

/// Reads and applies the heads of jobs; answers those with events that are not known yet.
async fn apply_heads(topics: &Topics, ids: &[JobId]) -> Vec<(JobId, Option<Head>)> {
    let mut behind = Vec::new();
    let mut left = ids;
    while !left.is_empty() {
        let (some, rest) = left.split_at(left.len().min(HEADS));
        match topics.broker().heads(some).await {
            Ok(heads) => {
                for (id, head) in some.iter().zip(heads) {
                    topics.update(*id, |view| view.apply_head(head));
                    if head.is_some_and(|head| topics.newest(*id).is_some_and(|newest| newest < head.seq)) {
                        behind.push((*id, head));
                    }
                }
            }
            Err(err) => {
                // The others would time out too.
                record_failure(topics, left, err);
                break;
            }
        }
        left = rest;
    }
    behind
}

/// Reads the new events of jobs, and the positions of those that wait afterwards.
async fn read_events(topics: &Topics, jobs: Vec<(JobId, Option<Head>)>) {
    let waiting = stream::iter(jobs)
        .map(|(id, head)| async move { read_events_of(topics, id, head).await.then_some(id) })
        .buffer_unordered(READS)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>()
        .await;
    apply_heads(topics, &waiting).await;
}

/// Reads the new events of a job; answers whether it waits afterwards.
async fn read_events_of(topics: &Topics, id: JobId, head: Option<Head>) -> bool {
    let mut waits = false;
    for page in 0..PAGES {
        let Some(newest) = topics.newest(id) else { break };
        let events = match next_page(topics, id, newest).await {
            Ok(events) => events,
            Err(err) => {
                record_failure(topics, &[id], err);
                break;
            }
        };
        if events.is_empty() {
            if page == 0 && head.is_some_and(|head| head.is_over) {
                // The head promised more events than there are, and none will come.
                topics.update(id, |view| view.apply_head(head.map(|head| Head { seq: newest, ..head })));
            }
            break;
        }
        topics.update(id, |view| {
            waits = view.add_events(&events);
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

/// Records for jobs that the queue did not answer; their followers get the error when that has lasted too long.
fn record_failure(topics: &Topics, ids: &[JobId], err: BrokerError) {
    let (err, now) = (Arc::new(err), std::time::Instant::now());
    let mut ended = 0;
    for id in ids {
        topics.update(*id, |view| {
            let ends = view.record_failure(&err, now);
            ended += usize::from(ends);
            ends
        });
    }
    if ended > 0 {
        tracing::error!(error = %err, jobs = ended, "the queue does not answer; ending the streams of these jobs");
    } else {
        tracing::debug!(error = %err, jobs = ids.len(), "followed jobs cannot be polled; retrying");
    }
}
