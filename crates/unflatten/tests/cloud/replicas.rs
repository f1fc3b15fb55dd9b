//! Several containers behind one endpoint, lost answers, and jobs that were already started: none is computed twice while
//! its container lives, and a container that dies costs one recomputation.

use engine::{EngineName, Stage};
use jobs::{JobId, State};
use qwen_image_layered::testing::whole_checkpoint;

use crate::bench::{Bench, poster};
use crate::google::{Balancer, Container};
use crate::storage::FakeStorage;
use crate::vertex::long_params;

/// Two containers, an endpoint in front of them, and perhaps a folder in Cloud Storage that they share.
struct Two {
    containers: [Container; 2],
    balancer: Balancer,
    storage: Option<FakeStorage>,
    _model: tempfile::TempDir,
}

impl Two {
    async fn start(storage: Option<FakeStorage>, settings: &[(&str, &str)]) -> Self {
        let model = whole_checkpoint();
        let address = storage.as_ref().map(|storage| storage.address.clone());
        let shared: Vec<_> = address.iter().map(|address| ("GOOGLE_STORAGE_ENDPOINT", address.as_str())).collect();
        let settings = [settings, &shared].concat();
        let first = Container::with_model_and(model.path(), &settings).await;
        let second = Container::with_model_and(model.path(), &settings).await;
        let balancer = Balancer::start(&[&first, &second]).await;
        Self { containers: [first, second], balancer, storage, _model: model }
    }

    async fn sharing(settings: &[(&str, &str)]) -> Self {
        Self::start(Some(FakeStorage::start().await), settings).await
    }

    async fn bench(&self, more: &[(&str, &str)]) -> Bench {
        let mut settings = vec![("VERTEX_WAIT_S", "1"), ("VERTEX_RETRIES", "3")];
        if let Some(storage) = &self.storage {
            settings.push(("VERTEX_STAGING_URI", "gs://posters/work"));
            settings.push(("GOOGLE_STORAGE_ENDPOINT", &storage.address));
        }
        settings.extend(more);
        Bench::start(&self.balancer.settings(&settings)).await
    }

    fn started(&self) -> usize {
        self.containers.iter().map(|container| container.count("job started")).sum()
    }

    /// The container that has started the job.
    async fn owner(&mut self) -> &mut Container {
        while self.started() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let is_first = self.containers[0].count("job started") > 0;
        &mut self.containers[usize::from(!is_first)]
    }
}

async fn submit(bench: &Bench) -> JobId {
    bench.submit(&poster(64, 3), long_params(EngineName::Vertex)).await
}

async fn computes(bench: &Bench, id: JobId) {
    let denoises = |job: &jobs::Job| job.progress.as_ref().is_some_and(|p| p.stage == Stage::Denoise);
    let job = bench.wait(id, |job| denoises(job) || job.state.is_terminal()).await;
    assert!(denoises(&job), "it ended unseen: {job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_containers_do_a_job_once() {
    let two = Two::sharing(&[]).await;
    let bench = two.bench(&[]).await;
    // The answer to the first call is lost: the worker does not know whether the job was started.
    two.balancer.lose(1);
    let id = submit(&bench).await;
    computes(&bench, id).await;
    let job = bench.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    assert_eq!(bench.metadata(id).await.engine.name, EngineName::Vertex);
    assert_eq!((two.started(), two.balancer.pictures()), (1, 1));
    two.storage.expect("they share one").wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_is_followed_by_another() {
    let mut two = Two::sharing(&[("JOB_LEASE_S", "1")]).await;
    let bench = two.bench(&[]).await;
    let id = submit(&bench).await;
    computes(&bench, id).await;
    assert_eq!(two.started(), 1);
    two.owner().await.kill();
    let job = bench.finished(id).await;
    assert_eq!((job.state, job.attempt), (State::Succeeded, 1), "{:?}", job.error);
    assert_eq!(bench.metadata(id).await.engine.name, EngineName::Vertex);
    assert_eq!((two.started(), two.balancer.pictures()), (2, 2), "it is computed again, and once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_container_that_has_the_job() {
    let mut two = Two::sharing(&[("JOB_LEASE_S", "1")]).await;
    let bench = two.bench(&[]).await;
    let id = submit(&bench).await;
    computes(&bench, id).await;
    bench.broker.cancel(id).await.expect("the queue answers");
    assert_eq!(bench.finished(id).await.state, State::Cancelled);
    two.owner().await.wait_for("outcome=\"cancelled\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_started_job_is_found_and_not_sent_again() {
    let two = Two::start(None, &[]).await;
    let mut bench = two.bench(&[("JOB_LEASE_S", "1")]).await;
    two.balancer.lose(1);
    let id = submit(&bench).await;
    computes(&bench, id).await;
    // The next worker knows from the events of the job that it may have been started.
    bench.kill_worker();
    bench.start_worker();
    let job = bench.finished(id).await;
    assert_eq!((job.state, job.attempt), (State::Succeeded, 2), "{:?}", job.error);
    assert_eq!((two.started(), two.balancer.pictures()), (1, 1));
}
