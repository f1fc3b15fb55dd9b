//! The embedded queue's file is removed, replaced or damaged.

use std::fs;
use std::path::{Path, PathBuf};

use jobs::broker::{Fault, Submitted};
use jobs::{BrokerError, DeliveriesInFlight, State, Webhook, WebhookEvent};

use crate::bench::*;
use crate::embedded::run_and_kill;

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The copies of damaged files.
fn kept(file: &Path) -> Vec<String> {
    let names = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains(".damaged-")).collect()
}

#[tokio::test]
async fn nothing_is_taken_on_into_a_file_that_is_gone() {
    for gone in ["", "-wal"] {
        for replaced in [false, true] {
            let bench = Bench::embedded();
            let broker = bench.open(calm()).await;
            let id = submit(&broker).await;
            let file = beside(&bench.file(), gone);
            let bytes = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            if replaced {
                fs::write(&file, bytes).unwrap();
            }
            for refused in [broker.ping().await, broker.submit(new_job()).await.map(drop)] {
                let error = refused.expect_err("it was taken on");
                assert_eq!(error.fault(), Some(Fault::FileGone), "{error}");
                assert!(error.to_string().contains("EMBEDDED_QUEUE_FILE"), "{error}");
            }
            // Existing jobs can still be finished.
            let (lease, _) = claim(&broker, "w").await;
            assert_eq!(lease.job_id, id);
        }
    }
}

#[tokio::test]
async fn a_damaged_log_is_kept_and_the_queue_goes_on() {
    for damage in ["overwritten", "in the middle", "removed"] {
        let bench = Bench::embedded();
        run_and_kill(&bench.file());
        let log = beside(&bench.file(), "-wal");
        let mut bytes = fs::read(&log).unwrap();
        let middle = bytes.len() / 2;
        match damage {
            "overwritten" => fs::write(&log, "garbage".repeat(1000)).unwrap(),
            "in the middle" => {
                bytes[middle..middle + 100].fill(b'x');
                fs::write(&log, &bytes).unwrap();
            }
            _ => fs::remove_file(&log).unwrap(),
        }
        let damaged = fs::read(&log).unwrap_or_default();
        let broker = bench.open(calm()).await;
        submit(&broker).await;
        claim(&broker, "w").await;
        let kept = kept(&bench.file());
        if damage == "removed" {
            assert_eq!(kept, [""; 0], "there was nothing to keep");
        } else {
            let log = kept.iter().find(|name| name.ends_with("-wal")).expect("the log was kept");
            assert_eq!(fs::read(bench.file().with_file_name(log)).unwrap(), damaged, "{damage}");
        }
    }
}

#[tokio::test]
async fn a_log_that_a_crash_left_is_no_damage() {
    let bench = Bench::embedded();
    run_and_kill(&bench.file());
    let log = beside(&bench.file(), "-wal");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 10]).unwrap();
    let broker = bench.open(calm()).await;
    assert!(broker.stats().await.unwrap().queued > 0);
    assert_eq!(kept(&bench.file()), [""; 0]);
}

#[tokio::test]
async fn what_is_whole_of_a_damaged_file_is_kept() {
    const JOBS: usize = 40;
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(submit(&broker).await);
    }
    drop(broker);
    let whole = fs::read(bench.file()).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 20, "{pages}");
    let mut most = 0;
    for page in (1..pages).step_by(3) {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
        fs::write(bench.file(), bytes).unwrap();
        let broker = bench.open(calm()).await;
        let mut found = 0;
        for id in &ids {
            found += usize::from(broker.job(*id).await.unwrap().is_some());
        }
        most = most.max(found);
        assert_eq!(broker.stats().await.unwrap().queued as usize, found, "page {page}: jobs without a place");
        assert!(!kept(&bench.file()).is_empty(), "page {page}");
        let id = submit(&broker).await;
        while claim(&broker, "w").await.0.job_id != id {}
    }
    assert_eq!(most, JOBS, "no damage was beside the jobs");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_up_no_other() {
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    let webhook = Webhook { url: "https://example.org/".to_owned(), events: vec![WebhookEvent::Queued] };
    let (running, waiting) = (submit(&broker).await, submit(&broker).await);
    claim(&broker, "w").await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let new = jobs::broker::NewJob { webhook: Some(webhook.clone()), ..new_job() };
        let Submitted::Queued(job) = broker.submit(new).await.unwrap() else { panic!("it is new") };
        others.push(job.id);
    }
    drop(broker);
    let db = rusqlite::Connection::open(bench.file()).unwrap();
    for id in [running, waiting] {
        assert_eq!(db.execute("UPDATE jobs SET job = '{' WHERE id = ?1", [id.to_string()]).unwrap(), 1);
    }
    let damaged = db.execute("UPDATE deliveries SET delivery = '{' WHERE id LIKE ?1", [format!("{}%", others[0])]);
    assert_eq!(damaged.unwrap(), 1);
    drop(db);

    let broker = bench.open(calm()).await;
    assert_eq!(claim(&broker, "w").await.0.job_id, others[0]);
    assert_eq!(job(&broker, others[1]).await.state, State::Queued);
    let due = broker.claim_deliveries(10, &DeliveriesInFlight::default()).await.unwrap();
    assert_eq!(due.iter().map(|delivery| delivery.event.job_id).collect::<Vec<_>>(), others[1..]);
    assert!(matches!(broker.job(waiting).await, Err(BrokerError::Corrupt(_))), "it is kept for whoever looks into it");
}
