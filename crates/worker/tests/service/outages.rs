//! What the storage and the system do to a worker when they fail.

use std::time::Duration;

use jobs::{Event, EventKind, FailureCode, State};

use crate::bench::{Bench, PATIENCE};

fn requeued(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.kind, EventKind::Requeued { .. })).count()
}

const MOMENT: Duration = Duration::from_millis(20);
const AGES: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_for_a_while_fails_no_job() {
    let bench = Bench::start_retrying(MOMENT, 5 * MOMENT, 2).await;
    for folder in ["results", "uploads"] {
        let (place, away) = (bench.dir.path().join(folder), bench.dir.path().join("away"));
        // The jobs are submitted before the folder is moved away, and run afterwards.
        let first = bench.submit("endless").await;
        bench.wait(first, |job| job.progress.is_some()).await;
        let mut jobs = Vec::new();
        for _ in 0..30 {
            jobs.push(bench.submit("good").await);
        }
        std::fs::rename(&place, &away).expect("moved");
        if folder == "results" {
            std::fs::write(&place, "no folder").expect("written");
        }
        bench.broker.cancel(first).await.expect("the queue answers");
        let reason = bench.paused(Option::is_some).await.expect("a reason");
        assert!(reason.contains("storage"), "{reason}");
        // Time for many checks.
        tokio::time::sleep(10 * MOMENT).await;
        for &id in &jobs {
            let job = bench.broker.job(id).await.expect("the queue answers").expect("there");
            assert_eq!((job.state, job.error), (State::Queued, None), "{folder}");
        }
        if folder == "results" {
            std::fs::remove_file(&place).expect("removed");
        }
        std::fs::rename(&away, &place).expect("moved");
        let mut given_back = 0;
        for id in jobs {
            assert_eq!(bench.finished(id).await.state, State::Succeeded, "{folder}");
            given_back += requeued(&bench.events(id).await);
        }
        assert_eq!(given_back, 1, "one pause gives one job back once ({folder})");
        bench.paused(Option::is_none).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_own_picture_cannot_be_read_fails_alone() {
    let bench = Bench::start_retrying(50 * MOMENT, 50 * MOMENT, 3).await;
    let first = bench.submit("endless").await;
    bench.wait(first, |job| job.progress.is_some()).await;
    let bad = bench.submit("good").await;
    let good = [bench.submit("good").await, bench.submit("good").await];
    bench.break_upload(bad).await;
    bench.broker.cancel(first).await.expect("the queue answers");
    let failed = bench.finished(bad).await;
    let error = failed.error.expect("it failed");
    assert_eq!(error.code, FailureCode::StorageFailed);
    assert!(error.message.contains("tried 3 times"), "{}", error.message);
    let events = bench.events(bad).await;
    let notes = events.iter().filter(|event| matches!(event.kind, EventKind::Note { .. })).count();
    assert_eq!((notes, requeued(&events)), (2, 2), "each retry is noted once");
    for id in good {
        let job = bench.finished(id).await;
        assert_eq!(job.state, State::Succeeded);
        assert!(job.timings.finished_at < failed.timings.finished_at, "it waited for the bad one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_can_be_cancelled_and_is_given_back_at_a_shutdown() {
    let bench = Bench::start_retrying(AGES, AGES, 3).await;
    let first = bench.submit("endless").await;
    bench.wait(first, |job| job.progress.is_some()).await;
    let (cancelled, kept) = (bench.submit("good").await, bench.submit("good").await);
    for id in [cancelled, kept] {
        bench.break_upload(id).await;
    }
    bench.broker.cancel(first).await.expect("the queue answers");
    for id in [cancelled, kept] {
        let noted = async {
            while !bench.events(id).await.iter().any(|event| matches!(event.kind, EventKind::Note { .. })) {
                tokio::time::sleep(MOMENT).await;
            }
        };
        tokio::time::timeout(PATIENCE, noted).await.expect("it is to be retried");
    }
    bench.broker.cancel(cancelled).await.expect("the queue answers");
    assert_eq!(bench.finished(cancelled).await.state, State::Cancelled);
    let job = bench.broker.job(kept).await.expect("the queue answers").expect("there");
    assert_eq!(job.state, State::Running, "it waits under its lease");
    let broker = bench.ended().await;
    assert_eq!(broker.job(kept).await.expect("the queue answers").expect("there").state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_a_pause_at_once() {
    let bench = Bench::start_retrying(AGES, AGES, 3).await;
    std::fs::rename(bench.dir.path().join("results"), bench.dir.path().join("away")).expect("moved");
    let id = bench.submit("good").await;
    bench.paused(Option::is_some).await;
    let broker = bench.ended().await;
    assert_eq!(broker.job(id).await.expect("the queue answers").expect("there").state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_a_thread_is_retried() {
    let bench = Bench::start_retrying(MOMENT, MOMENT, 5).await;
    let id = bench.submit("short").await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    assert_eq!(requeued(&bench.events(id).await), 3);
}
