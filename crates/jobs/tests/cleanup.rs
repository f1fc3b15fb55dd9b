//! Cleanup removes what is old and nothing that a job needs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jobs::broker::{EmbeddedBroker, NewJob, Outcome, Rules, WorkerInfo};
use jobs::store::{Store, Upload};
use jobs::{Broker, CleanupReport, EngineName, EngineOffer, InputInfo, JobId, Params, cleanup, sweep_leftovers};
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);

struct Service {
    _dir: TempDir,
    broker: EmbeddedBroker,
    store: Store,
}

impl Service {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let broker = EmbeddedBroker::open(&dir.path().join("queue.sqlite"), Rules::default()).await.unwrap();
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.unwrap();
        Self { _dir: dir, broker, store }
    }

    async fn upload(&self) -> Uuid {
        let input = InputInfo {
            filename: None,
            format: "png".to_owned(),
            width: 1,
            height: 1,
            has_alpha: false,
            density: None,
            notes: Vec::new(),
            sha256: String::new(),
            parent: None,
        };
        let upload = Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() };
        self.store.put_upload(&upload, self.store.scratch().unwrap()).await.unwrap();
        upload.id
    }

    async fn submit(&self, upload_id: Uuid) -> JobId {
        let new = NewJob::new(upload_id, Params::default());
        let id = new.id;
        self.broker.submit(new).await.unwrap();
        id
    }

    async fn publish(&self, id: JobId) {
        let staging = self.store.stage(id).unwrap();
        std::fs::write(staging.dir().join("metadata.json"), "{}").unwrap();
        self.store.publish(staging).await.unwrap();
    }

    /// Takes the next job and leaves a result behind, finished or not.
    async fn work(&self, finish: bool) {
        let engine = EngineOffer {
            name: EngineName::Draft,
            version: String::new(),
            model: None,
            device: String::new(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        };
        let seen_at = OffsetDateTime::now_utc();
        let worker = WorkerInfo { id: "w".to_owned(), engines: vec![engine], job: None, seen_at, paused: None };
        let (lease, job) = self.broker.claim(&worker, Duration::ZERO).await.unwrap().unwrap();
        self.publish(job.id).await;
        if finish {
            self.broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
        }
    }

    async fn has_result(&self, id: JobId) -> bool {
        self.store.result_file(id, "metadata.json").await.unwrap().is_some()
    }

    /// Cleans up after the clock has moved on a little, so that everything is older than no time at all.
    async fn clean(&self, age: Duration) -> CleanupReport {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cleanup(&self.broker, &self.store, age).await.unwrap()
    }
}

#[tokio::test]
async fn old_things_go_and_those_in_use_stay() {
    let service = Service::start().await;
    let (old, running_on, waiting_on) = (service.upload().await, service.upload().await, service.upload().await);
    let done = service.submit(old).await;
    service.work(true).await;
    let running = service.submit(running_on).await;
    service.work(false).await;
    let waiting = service.submit(waiting_on).await;
    let unknown = JobId::new_v4();
    service.publish(unknown).await;
    std::mem::forget(service.store.scratch().unwrap());

    assert_eq!(service.clean(HOUR).await, CleanupReport::default(), "nothing is that old");
    let expected = CleanupReport { jobs: 1, results: 2, uploads: 1, leftovers: 1 };
    assert_eq!(service.clean(Duration::ZERO).await, expected);

    assert_eq!(service.broker.job(done).await.unwrap(), None);
    assert!(!service.has_result(done).await && !service.has_result(unknown).await);
    assert_eq!(service.store.upload(old).await.unwrap(), None);
    for (id, upload) in [(running, running_on), (waiting, waiting_on)] {
        assert!(service.broker.job(id).await.unwrap().is_some());
        assert!(service.store.upload(upload).await.unwrap().is_some());
    }
    assert!(service.has_result(running).await, "the result of a job that still runs was removed");
    assert_eq!(service.clean(Duration::ZERO).await, CleanupReport::default());
}

#[tokio::test]
async fn leftovers_go_where_nothing_else_does() {
    let service = Service::start().await;
    let old = service.submit(service.upload().await).await;
    service.work(true).await;
    let (young, crashed) = (service.store.scratch().unwrap(), service.store.scratch().unwrap());
    crashed.as_file().set_modified(std::time::SystemTime::now() - 25 * HOUR).unwrap();
    young.as_file().set_modified(std::time::SystemTime::now() - 23 * HOUR).unwrap();
    let expected = CleanupReport { leftovers: 1, ..CleanupReport::default() };
    assert_eq!(sweep_leftovers(&service.store).await.unwrap(), expected);
    assert!(young.path().exists() && !crashed.path().exists());
    assert!(service.has_result(old).await);
}
