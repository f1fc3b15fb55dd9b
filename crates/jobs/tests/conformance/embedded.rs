//! Only for the embedded queue: it outlives its process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use jobs::broker::{EmbeddedBroker, Outcome, Rules};
use jobs::{BrokerError, EventKind, FailureCode, State};

use crate::bench::*;

const QUEUE: &str = "UNFLATTEN_TEST_QUEUE";

#[tokio::test]
async fn a_restart_keeps_everything() {
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let (done, running, waiting) = (submit(&broker).await, submit(&broker).await, submit(&broker).await);
    let (lease, _) = claim(&broker, "w").await;
    broker.finish(&lease, Outcome::Succeeded { layers: 2 }).await.unwrap();
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, progress(4)).await.unwrap();
    let before = (job(&broker, done).await, events(&broker, done).await);
    drop(broker);

    let broker = bench.open(calm()).await;
    assert_eq!((job(&broker, done).await, events(&broker, done).await), before);
    assert_eq!(job(&broker, waiting).await.position, Some(1));
    assert_eq!(job(&broker, running).await.position, Some(0));
    assert!(matches!(kinds(&broker, running).await[..], [EventKind::Queued, _, EventKind::Requeued { .. }]));
    assert_eq!(claim(&broker, "w").await.0.attempt, 2);
}

#[tokio::test]
async fn a_second_process_is_told_why_it_cannot_have_the_queue() {
    let bench = Bench::embedded();
    let _first = bench.open(calm()).await;
    let Err(error) = EmbeddedBroker::open(&bench.file(), calm()).await else { panic!("two have the queue") };
    assert!(matches!(&error, BrokerError::FileInUse { file } if *file == bench.file()), "{error}");
    assert!(error.to_string().contains("REDIS_URL"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_queue_is_refused() {
    let bench = Bench::embedded();
    std::fs::create_dir_all(bench.file().parent().unwrap()).unwrap();
    std::fs::write(bench.file(), "this is a letter, not a queue".repeat(100)).unwrap();
    let Err(error) = EmbeddedBroker::open(&bench.file(), calm()).await else { panic!("a letter was taken") };
    assert!(error.to_string().contains("EMBEDDED_QUEUE_FILE"), "{error}");
}

#[tokio::test]
async fn a_killed_process_loses_no_job() {
    let bench = Bench::embedded();
    run_and_kill(&bench.file());
    let rules = Rules { max_attempts: 2, ..calm() };
    let broker = bench.open(rules).await;
    let (lease, taken) = claim(&broker, "w").await;
    assert_eq!(taken.attempt, 2, "the job that was being worked on comes first");
    let expected = [EventKind::Queued, started("w", 1), progress(1)];
    assert_eq!(kinds(&broker, taken.id).await[..3], expected);
    assert!(matches!(kinds(&broker, taken.id).await[3..], [EventKind::Requeued { .. }]));
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
    assert_eq!(broker.stats().await.unwrap().queued, 1, "the job that waited still waits");
    drop(broker);

    // The process of the last attempt ended too.
    let broker = bench.open(rules).await;
    let failed = job(&broker, taken.id).await;
    assert_eq!((failed.state, failed.error.unwrap().code), (State::Failed, FailureCode::WorkerLost));
}

#[tokio::test]
async fn a_crash_by_a_request_does_not_count_against_the_job() {
    let bench = Bench::embedded();
    let rules = Rules { max_attempts: 2, ..calm() };
    let mut broker = bench.open(rules).await;
    let id = submit(&broker).await;
    // One process after the other dies during an export; the count that it left in its file matters.
    for attempt in 1..=5 {
        let (lease, _) = claim(&broker, "w").await;
        assert_eq!(lease.attempt, attempt);
        std::mem::forget(broker.in_flight());
        drop(broker);
        broker = bench.open(rules).await;
        let Some(EventKind::Requeued { reason, .. }) = kinds(&broker, id).await.pop() else { panic!("not requeued") };
        assert!(reason.contains("1 request,"), "{reason}");
    }
    // Requests that had ended do not excuse a crash.
    for state in [State::Queued, State::Failed] {
        claim(&broker, "w").await;
        drop(broker.in_flight());
        drop(broker);
        broker = bench.open(rules).await;
        assert_eq!(job(&broker, id).await.state, state);
    }
}

#[tokio::test]
async fn no_job_is_excused_for_ever() {
    let bench = Bench::embedded();
    let mut broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let mut deaths = 0;
    while !job(&broker, id).await.state.is_terminal() {
        claim(&broker, "w").await;
        std::mem::forget(broker.in_flight());
        drop(broker);
        broker = bench.open(calm()).await;
        deaths += 1;
        assert!(deaths < 20, "it is tried for ever");
    }
    let failed = job(&broker, id).await;
    assert_eq!((failed.state, failed.error.unwrap().code), (State::Failed, FailureCode::WorkerLost));
    assert!(deaths >= 10, "{deaths} deaths were too many for it");
}

/// Runs [`worker_process`] until it is in the middle of a job, and kills it.
pub(crate) fn run_and_kill(queue: &Path) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::worker_process", "--ignored", "--nocapture"])
        .env(QUEUE, queue)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("in the middle of a job")), "the process ended early");
    process.kill().unwrap();
    process.wait().unwrap();
    let wal = queue.with_extension("sqlite-wal");
    assert!(wal.metadata().unwrap().len() > 0, "the process had time to tidy up, so this tests nothing");
}

#[tokio::test]
#[ignore = "the process that a_killed_process_loses_no_job starts and kills"]
async fn worker_process() {
    let queue = std::env::var(QUEUE).expect("the test that runs this says where the queue is");
    let broker: std::sync::Arc<dyn jobs::Broker> =
        std::sync::Arc::new(EmbeddedBroker::open(Path::new(&queue), calm()).await.unwrap());
    submit(&broker).await;
    submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, started("w", 1)).await.unwrap();
    broker.record(&lease, progress(1)).await.unwrap();
    println!("in the middle of a job");
    std::future::pending::<()>().await;
}
