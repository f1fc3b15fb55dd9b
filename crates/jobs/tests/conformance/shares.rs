use jobs::EngineChoice::Auto;
use jobs::EngineName::{Draft, Qwen};
use jobs::broker::{NewJob, Rules};
use jobs::{Broker, BrokerError, EngineChoice, JobId, Priority};
use std::sync::Arc;

use crate::bench::*;

async fn submit_for(
    broker: &Arc<dyn Broker>,
    client: &str,
    priority: Priority,
    engine: impl Into<EngineChoice>,
) -> JobId {
    let new = NewJob { client: client.to_owned(), priority, ..new_job_for(engine) };
    let queued = submit_this(broker, new).await;
    assert_eq!(queued.priority, priority);
    queued.id
}

async fn normal(broker: &Arc<dyn Broker>, client: &str) -> JobId {
    submit_for(broker, client, Priority::Normal, Auto).await
}

async fn taken(broker: &Arc<dyn Broker>, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(try_claim(broker, &worker("w")).await.expect("a job waits"));
    }
    ids
}

pub(crate) async fn urgent_jobs_come_first(bench: Bench) {
    let broker = bench.open(calm()).await;
    let low = submit_for(&broker, "a", Priority::Low, Auto).await;
    let normal = submit_for(&broker, "a", Priority::Normal, Draft).await;
    let high = submit_for(&broker, "a", Priority::High, Qwen).await;
    let late = submit_for(&broker, "b", Priority::High, Auto).await;
    assert_eq!(job(&broker, low).await.position, Some(3));
    assert_eq!(job(&broker, high).await.priority, Priority::High);
    assert_eq!(taken(&broker, 2).await, [high, late]);
    // A returned job goes before more urgent ones.
    let (lease, _) = claim(&broker, "w").await;
    assert_eq!(lease.job_id, normal);
    let urgent = submit_for(&broker, "a", Priority::High, Auto).await;
    broker.release(&lease, &"shutting down".into()).await.unwrap();
    assert_eq!(taken(&broker, 3).await, [normal, urgent, low]);
}

pub(crate) async fn clients_have_turns(bench: Bench) {
    let broker = bench.open(calm()).await;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        a.push(normal(&broker, "a").await);
    }
    for _ in 0..2 {
        b.push(normal(&broker, "b").await);
    }
    let c = normal(&broker, "a client with a : and a very long name ".repeat(50).as_str()).await;
    assert_eq!(taken(&broker, 7).await, [a[0], b[0], c, a[1], b[1], a[2], a[3]]);
}

pub(crate) async fn a_client_that_comes_later_is_served_at_once(bench: Bench) {
    let broker = bench.open(calm()).await;
    let mut a = Vec::new();
    for _ in 0..6 {
        a.push(normal(&broker, "a").await);
    }
    assert_eq!(taken(&broker, 3).await, a[..3]);
    // It joins the current round: it neither waits behind all others nor catches up on earlier rounds.
    let b = [normal(&broker, "b").await, normal(&broker, "b").await];
    assert_eq!(taken(&broker, 5).await, [a[3], b[0], a[4], b[1], a[5]]);
    // A queue that ran empty forgets who was served last.
    let (first, second) = (normal(&broker, "a").await, normal(&broker, "b").await);
    assert_eq!(taken(&broker, 2).await, [first, second]);
}

pub(crate) async fn a_cancelled_job_takes_no_turn(bench: Bench) {
    let broker = bench.open(calm()).await;
    let mut a = Vec::new();
    for _ in 0..4 {
        a.push(normal(&broker, "a").await);
    }
    for id in &a[1..] {
        broker.cancel(*id).await.unwrap();
    }
    let b = [normal(&broker, "b").await, normal(&broker, "b").await];
    let again = normal(&broker, "a").await;
    assert_eq!(taken(&broker, 4).await, [a[0], b[0], b[1], again]);
}

pub(crate) async fn positions_follow_the_turns(bench: Bench) {
    let broker = bench.open(calm()).await;
    let a = [normal(&broker, "a").await, normal(&broker, "a").await];
    let b = normal(&broker, "b").await;
    for (id, position) in [(a[0], 0), (b, 1), (a[1], 2)] {
        assert_eq!(job(&broker, id).await.position, Some(position));
    }
    let urgent = submit_for(&broker, "c", Priority::High, Auto).await;
    assert_eq!(job(&broker, urgent).await.position, Some(0));
    assert_eq!(job(&broker, a[1]).await.position, Some(3));
}

pub(crate) async fn a_lane_that_nobody_serves_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    for _ in 0..5 {
        submit_for(&broker, "a", Priority::Normal, Qwen).await;
    }
    let a = submit_for(&broker, "a", Priority::Normal, Draft).await;
    let b = submit_for(&broker, "b", Priority::Normal, Draft).await;
    let a_again = submit_for(&broker, "a", Priority::Normal, Draft).await;
    let draft = worker_with("draft", &[Draft]);
    for expected in [Some(a), Some(b), Some(a_again), None] {
        assert_eq!(try_claim(&broker, &draft).await, expected);
    }
}

pub(crate) async fn a_client_has_a_share_of_the_queue(bench: Bench) {
    let broker = bench.open(Rules { queue_limit: 5, client_limit: 3, ..calm() }).await;
    let new = |client: &str, priority| NewJob { client: client.to_owned(), priority, ..new_job() };
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        submit_this(&broker, new("a", priority)).await;
    }
    let refused = broker.submit(new("a", Priority::High)).await;
    assert!(matches!(refused, Err(BrokerError::ClientFull { queued: 3, limit: 3 })), "{refused:?}");
    // Other clients have room until the queue is full.
    for _ in 0..2 {
        normal(&broker, "b").await;
    }
    let full = broker.submit(new("c", Priority::High)).await;
    assert!(matches!(full, Err(BrokerError::QueueFull { queued: 5, limit: 5 })), "{full:?}");

    // A job that a worker took or returned does not count.
    let (lease, taken) = claim(&broker, "w").await;
    assert_eq!(taken.priority, Priority::High);
    submit_this(&broker, new("a", Priority::High)).await;
    broker.release(&lease, &"shutting down".into()).await.unwrap();
    assert_eq!(try_claim(&broker, &worker("w")).await, Some(lease.job_id));
}
