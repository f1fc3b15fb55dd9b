//! Files of earlier versions of the embedded queue.

use std::path::Path;

use jobs::broker::{Idempotency, Outcome, Submitted};
use jobs::{BrokerError, DeliveriesInFlight, DeliveryOutcome, EngineName, EventKind, JobId, State};
use rusqlite::{Connection, params};
use serde_json::json;

use crate::bench::*;

/// The schema of each version as it was created by the program of that time.
const VERSION_1: &str = "
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, upload_id TEXT NOT NULL, finished_at INTEGER, worker TEXT,
        lost INTEGER NOT NULL DEFAULT 0, idempotency_key TEXT UNIQUE, fingerprint TEXT, job TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state);
    CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
    CREATE TABLE waiting (
        turn INTEGER PRIMARY KEY AUTOINCREMENT, returned INTEGER NOT NULL, lane TEXT NOT NULL,
        job_id TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE INDEX waiting_in_order ON waiting (returned DESC, turn);
    CREATE TABLE events (
        job_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (job_id, seq)
    ) STRICT, WITHOUT ROWID;";

const VERSION_2: &str = "
    ALTER TABLE jobs ADD COLUMN client TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN webhook TEXT;
    CREATE TABLE line (
        turn INTEGER PRIMARY KEY AUTOINCREMENT, class INTEGER NOT NULL, round INTEGER NOT NULL, lane TEXT NOT NULL,
        client TEXT NOT NULL, job_id TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE INDEX line_in_order ON line (class, round, turn);
    CREATE INDEX line_by_client ON line (class, client, round);
    CREATE INDEX line_by_lane ON line (lane, class, round);
    DROP TABLE waiting;
    CREATE TABLE rounds (class INTEGER PRIMARY KEY, round INTEGER NOT NULL) STRICT;
    CREATE TABLE deliveries (
        id TEXT PRIMARY KEY, due_at INTEGER NOT NULL, attempt INTEGER NOT NULL, delivery TEXT NOT NULL
    ) STRICT;
    CREATE INDEX deliveries_by_due ON deliveries (due_at);";

const VERSION_3: &str = "
    CREATE TABLE clock (
        id INTEGER PRIMARY KEY CHECK (id = 1), even_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL,
        is_closed INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE jobs ADD COLUMN queued_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN client TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
    DROP INDEX deliveries_by_due;
    CREATE INDEX deliveries_in_order ON deliveries (client, receiver, due_at);
    CREATE TABLE posting_clients (client TEXT PRIMARY KEY, ready_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX posting_clients_by_turn ON posting_clients (ready_at);
    CREATE TABLE posting_receivers (
        client TEXT NOT NULL, receiver TEXT NOT NULL, ready_at INTEGER NOT NULL, PRIMARY KEY (client, receiver)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX posting_receivers_by_turn ON posting_receivers (client, ready_at);";

const RECEIVERS: [&str; 3] = ["https://example.org/x/y", "http://[::1]:90/", "https://e.org"];

/// The jobs of [`old_file`].
struct OldJobs {
    first: JobId,
    second: JobId,
    returned: JobId,
    running: JobId,
    done: JobId,
}

/// A file as the program of `version` left it.
fn old_file(path: &Path, version: i64) -> OldJobs {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let db = Connection::open(path).expect("a file");
    db.pragma_update(None, "journal_mode", "WAL").expect("a log");
    let schemas = [VERSION_1, VERSION_2, VERSION_3];
    for schema in &schemas[..usize::try_from(version).expect("a version")] {
        db.execute_batch(schema).expect("a schema");
    }
    db.pragma_update(None, "user_version", version).expect("a version");
    let jobs = OldJobs {
        first: add_job(&db, "queued", 0, Some("key")),
        second: add_job(&db, "queued", 0, None),
        returned: add_job(&db, "queued", 1, None),
        running: add_job(&db, "running", 1, None),
        done: add_job(&db, "succeeded", 1, Some("old key")),
    };
    for (id, returned) in [(jobs.first, false), (jobs.second, false), (jobs.returned, true)] {
        let id = id.to_string();
        match version {
            1 => db.execute(
                "INSERT INTO waiting (returned, lane, job_id) VALUES (?1, 'draft', ?2)",
                params![returned, id],
            ),
            _ => db.execute(
                "INSERT INTO line (class, round, lane, client, job_id) VALUES (?1, 0, 'draft', '', ?2)",
                params![if returned { 0 } else { 2 }, id],
            ),
        }
        .expect("a place");
    }
    if version >= 2 {
        for (seq, url) in (1..).zip(RECEIVERS) {
            add_delivery(&db, version, jobs.done, seq, url);
        }
    }
    if version >= 3 {
        db.execute("INSERT INTO clock (id, even_ms, wall_ms, is_closed) VALUES (1, 5000, 5000, 1)", [])
            .expect("a time");
    }
    jobs
}

fn add_job(db: &Connection, state: &str, attempt: u32, key: Option<&str>) -> JobId {
    let id = JobId::new_v4();
    let is_over = state == "succeeded";
    let job = json!({
        "id": id, "state": state, "params": { "engine": "draft" }, "upload_id": id, "engine": null, "progress": null,
        "position": null, "attempt": attempt, "cancel_requested": false, "created_at": "2026-01-02T03:04:05Z",
        "started_at": (attempt > 0).then_some("2026-01-02T03:04:06Z"),
        "finished_at": is_over.then_some("2026-01-02T03:04:07Z"), "error": null, "seq": 1
    });
    let event = json!({ "seq": 1, "job_id": id, "at": "2026-01-02T03:04:05Z", "type": "queued" });
    let finished_at = is_over.then_some(4000);
    let worker = (state == "running").then_some("w");
    db.execute(
        "INSERT INTO jobs (id, state, upload_id, finished_at, worker, idempotency_key, fingerprint, job)
         VALUES (?1, ?2, ?1, ?3, ?4, ?5, ?6, ?7)",
        params![id.to_string(), state, finished_at, worker, key, key.map(|_| "fingerprint"), job.to_string()],
    )
    .expect("a job");
    db.execute(
        "INSERT INTO events (job_id, seq, event) VALUES (?1, 1, ?2)",
        params![id.to_string(), event.to_string()],
    )
    .expect("an event");
    id
}

fn add_delivery(db: &Connection, version: i64, job: JobId, seq: u64, url: &str) {
    let id = format!("{job}.{seq}");
    let event = json!({ "seq": seq, "job_id": job, "at": "2026-01-02T03:04:07Z", "type": "succeeded", "layers": 3 });
    let delivery = json!({ "event": event, "upload_id": job, "url": url, "attempt": 0 }).to_string();
    db.execute("INSERT INTO deliveries (id, due_at, attempt, delivery) VALUES (?1, 7, 1, ?2)", [&id, &delivery])
        .expect("a delivery");
    if version >= 3 {
        let receiver = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        db.execute("UPDATE deliveries SET receiver = ?2 WHERE id = ?1", [&id, &receiver]).expect("a receiver");
        db.execute("INSERT INTO posting_receivers VALUES ('', ?1, 7)", [&receiver]).expect("a turn");
        db.execute("INSERT OR IGNORE INTO posting_clients VALUES ('', 7)", []).expect("a turn");
    }
}

#[tokio::test]
async fn a_file_of_every_earlier_version_is_migrated_without_loss() {
    for version in 1..=3 {
        let bench = Bench::embedded();
        let old = old_file(&bench.file(), version);
        let broker = bench.open(calm()).await;

        assert_eq!(broker.stats().await.unwrap().queued, 4, "version {version}: the running job waits again");
        assert_eq!(job(&broker, old.done).await.state, State::Succeeded);
        for id in [old.first, old.second, old.returned, old.done] {
            assert_eq!(kinds(&broker, id).await, [EventKind::Queued], "version {version}");
        }
        assert!(matches!(kinds(&broker, old.running).await[..], [EventKind::Queued, EventKind::Requeued { .. }]));

        let repeat = |key: &str, fingerprint: &str| {
            let idempotency = Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() });
            broker.submit(jobs::broker::NewJob { idempotency, ..new_job() })
        };
        for (key, id) in [("key", old.first), ("old key", old.done)] {
            let answer = repeat(key, "fingerprint").await.unwrap();
            assert!(matches!(&answer, Submitted::Repeated(job) if job.id == id), "version {version}: {answer:?}");
            assert!(matches!(repeat(key, "other").await, Err(BrokerError::IdempotencyMismatch)));
        }

        let deliveries = broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap();
        let mut urls: Vec<_> = deliveries.iter().map(|delivery| delivery.url.as_str()).collect();
        urls.sort_unstable();
        let mut expected = if version >= 2 { RECEIVERS.to_vec() } else { Vec::new() };
        expected.sort_unstable();
        assert_eq!(urls, expected, "version {version}");
        for delivery in &deliveries {
            assert_eq!((delivery.attempt, delivery.event.job_id), (2, old.done));
            broker.settle_delivery(delivery, DeliveryOutcome::Done).await.unwrap();
        }

        // Work continues, in the same order.
        for id in [old.returned, old.running, old.first, old.second] {
            let (lease, taken) = claim(&broker, "w").await;
            assert_eq!((taken.id, taken.params.engine), (id, EngineName::Draft.into()), "version {version}");
            broker.finish(&lease, Outcome::Succeeded { layers: 2 }).await.unwrap();
        }
        submit(&broker).await;
        drop(broker);
        let broker = bench.open(calm()).await;
        assert_eq!(broker.stats().await.unwrap().queued, 1, "version {version}");
        assert!(broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let bench = Bench::embedded();
    let broker = bench.open(calm()).await;
    submit(&broker).await;
    drop(broker);
    let set_version = |version: i64| {
        let db = Connection::open(bench.file()).expect("a file");
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
        db.pragma_update(None, "user_version", version).expect("a version");
        found
    };
    let present = set_version(77);
    let Err(error) = jobs::broker::EmbeddedBroker::open(&bench.file(), calm()).await else { panic!("it was opened") };
    assert!(matches!(error, BrokerError::NewerFile { found: 77, .. }), "{error}");
    assert!(error.to_string().contains("77") && error.to_string().contains("newer program"), "{error}");
    assert_eq!(set_version(present), 77);
    assert_eq!(bench.open(calm()).await.stats().await.unwrap().queued, 1);
}
