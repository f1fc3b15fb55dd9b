use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{Outcome, Stats};
use jobs::{Broker, EventKind, JobId, State};
use tokio::task::JoinSet;

use crate::bench::*;

pub(crate) async fn claimers_never_share_a_job(bench: Bench) {
    let broker = bench.open(calm()).await;
    let mut submitted = HashSet::new();
    for _ in 0..40 {
        submitted.insert(submit(&broker).await);
    }
    let mut claimers = JoinSet::new();
    for n in 0..8 {
        let broker = bench.other(&broker, calm()).await;
        claimers.spawn(async move {
            let me = worker(&format!("w{n}"));
            let mut taken = Vec::new();
            while let Some(id) = try_claim(&broker, &me).await {
                taken.push(id);
            }
            taken
        });
    }
    let taken: Vec<JobId> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 40);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), submitted);
}

pub(crate) async fn many_jobs_are_each_done_once(bench: Bench) {
    const SUBMITTERS: usize = 4;
    const EACH: usize = 15;
    let broker = bench.open(calm()).await;
    let mut workers = JoinSet::new();
    for n in 0..3 {
        let broker = bench.other(&broker, calm()).await;
        workers.spawn(async move { work_until_idle(&broker, &format!("w{n}")).await });
    }
    let mut submitters = JoinSet::new();
    for _ in 0..SUBMITTERS {
        let broker = bench.other(&broker, calm()).await;
        submitters.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..EACH {
                ids.push(submit(&broker).await);
            }
            ids
        });
    }
    let ids: Vec<JobId> = submitters.join_all().await.into_iter().flatten().collect();
    let done: usize = workers.join_all().await.into_iter().sum();
    assert_eq!(done, SUBMITTERS * EACH);
    assert_eq!(broker.stats().await.unwrap(), Stats::default());
    for id in ids {
        assert_eq!(job(&broker, id).await.state, State::Succeeded);
        let ends = kinds(&broker, id).await.iter().filter(|kind| kind.is_terminal()).count();
        assert_eq!(ends, 1);
        let numbers: Vec<u64> = events(&broker, id).await.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}

async fn work_until_idle(broker: &Arc<dyn Broker>, id: &str) -> usize {
    let mut done = 0;
    while let Some((lease, _)) = broker.claim(&worker(id), Duration::from_secs(2)).await.unwrap() {
        broker.record(&lease, started(id, lease.attempt)).await.unwrap();
        broker.record(&lease, progress(1)).await.unwrap();
        assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), HELD);
        done += 1;
    }
    done
}

pub(crate) async fn a_waiting_claim_is_woken_by_a_job(bench: Bench) {
    let broker = bench.open(calm()).await;
    let elsewhere = bench.other(&broker, calm()).await;
    let waiting = tokio::spawn(async move { claim(&elsewhere, "w").await.0.job_id });
    tokio::task::yield_now().await;
    let id = submit(&broker).await;
    assert_eq!(waiting.await.unwrap(), id);
    assert_eq!(kinds(&broker, id).await, [EventKind::Queued]);
}
