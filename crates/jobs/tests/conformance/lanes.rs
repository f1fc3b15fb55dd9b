use std::time::Duration;

use jobs::EngineChoice::Auto;
use jobs::EngineName::{Draft, Qwen, Vertex};
use jobs::broker::Rules;

use crate::bench::*;

pub(crate) async fn a_worker_takes_only_what_its_engines_can_do(bench: Bench) {
    let broker = bench.open(calm()).await;
    let draft_only = worker_with("draft", &[Draft]);
    let qwen = submit_this(&broker, new_job_for(Qwen)).await.id;
    let vertex = submit_this(&broker, new_job_for(Vertex)).await.id;
    assert_eq!(try_claim(&broker, &draft_only).await, None);
    assert_eq!(try_claim(&broker, &worker_with("none", &[])).await, None);

    let auto = submit_this(&broker, new_job_for(Auto)).await.id;
    let draft = submit_this(&broker, new_job_for(Draft)).await.id;
    assert_eq!(try_claim(&broker, &worker_with("none", &[])).await, None);
    assert_eq!(try_claim(&broker, &draft_only).await, Some(auto));
    assert_eq!(try_claim(&broker, &draft_only).await, Some(draft));
    assert_eq!(try_claim(&broker, &draft_only).await, None);
    assert_eq!(try_claim(&broker, &worker_with("both", &[Vertex, Qwen])).await, Some(qwen));
    assert_eq!(try_claim(&broker, &worker_with("both", &[Vertex, Qwen])).await, Some(vertex));
}

pub(crate) async fn the_oldest_job_of_all_lanes_comes_first(bench: Bench) {
    let broker = bench.open(calm()).await;
    let everything = worker_with("all", &[Qwen, Draft, Vertex]);
    let mut ids = Vec::new();
    for engine in [Draft.into(), Auto, Qwen.into(), Auto, Vertex.into(), Draft.into(), Qwen.into()] {
        ids.push(submit_this(&broker, new_job_for(engine)).await.id);
    }
    // A returned job goes before those of every lane.
    let (lease, _) = broker.claim(&worker_with("vertex", &[Vertex]), PATIENCE).await.unwrap().unwrap();
    assert_eq!(lease.job_id, ids[1]);
    broker.release(&lease, &"shutting down".into()).await.unwrap();
    let returned = ids.remove(1);
    ids.insert(0, returned);
    for id in ids {
        assert_eq!(try_claim(&broker, &everything).await, Some(id));
    }
}

pub(crate) async fn positions_count_the_jobs_that_can_come_before(bench: Bench) {
    let broker = bench.open(calm()).await;
    let mut ids = Vec::new();
    for (engine, position) in [
        (Qwen.into(), 0),
        (Qwen.into(), 1),
        (Draft.into(), 0),
        (Auto, 3),
        (Draft.into(), 2),
        (Vertex.into(), 1),
        (Auto, 6),
    ] {
        let queued = submit_this(&broker, new_job_for(engine)).await;
        assert_eq!(queued.position, Some(position), "{engine}");
        ids.push(queued.id);
    }
    assert_eq!(try_claim(&broker, &worker_with("draft", &[Draft])).await, Some(ids[2]));
    for (id, position) in ids.iter().zip([Some(0), Some(1), None, Some(2), Some(1), Some(1), Some(5)]) {
        assert_eq!(job(&broker, *id).await.position, position);
    }
}

pub(crate) async fn an_open_job_waits_a_while_for_a_gpu(bench: Bench) {
    let broker = bench.open(Rules { gpu_patience: Duration::from_millis(700), ..calm() }).await;
    let (gpu, cloud) = (gpu_worker("gpu"), worker_with("cloud", &[Vertex]));
    for worker in [&gpu, &cloud] {
        broker.announce(worker).await.unwrap();
    }
    let first = submit_this(&broker, new_job_for(Auto)).await.id;
    let named = submit_this(&broker, new_job_for(Vertex)).await.id;
    assert_eq!(try_claim(&broker, &cloud).await, Some(named), "a job for Vertex AI does not wait behind it");
    assert_eq!(try_claim(&broker, &cloud).await, None);
    assert_eq!(try_claim(&broker, &gpu).await, Some(first));

    // The GPU is busy for longer than a job waits: a waiting claim gets the job as soon as it may.
    let second = submit_this(&broker, new_job_for(Auto)).await;
    let (lease, job) = broker.claim(&cloud, PATIENCE).await.unwrap().unwrap();
    assert_eq!(lease.job_id, second.id);
    let waited = job.timings.started_at.unwrap() - second.timings.created_at;
    assert!(waited >= Duration::from_millis(690), "{waited}");

    // A GPU worker that is gone is not waited for.
    broker.retire(&gpu.id).await.unwrap();
    let third = submit_this(&broker, new_job_for(Auto)).await.id;
    assert_eq!(try_claim(&broker, &cloud).await, Some(third));
}

pub(crate) async fn an_open_job_that_no_gpu_takes_goes_to_vertex_before_draft(bench: Bench) {
    let broker = bench.open(Rules { gpu_patience: Duration::from_millis(300), ..calm() }).await;
    let (gpu, cloud) = (gpu_worker("gpu"), worker_with("cloud", &[Vertex]));
    let (draft, slow) = (worker_with("draft", &[Draft]), worker_with("slow", &[Qwen]));
    for worker in [&gpu, &cloud] {
        broker.announce(worker).await.unwrap();
    }
    let first = submit_this(&broker, new_job_for(Auto)).await.id;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(try_claim(&broker, &draft).await, None, "Vertex AI is there for it");
    assert_eq!(try_claim(&broker, &cloud).await, Some(first));

    broker.retire(&cloud.id).await.unwrap();
    let second = submit_this(&broker, new_job_for(Auto)).await.id;
    assert_eq!(try_claim(&broker, &draft).await, None, "the GPU may still take it");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(try_claim(&broker, &slow).await, None, "a model on a CPU takes no such job");
    assert_eq!(try_claim(&broker, &draft).await, Some(second));
}
