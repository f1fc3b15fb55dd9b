//! One feed with any number of followers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, StreamExt};
use jobs::broker::{Head, Outcome};
use jobs::testing::TestBroker;
use jobs::{BrokerError, EngineChoice, Feed, JobId, Update};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bench::*;

pub(crate) async fn heads_say_where_many_jobs_stand(bench: Bench) {
    let broker = bench.open(calm()).await;
    assert!(broker.heads(&[]).await.unwrap().is_empty());
    let mut ids = vec![JobId::new_v4()];
    for engine in EngineChoice::ALL {
        for _ in 0..3 {
            ids.push(submit_this(&broker, new_job_for(engine)).await.id);
        }
    }
    broker.cancel(ids[2]).await.unwrap();
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, progress(1)).await.unwrap();
    let (released, _) = claim(&broker, "w").await;
    broker.release(&released, &"a rest".into()).await.unwrap();
    let mut expected = Vec::new();
    for id in &ids {
        let head = |job: jobs::Job| Head { seq: job.seq, is_over: job.state.is_terminal(), position: job.position };
        expected.push(broker.job(*id).await.unwrap().map(head));
    }
    assert_eq!(expected.iter().filter(|head| head.is_some_and(|head| head.position.is_some())).count(), 10);
    assert_eq!(broker.heads(&ids).await.unwrap(), expected);
    ids.reverse();
    expected.reverse();
    assert_eq!(broker.heads(&ids).await.unwrap(), expected);
}

pub(crate) async fn a_waiting_follower_is_told_its_place(bench: Bench) {
    let broker = bench.open(calm()).await;
    let (first, second) = (submit(&broker).await, submit(&broker).await);
    let mut follower = pin!(Feed::new(broker.clone()).follow(second, 0));
    assert_eq!(next(&mut follower).await, "queued");
    assert_eq!(next(&mut follower).await, "position 1");
    broker.cancel(first).await.unwrap();
    assert_eq!(next(&mut follower).await, "position 0");
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, started("w", 1)).await.unwrap();
    assert_eq!(next(&mut follower).await, "started");
    broker.release(&lease, &"a rest".into()).await.unwrap();
    assert_eq!(next(&mut follower).await, "requeued");
    assert_eq!(next(&mut follower).await, "position 0");
}

/// The next update in short.
async fn next(follower: &mut (impl Stream<Item = Result<Update, Arc<BrokerError>>> + Unpin)) -> String {
    match timeout(PATIENCE, follower.next()).await.unwrap().unwrap().unwrap() {
        Update::Event(followed) => {
            let json: serde_json::Value = serde_json::from_str(&followed.json).unwrap();
            assert_eq!(json, serde_json::to_value(&followed.event).unwrap());
            json["type"].as_str().unwrap().to_owned()
        }
        Update::Position(position) => format!("position {position}"),
        Update::Removed => "removed".to_owned(),
    }
}

pub(crate) async fn a_follower_of_a_removed_job_is_told(bench: Bench) {
    let broker = bench.open(calm()).await;
    let feed = Feed::new(broker.clone());
    // A job that never existed, and one that is removed while its history is read.
    assert!(matches!(updates(feed.follow(JobId::new_v4(), 0)).await[..], [Update::Removed]));
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    for step in 0..300 {
        broker.record(&lease, progress(step)).await.unwrap();
    }
    broker.finish(&lease, Outcome::Cancelled).await.unwrap();
    let mut follower = pin!(feed.follow(id, 0));
    assert_eq!(next(&mut follower).await, "queued");
    assert!(broker.forget(id).await.unwrap());
    let told = updates(follower).await;
    assert!(matches!(told.last(), Some(Update::Removed)), "{told:?}");
    let numbers: Vec<_> = told.iter().filter_map(event).map(|event| event.seq).collect();
    assert_eq!(numbers, (2..2 + numbers.len() as u64).collect::<Vec<_>>());
    assert!(numbers.len() < 301, "it was read before it went, so this tests nothing");
}

pub(crate) async fn a_slow_follower_misses_nothing_and_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    let feed = Feed::new(broker.clone());
    let id = submit(&broker).await;
    let mut slow = pin!(feed.follow(id, 0));
    assert_eq!(next(&mut slow).await, "queued");
    let fast = tokio::spawn(followed(feed.follow(id, 0)));
    let (lease, _) = claim(&broker, "w").await;
    for step in 0..200 {
        broker.record(&lease, progress(step)).await.unwrap();
    }
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    let all = events(&broker, id).await;
    assert_eq!(fast.await.unwrap(), all);
    assert_eq!(followed(slow).await, all[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_followers_cost_the_queue_as_much_as_one() {
    const FOLLOWERS: usize = 200;
    const EVENTS: usize = 20;
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let counted = TestBroker::new(broker.clone());
    let feed = Feed::new(counted.clone());
    let id = submit(&broker).await;
    let start = Instant::now();
    let mut followers = JoinSet::new();
    let (joined, mut all_joined) = tokio::sync::mpsc::channel(FOLLOWERS);
    for _ in 0..FOLLOWERS {
        let (feed, joined) = (feed.clone(), joined.clone());
        followers.spawn(async move {
            let mut follower = Box::pin(feed.follow(id, 1));
            assert!(matches!(follower.next().await, Some(Ok(Update::Position(0)))));
            joined.send(()).await.unwrap();
            followed(follower).await.len()
        });
    }
    for _ in 0..FOLLOWERS {
        timeout(PATIENCE, all_joined.recv()).await.unwrap().unwrap();
    }
    let (lease, _) = claim(&broker, "w").await;
    for step in 0..EVENTS {
        broker.record(&lease, progress(step as u32)).await.unwrap();
    }
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    let told = timeout(PATIENCE, followers.join_all()).await.unwrap();
    assert_eq!(told, [EVENTS + 1; FOLLOWERS]);
    let seconds = start.elapsed().as_secs() as usize;
    assert!(counted.reads() <= EVENTS + 1 + seconds, "{} reads", counted.reads());
    assert!(counted.looks() <= 2 + seconds, "{} looks in {seconds} s", counted.looks());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_away_for_a_moment_ends_no_stream() {
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let queue = TestBroker::new(broker.clone());
    let id = submit(&broker).await;
    let mut follower = pin!(Feed::new(queue.clone()).follow(id, 0));
    assert_eq!(next(&mut follower).await, "queued");
    assert_eq!(next(&mut follower).await, "position 0");
    queue.set_away(true);
    broker.cancel(id).await.unwrap();
    eventually(async || {
        assert!(timeout(std::time::Duration::from_millis(50), follower.next()).await.is_err(), "it was told something");
        queue.failures() >= 2
    })
    .await;
    queue.set_away(false);
    assert_eq!(next(&mut follower).await, "cancelled");
    assert!(follower.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_without_followers_holds_no_queue() {
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let feed = Feed::new(broker.clone());
    let mut follower = Box::pin(feed.follow(id, 0));
    assert_eq!(next(&mut follower).await, "queued");
    assert_eq!(next(&mut follower).await, "position 0");
    drop((follower, feed, broker));
    // The file is locked while the queue is open.
    assert_eq!(job(&bench.open(calm()).await, id).await.id, id);
}
