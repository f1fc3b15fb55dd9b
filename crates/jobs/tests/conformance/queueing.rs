use std::time::Duration;

use jobs::broker::{Idempotency, NewJob, Outcome, Rules, Standing, Stats, Submitted};
use jobs::{BrokerError, EngineName, EventKind, Failure, FailureCode, Job, JobId, State};
use time::OffsetDateTime;

use crate::bench::*;

pub(crate) async fn a_job_goes_from_queued_to_succeeded(bench: Bench) {
    let broker = bench.open(calm()).await;
    broker.ping().await.unwrap();
    let before = OffsetDateTime::now_utc() - Duration::from_secs(1);
    let new = new_job();
    let id = new.id;
    let queued = submit_this(&broker, new.clone()).await;
    assert_eq!((queued.state, queued.position, queued.seq, queued.attempt), (State::Queued, Some(0), 1, 0));
    assert_eq!((&queued.params, queued.upload_id), (&new.params, new.upload_id));
    assert!(queued.timings.created_at > before);
    assert_eq!(job(&broker, id).await, queued);
    assert_eq!(broker.stats().await.unwrap(), Stats { queued: 1, running: 0 });

    let (lease, taken) = claim(&broker, "w").await;
    assert_eq!((lease.job_id, lease.attempt, lease.worker_id.as_str()), (id, 1, "w"));
    assert_eq!((taken.state, taken.position, taken.attempt), (State::Running, None, 1));
    assert!(taken.timings.started_at.is_some());
    assert_eq!(job(&broker, id).await, taken);
    assert_eq!(broker.stats().await.unwrap(), Stats { queued: 0, running: 1 });

    assert_eq!(broker.record(&lease, started("w", 1)).await.unwrap(), HELD);
    assert_eq!(broker.record(&lease, progress(3)).await.unwrap(), HELD);
    assert_eq!(broker.record(&lease, note("blurry")).await.unwrap(), HELD);
    let running = job(&broker, id).await;
    assert_eq!((running.engine, running.seq), (Some(EngineName::Draft), 4));
    assert_eq!(running.progress.map(|progress| progress.step), Some(3));

    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 4 }).await.unwrap(), HELD);
    let done = job(&broker, id).await;
    assert_eq!((done.state, done.seq, done.position, done.error), (State::Succeeded, 5, None, None));
    assert!(done.timings.finished_at >= done.timings.started_at);
    assert_eq!(broker.stats().await.unwrap(), Stats::default());
    let expected =
        [EventKind::Queued, started("w", 1), progress(3), note("blurry"), EventKind::Succeeded { layers: 4 }];
    assert_eq!(kinds(&broker, id).await, expected);
    assert_eq!(broker.job(JobId::new_v4()).await.unwrap(), None);
}

pub(crate) async fn a_failure_is_kept(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    let failure = Failure { code: FailureCode::OutOfMemory, message: "needs 9 GB: try fewer layers".to_owned() };
    broker.finish(&lease, Outcome::Failed(failure.clone())).await.unwrap();
    let failed = job(&broker, id).await;
    assert_eq!((failed.state, failed.error), (State::Failed, Some(failure.clone())));
    assert_eq!(kinds(&broker, id).await, [EventKind::Queued, EventKind::Failed { error: failure }]);
}

pub(crate) async fn jobs_are_taken_in_the_order_they_came(bench: Bench) {
    let broker = bench.open(calm()).await;
    let mut ids = Vec::new();
    for position in 0..5 {
        let queued = submit_this(&broker, new_job()).await;
        assert_eq!(queued.position, Some(position));
        ids.push(queued.id);
    }
    for taken in 0..5 {
        assert_eq!(claim(&broker, "w").await.0.job_id, ids[taken]);
        for (position, id) in ids[taken + 1..].iter().enumerate() {
            assert_eq!(job(&broker, *id).await.position, Some(position as u64));
        }
    }
    assert_eq!(try_claim(&broker, &worker("w")).await, None);
}

fn keyed(key: &str, fingerprint: &str) -> NewJob {
    let idempotency = Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() });
    NewJob { idempotency, ..new_job() }
}

fn repeated(submitted: Submitted) -> Job {
    match submitted {
        Submitted::Repeated(job) => job,
        Submitted::Queued(job) => panic!("{} was taken for a new job", job.id),
    }
}

pub(crate) async fn a_repeated_request_answers_with_the_first_job(bench: Bench) {
    let broker = bench.open(Rules { queue_limit: 2, ..calm() }).await;
    let long_key = "k".repeat(10_000);
    let first = submit_this(&broker, keyed(&long_key, "a")).await;
    submit_this(&broker, keyed("other", "a")).await;
    // A repeat is also answered when the queue is full, and when the job has ended.
    assert_eq!(repeated(broker.submit(keyed(&long_key, "a")).await.unwrap()), first);
    let mismatch = broker.submit(keyed(&long_key, "b")).await;
    assert!(matches!(mismatch, Err(BrokerError::IdempotencyMismatch)), "{mismatch:?}");
    assert_eq!(broker.stats().await.unwrap().queued, 2);

    broker.cancel(first.id).await.unwrap();
    assert_eq!(repeated(broker.submit(keyed(&long_key, "a")).await.unwrap()).state, State::Cancelled);

    // The key lives as long as its job.
    assert!(broker.forget(first.id).await.unwrap());
    assert_ne!(submit_this(&broker, keyed(&long_key, "b")).await.id, first.id);
}

