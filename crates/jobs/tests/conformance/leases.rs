use std::time::Duration;

use jobs::broker::{Outcome, Rules, Standing};
use jobs::{EventKind, FailureCode, State};

use crate::bench::*;

pub(crate) async fn a_lost_lease_changes_nothing(bench: Bench) {
    let broker = bench.open(hasty()).await;
    let id = submit(&broker).await;
    let (zombie, _) = claim(&broker, "zombie").await;
    lapse(&broker, id).await;
    // Lost already while the job waits for another worker.
    assert_eq!(broker.heartbeat(&zombie).await.unwrap(), Standing::Lost);

    let (lease, taken) = claim(&broker, "w").await;
    assert_eq!((lease.attempt, taken.attempt), (2, 2));
    let before = (job(&broker, id).await, events(&broker, id).await);
    assert_eq!(broker.heartbeat(&zombie).await.unwrap(), Standing::Lost);
    assert_eq!(broker.record(&zombie, progress(9)).await.unwrap(), Standing::Lost);
    assert_eq!(broker.release(&zombie, &"x".into()).await.unwrap(), Standing::Lost);
    assert_eq!(broker.finish(&zombie, Outcome::Succeeded { layers: 9 }).await.unwrap(), Standing::Lost);
    assert_eq!((job(&broker, id).await, events(&broker, id).await), before);

    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 2 }).await.unwrap(), HELD);
    assert_eq!(kinds(&broker, id).await.last(), Some(&EventKind::Succeeded { layers: 2 }));
}

pub(crate) async fn a_silent_worker_loses_its_job(bench: Bench) {
    let broker = bench.open(hasty()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "silent").await;
    broker.record(&lease, started("silent", 1)).await.unwrap();
    broker.record(&lease, progress(5)).await.unwrap();
    let behind = submit(&broker).await;
    lapse(&broker, id).await;

    let waiting = job(&broker, id).await;
    assert_eq!((waiting.state, waiting.position, waiting.attempt), (State::Queued, Some(0), 1));
    assert_eq!((waiting.engine, waiting.progress), (None, None));
    assert!(matches!(kinds(&broker, id).await.last(), Some(EventKind::Requeued { .. })));
    // It stays ahead of jobs that arrived later.
    assert_eq!(job(&broker, behind).await.position, Some(1));
    assert_eq!(claim(&broker, "w").await.0.job_id, id);
}

pub(crate) async fn a_job_that_kills_its_workers_fails(bench: Bench) {
    let broker = bench.open(Rules { max_attempts: 2, ..hasty() }).await;
    let id = submit(&broker).await;
    for attempt in 1..=2 {
        assert_eq!(claim(&broker, "w").await.0.attempt, attempt);
        lapse(&broker, id).await;
    }
    let failed = job(&broker, id).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.state, error.code), (State::Failed, FailureCode::WorkerLost));
    assert!(error.message.contains("2 workers"), "{}", error.message);
    assert!(failed.timings.finished_at.is_some());
    assert_eq!(kinds(&broker, id).await.last(), Some(&EventKind::Failed { error }));
    assert_eq!(try_claim(&broker, &worker("w")).await, None);
    assert!(broker.uploads_in_use().await.unwrap().is_empty());
}

pub(crate) async fn a_job_to_be_cancelled_is_not_tried_again(bench: Bench) {
    let broker = bench.open(Rules { max_attempts: 1, ..hasty() }).await;
    let id = submit(&broker).await;
    claim(&broker, "w").await;
    broker.cancel(id).await.unwrap();
    lapse(&broker, id).await;
    assert_eq!(job(&broker, id).await.state, State::Cancelled);
    assert_eq!(kinds(&broker, id).await, [EventKind::Queued, EventKind::CancelRequested, EventKind::Cancelled]);
}

pub(crate) async fn heartbeats_keep_a_job(bench: Bench) {
    let rules = Rules { lease: Duration::from_millis(1000), ..calm() };
    let broker = bench.open(rules).await;
    submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    // Twice the lease time, renewed alternately by heartbeats and progress.
    for step in 0..10 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
        assert_eq!(broker.record(&lease, progress(step)).await.unwrap(), HELD);
        assert_eq!(try_claim(&broker, &worker("other")).await, None);
    }
}

pub(crate) async fn a_released_job_comes_first_and_loses_no_attempt(bench: Bench) {
    let broker = bench.open(Rules { max_attempts: 2, ..calm() }).await;
    let id = submit(&broker).await;
    let behind = submit(&broker).await;
    let mut leases = Vec::new();
    for attempt in 1..=4 {
        let (lease, taken) = claim(&broker, "w").await;
        assert_eq!((taken.id, lease.attempt), (id, attempt));
        assert_eq!(broker.release(&lease, &"shutting down".into()).await.unwrap(), HELD);
        assert_eq!(broker.release(&lease, &"shutting down".into()).await.unwrap(), Standing::Lost);
        assert_eq!(job(&broker, id).await.position, Some(0));
        assert_eq!(job(&broker, behind).await.position, Some(1));
        leases.push(lease);
    }
    let requeued = EventKind::requeued("shutting down".into());
    assert_eq!(kinds(&broker, id).await[1..], vec![requeued; 4]);

    // An old lease of the same worker is lost too.
    let (lease, _) = claim(&broker, "w").await;
    assert_eq!(broker.heartbeat(&leases[3]).await.unwrap(), Standing::Lost);
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
}

pub(crate) async fn a_released_job_that_was_to_be_cancelled_is_over(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    broker.cancel(id).await.unwrap();
    let told = Standing::Held { cancel_requested: true };
    assert_eq!(broker.release(&lease, &"shutting down".into()).await.unwrap(), told);
    assert_eq!(job(&broker, id).await.state, State::Cancelled);
    assert_eq!(try_claim(&broker, &worker("w")).await, None);
}

pub(crate) async fn a_job_ends_once(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), HELD);
    let before = (job(&broker, id).await, events(&broker, id).await);
    assert_eq!(broker.finish(&lease, Outcome::Cancelled).await.unwrap(), Standing::Lost);
    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), Standing::Lost);
    assert_eq!(broker.record(&lease, progress(1)).await.unwrap(), Standing::Lost);
    assert_eq!((job(&broker, id).await, events(&broker, id).await), before);
}
