use jobs::broker::Outcome;
use jobs::{BrokerError, EventKind, Feed, JobId};
use tokio::time::timeout;

use crate::bench::*;

pub(crate) async fn events_are_numbered_without_gaps_and_replayed(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    for step in 1..=20 {
        broker.record(&lease, progress(step)).await.unwrap();
    }
    let all = events(&broker, id).await;
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=21).collect::<Vec<_>>());
    assert!(all.iter().all(|event| event.job_id == id));
    assert!(all.is_sorted_by_key(|event| event.at));

    assert_eq!(broker.events_after(id, 5, 3).await.unwrap(), all[5..8]);
    assert_eq!(broker.events_after(id, 20, 100).await.unwrap(), all[20..]);
    for after in [21, 22, u64::MAX] {
        assert!(broker.events_after(id, after, 100).await.unwrap().is_empty());
    }
    assert!(broker.events_after(id, 0, 0).await.unwrap().is_empty());
    assert!(broker.events_after(JobId::new_v4(), 0, 10).await.unwrap().is_empty());
}

pub(crate) async fn workers_record_only_what_is_theirs(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    for kind in [EventKind::Queued, EventKind::Cancelled, EventKind::Succeeded { layers: 1 }] {
        let refused = broker.record(&lease, kind).await;
        assert!(matches!(refused, Err(BrokerError::NotRecordable)), "{refused:?}");
    }
    assert_eq!(kinds(&broker, id).await, [EventKind::Queued]);
}

pub(crate) async fn listeners_are_woken(bench: Bench) {
    let broker = bench.open(calm()).await;
    let listener = bench.other(&broker, calm()).await;
    let mut wakes = listener.wakes();
    // A listener in another process may not be connected yet, so the job goes on until it hears.
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    eventually(async || {
        broker.record(&lease, note("still here")).await.unwrap();
        timeout(std::time::Duration::from_millis(200), wakes.recv()).await.is_ok_and(|woken| woken == Ok(id))
    })
    .await;
}

pub(crate) async fn a_follower_sees_every_event_once_to_the_end(bench: Bench) {
    let broker = bench.open(calm()).await;
    let listener = bench.other(&broker, calm()).await;
    let id = submit(&broker).await;
    let follower = tokio::spawn(followed(Feed::new(listener).follow(id, 0)));

    // Over two attempts, with more events than one page has.
    let (lease, _) = claim(&broker, "a").await;
    for step in 0..300 {
        broker.record(&lease, progress(step)).await.unwrap();
    }
    broker.release(&lease, &"shutting down".into()).await.unwrap();
    let (lease, _) = claim(&broker, "b").await;
    broker.record(&lease, started("b", 2)).await.unwrap();
    broker.finish(&lease, Outcome::Succeeded { layers: 3 }).await.unwrap();

    let all = events(&broker, id).await;
    assert_eq!(all.len(), 304);
    assert_eq!(follower.await.unwrap(), all);
    // A late follower gets all events, or those after the given number.
    let feed = Feed::new(broker);
    assert_eq!(followed(feed.follow(id, 0)).await, all);
    assert_eq!(followed(feed.follow(id, 301)).await, all[301..]);
}

pub(crate) async fn a_follower_of_nothing_comes_to_an_end(bench: Bench) {
    let broker = bench.open(calm()).await;
    let feed = Feed::new(broker.clone());
    let id = submit(&broker).await;
    broker.cancel(id).await.unwrap();
    assert_eq!(followed(feed.follow(id, 1)).await.len(), 1);
    assert!(followed(feed.follow(id, 2)).await.is_empty());
    assert!(followed(feed.follow(id, 99)).await.is_empty());
}
