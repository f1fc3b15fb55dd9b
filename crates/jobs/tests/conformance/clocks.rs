//! The wall clock is set forward and back while the queue is in use.

use std::time::Duration;

use jobs::EngineChoice::Auto;
use jobs::EngineName::Vertex;
use jobs::broker::{NewJob, Outcome, Rules, Standing};
use jobs::{DeliveriesInFlight, DeliveryOutcome, Webhook, WebhookEvent};
use time::Duration as Time;

use crate::bench::*;

const JUMPS: [Time; 2] = [Time::hours(-1), Time::hours(1)];

/// The queue's own time advances every second, and leases do not expire during a test unless it waits for that.
fn brisk() -> Rules {
    Rules { lease: Duration::from_secs(9), ..Rules::default() }
}

pub(crate) async fn an_open_job_waits_no_longer_when_the_clock_is_set(bench: Bench) {
    let rules = Rules { gpu_patience: Duration::from_millis(500), ..brisk() };
    let (gpu, cloud) = (gpu_worker("gpu"), worker_with("cloud", &[Vertex]));
    for restarts in [false, true] {
        for jump in JUMPS {
            let mut broker = bench.open(rules).await;
            let before = submit_this(&broker, new_job_for(Auto)).await.id;
            bench.set_clock(jump).await;
            if restarts {
                drop(broker);
                broker = bench.open(rules).await;
            }
            let after = submit_this(&broker, new_job_for(Auto)).await.id;
            for expected in [before, after] {
                // The GPU worker is alive but takes nothing.
                eventually(async || {
                    broker.announce(&gpu).await.unwrap();
                    match try_claim(&broker, &cloud).await {
                        Some(id) => id == expected,
                        None => false,
                    }
                })
                .await;
            }
        }
    }
}

pub(crate) async fn a_job_keeps_its_worker_when_the_clock_is_set(bench: Bench) {
    let broker = bench.open(brisk()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    let started_at = job(&broker, id).await.timings.started_at;
    for jump in JUMPS {
        bench.set_clock(jump).await;
        // At once, and when the queue has had time to notice.
        for wait_ms in [0, 2000] {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            assert!(broker.reap().await.unwrap().is_empty(), "a live lease ended");
            assert_eq!(try_claim(&broker, &worker("other")).await, None);
            assert!(broker.workers().await.unwrap().iter().any(|known| known.id == "w"), "the worker is unknown");
            assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
        }
    }
    bench.set_clock(Time::hours(-1)).await;
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    assert!(job(&broker, id).await.timings.finished_at >= started_at, "it ended before it began");
}

pub(crate) async fn a_lost_worker_is_missed_when_the_clock_is_set_back(bench: Bench) {
    let broker = bench.open(Rules { lease: Duration::from_secs(1), ..calm() }).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    bench.set_clock(Time::hours(-1)).await;
    lapse(&broker, id).await;
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), Standing::Lost);
    eventually(async || broker.workers().await.unwrap().is_empty()).await;
}

/// Queues a job whose arrival is to be posted.
fn posted() -> NewJob {
    let webhook = Webhook { url: "https://example.org/".to_owned(), events: vec![WebhookEvent::Queued] };
    NewJob { webhook: Some(webhook), ..new_job() }
}

pub(crate) async fn a_webhook_keeps_its_wait_when_the_clock_is_set(bench: Bench) {
    let mut broker = bench.open(brisk()).await;
    for restarts in [false, true] {
        for jump in JUMPS {
            submit_this(&broker, posted()).await;
            let first = broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap().remove(0);
            broker.settle_delivery(&first, DeliveryOutcome::RetryIn(Duration::from_millis(300))).await.unwrap();
            bench.set_clock(jump).await;
            if restarts {
                drop(broker);
                broker = bench.open(brisk()).await;
            }
            let mut again = Vec::new();
            eventually(async || {
                again = broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap();
                !again.is_empty()
            })
            .await;
            assert_eq!((again.len(), again[0].id()), (1, first.id()));
            broker.settle_delivery(&again[0], DeliveryOutcome::Done).await.unwrap();
        }
    }
    // A retry that is due much later does not come early either.
    submit_this(&broker, posted()).await;
    let far = broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap().remove(0);
    broker.settle_delivery(&far, DeliveryOutcome::RetryIn(Duration::from_secs(1800))).await.unwrap();
    bench.set_clock(Time::hours(1)).await;
    for wait_ms in [0, 2000] {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        assert_eq!(broker.claim_deliveries(9, &DeliveriesInFlight::default()).await.unwrap(), []);
    }
}

pub(crate) async fn a_clock_that_is_set_forward_makes_no_job_old(bench: Bench) {
    let broker = bench.open(brisk()).await;
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    bench.set_clock(Time::days(400)).await;
    let day = Time::days(1);
    assert!(broker.finished_before(bench.now() - day).await.unwrap().is_empty());
    assert_eq!(broker.finished_before(bench.now() + day).await.unwrap(), [id]);
}