pub(crate) async fn a_job_handed_in_twice_is_one_job(bench: Bench) {
    let broker = bench.open(calm()).await;
    let new = NewJob { idempotency: keyed("k", "a").idempotency, ..new_job() };
    let first = submit_this(&broker, new.clone()).await;
    assert_eq!(submit_this(&broker, new).await, first);
    assert_eq!(broker.stats().await.unwrap().queued, 1);
    assert_eq!(kinds(&broker, first.id).await, [EventKind::Queued]);
}

pub(crate) async fn a_full_queue_takes_no_more(bench: Bench) {
    let broker = bench.open(Rules { queue_limit: 2, ..calm() }).await;
    submit(&broker).await;
    submit(&broker).await;
    let full = broker.submit(new_job()).await;
    assert!(matches!(full, Err(BrokerError::QueueFull { queued: 2, limit: 2 })), "{full:?}");

    // Only waiting jobs count, and a returned job is never refused.
    let (lease, _) = claim(&broker, "w").await;
    submit(&broker).await;
    assert_eq!(broker.release(&lease, &"shutting down".into()).await.unwrap(), HELD);
    assert_eq!(broker.stats().await.unwrap().queued, 3);
}

pub(crate) async fn a_waiting_job_is_cancelled_at_once(bench: Bench) {
    let broker = bench.open(calm()).await;
    let (first, second, third) = (submit(&broker).await, submit(&broker).await, submit(&broker).await);
    let cancelled = broker.cancel(second).await.unwrap().unwrap();
    assert_eq!((cancelled.state, cancelled.position, cancelled.seq), (State::Cancelled, None, 2));
    assert!(cancelled.timings.finished_at.is_some());
    assert_eq!(kinds(&broker, second).await, [EventKind::Queued, EventKind::Cancelled]);
    assert_eq!(job(&broker, third).await.position, Some(1));
    assert_eq!(claim(&broker, "w").await.0.job_id, first);
    assert_eq!(claim(&broker, "w").await.0.job_id, third);
    assert_eq!(broker.cancel(JobId::new_v4()).await.unwrap(), None);
}

pub(crate) async fn a_running_job_is_asked_to_stop(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    let asked = broker.cancel(id).await.unwrap().unwrap();
    assert_eq!((asked.state, asked.cancel_requested), (State::Running, true));
    // A second request has no effect.
    assert_eq!(broker.cancel(id).await.unwrap().unwrap(), asked);

    let told = Standing::Held { cancel_requested: true };
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), told);
    assert_eq!(broker.record(&lease, progress(1)).await.unwrap(), told);
    assert_eq!(broker.finish(&lease, Outcome::Cancelled).await.unwrap(), told);
    assert_eq!(job(&broker, id).await.state, State::Cancelled);
    let expected = [EventKind::Queued, EventKind::CancelRequested, progress(1), EventKind::Cancelled];
    assert_eq!(kinds(&broker, id).await, expected);
}

pub(crate) async fn a_finished_job_is_left_alone(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    let done = job(&broker, id).await;
    assert_eq!(broker.cancel(id).await.unwrap(), Some(done.clone()));
    assert_eq!(job(&broker, id).await, done);
}

pub(crate) async fn finished_jobs_are_listed_and_forgotten(bench: Bench) {
    let broker = bench.open(calm()).await;
    let (done, waiting) = (submit(&broker).await, submit(&broker).await);
    let (lease, _) = claim(&broker, "w").await;
    assert!(!broker.forget(done).await.unwrap(), "a running job was forgotten");
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();

    let (earlier, later) = (Duration::from_secs(60), OffsetDateTime::now_utc() + Duration::from_secs(60));
    assert!(broker.finished_before(OffsetDateTime::now_utc() - earlier).await.unwrap().is_empty());
    assert_eq!(broker.finished_before(later).await.unwrap(), [done]);

    assert!(!broker.forget(waiting).await.unwrap(), "a waiting job was forgotten");
    assert!(broker.forget(done).await.unwrap());
    assert!(!broker.forget(done).await.unwrap());
    assert_eq!(broker.job(done).await.unwrap(), None);
    assert!(events(&broker, done).await.is_empty());
    assert!(broker.finished_before(later).await.unwrap().is_empty());
}

pub(crate) async fn uploads_are_in_use_until_their_jobs_end(bench: Bench) {
    let broker = bench.open(calm()).await;
    let first = new_job();
    let second = NewJob { upload_id: first.upload_id, ..new_job() };
    let upload = first.upload_id;
    submit_this(&broker, first).await;
    submit_this(&broker, second).await;
    for _ in 0..2 {
        assert_eq!(broker.uploads_in_use().await.unwrap(), [upload]);
        let (lease, _) = claim(&broker, "w").await;
        assert_eq!(broker.uploads_in_use().await.unwrap(), [upload]);
        broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    }
    assert!(broker.uploads_in_use().await.unwrap().is_empty());
}
