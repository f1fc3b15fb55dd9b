use std::time::Duration;

use jobs::broker::{Rules, WorkerInfo};
use time::OffsetDateTime;

use crate::bench::*;

pub(crate) async fn workers_are_known_while_they_live(bench: Bench) {
    let rules = Rules { lease: Duration::from_millis(1500), ..calm() };
    let broker = bench.open(rules).await;
    broker.announce(&worker("a")).await.unwrap();
    broker.announce(&worker("b")).await.unwrap();
    let known = broker.workers().await.unwrap();
    assert_eq!(known.iter().map(|worker| worker.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // The broker's clock counts, not the worker's.
    assert!(known.iter().all(|worker| worker.seen_at > OffsetDateTime::now_utc() - Duration::from_secs(60)));
    assert_eq!(WorkerInfo { seen_at: OffsetDateTime::UNIX_EPOCH, ..known[0].clone() }, worker("a"));

    broker.retire("a").await.unwrap();
    assert!(broker.workers().await.unwrap().iter().all(|worker| worker.id == "b"));
    eventually(async || broker.workers().await.unwrap().is_empty()).await;

    // A worker that announces itself again is listed again.
    broker.reap().await.unwrap();
    broker.announce(&worker("b")).await.unwrap();
    assert_eq!(broker.workers().await.unwrap().len(), 1);
}

pub(crate) async fn a_worker_that_pauses_says_why(bench: Bench) {
    let broker = bench.open(calm()).await;
    let paused = WorkerInfo { paused: Some("the disk is gone".to_owned()), ..worker("w") };
    broker.announce(&paused).await.unwrap();
    assert_eq!(broker.workers().await.unwrap()[0].paused, paused.paused);
    // A worker that takes a job is alive.
    assert_eq!(try_claim(&broker, &worker("w")).await, None);
    assert_eq!(broker.workers().await.unwrap()[0].paused, None);
}

pub(crate) async fn a_claim_says_that_the_worker_lives(bench: Bench) {
    let broker = bench.open(calm()).await;
    assert_eq!(try_claim(&broker, &worker("w")).await, None);
    assert_eq!(broker.workers().await.unwrap()[0].job, None);
    let id = submit(&broker).await;
    claim(&broker, "w").await;
    let known = broker.workers().await.unwrap();
    assert_eq!((known.len(), known[0].id.as_str(), known[0].job), (1, "w", Some(id)));
}
