use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{NewJob, Outcome, Rules};
use jobs::{Broker, DeliveriesInFlight, Delivery, DeliveryOutcome, Event, EventKind, JobId, Webhook, WebhookEvent};

use crate::bench::*;

const URL: &str = "https://example.org/hook?a=1&b=물";

fn hooked(events: &[WebhookEvent]) -> NewJob {
    NewJob { webhook: Some(Webhook { url: URL.to_owned(), events: events.to_vec() }), ..new_job() }
}

/// A job that has succeeded, and whose success is to be posted.
async fn succeeded(broker: &Arc<dyn Broker>) -> JobId {
    let id = submit_this(broker, hooked(&[WebhookEvent::Succeeded])).await.id;
    let (lease, _) = claim(broker, "w").await;
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    id
}

async fn due(broker: &Arc<dyn Broker>) -> Vec<Delivery> {
    broker.claim_deliveries(10, &DeliveriesInFlight::default()).await.unwrap()
}

pub async fn only_wanted_events_are_delivered(bench: Bench) {
    let broker = bench.open(calm()).await;
    submit(&broker).await;
    let (silent, _) = claim(&broker, "w").await;
    broker.finish(&silent, Outcome::Succeeded { layers: 1 }).await.unwrap();
    assert_eq!(due(&broker).await, [], "a job without a webhook");

    let wanted = [WebhookEvent::Started, WebhookEvent::Requeued, WebhookEvent::Failed, WebhookEvent::Cancelled];
    let new = hooked(&wanted);
    let upload = new.upload_id;
    let id = submit_this(&broker, new).await.id;
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, started("w", 1)).await.unwrap();
    broker.record(&lease, progress(1)).await.unwrap();
    broker.record(&lease, note("blurry")).await.unwrap();
    broker.release(&lease, "shutting down").await.unwrap();
    broker.cancel(id).await.unwrap();
    let mut found = due(&broker).await;
    found.sort_by_key(|delivery| delivery.event.seq);
    let posted: Vec<Event> = found.iter().map(|delivery| delivery.event.clone()).collect();
    let mut expected = events(&broker, id).await;
    expected.retain(|event| {
        matches!(event.kind, EventKind::Started { .. } | EventKind::Requeued { .. } | EventKind::Cancelled)
    });
    assert_eq!(posted, expected);
    assert_eq!(expected.len(), 3);
    for delivery in found {
        assert_eq!((delivery.upload_id, delivery.url.as_str(), delivery.attempt), (upload, URL, 1));
        assert_eq!(delivery.id(), format!("{id}.{}", delivery.event.seq));
    }
}

pub async fn a_delivery_is_taken_by_one_until_it_is_settled(bench: Bench) {
    let broker = bench.open(calm()).await;
    let other = bench.other(&broker, calm()).await;
    for _ in 0..3 {
        succeeded(&broker).await;
    }
    let first = broker.claim_deliveries(2, &DeliveriesInFlight::default()).await.unwrap();
    assert_eq!(first.len(), 2);
    let second = due(&other).await;
    assert_eq!(second.len(), 1);
    assert!(!first.contains(&second[0]));
    assert_eq!(due(&broker).await, []);
    for delivery in first.iter().chain(&second) {
        other.settle_delivery(delivery, DeliveryOutcome::Done).await.unwrap();
    }
    // To settle what is settled changes nothing.
    other.settle_delivery(&first[0], DeliveryOutcome::RetryIn(Duration::ZERO)).await.unwrap();
    assert_eq!(due(&broker).await, []);
}

pub async fn a_delivery_whose_taker_is_gone_is_taken_again(bench: Bench) {
    let broker = bench.open(Rules { delivery_lease: Duration::from_millis(50), ..calm() }).await;
    succeeded(&broker).await;
    let first = due(&broker).await.remove(0);
    let mut second = Vec::new();
    eventually(async || {
        second = due(&broker).await;
        !second.is_empty()
    })
    .await;
    assert_eq!((second[0].id(), second[0].attempt), (first.id(), 2));
    // The first taker is alive after all, but its word does not count any more ...
    broker.settle_delivery(&first, DeliveryOutcome::RetryIn(Duration::from_secs(3600))).await.unwrap();
    eventually(async || !due(&broker).await.is_empty()).await;
    // ... unless it says that the delivery arrived.
    broker.settle_delivery(&first, DeliveryOutcome::Done).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(due(&broker).await, []);
}

pub async fn a_delivery_is_tried_again_when_it_is_due(bench: Bench) {
    let broker = bench.open(calm()).await;
    succeeded(&broker).await;
    let first = due(&broker).await.remove(0);
    broker.settle_delivery(&first, DeliveryOutcome::RetryIn(Duration::from_millis(300))).await.unwrap();
    assert_eq!(due(&broker).await, []);
    let mut again = Vec::new();
    eventually(async || {
        again = due(&broker).await;
        !again.is_empty()
    })
    .await;
    assert_eq!(again, [Delivery { attempt: 2, ..first }]);
}

pub async fn a_delivery_outlives_its_job(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = succeeded(&broker).await;
    assert!(broker.forget(id).await.unwrap());
    assert_eq!(due(&broker).await[0].event.kind, EventKind::Succeeded { layers: 1 });
}

pub async fn deliveries_outlive_a_restart(mut bench: Bench) {
    let rules = Rules { delivery_lease: Duration::from_millis(50), ..calm() };
    let broker = bench.open(rules).await;
    succeeded(&broker).await;
    let taken = due(&broker).await;
    drop(broker);
    if let Bench::Redis(server) = &mut bench {
        server.restart();
    }
    let broker = bench.open(rules).await;
    eventually(async || due(&broker).await.iter().any(|delivery| delivery.id() == taken[0].id())).await;
}

/// Queues a job of a client that is to be posted to a host at once.
async fn post_to(broker: &Arc<dyn Broker>, client: &str, host: &str) {
    let webhook = Webhook { url: format!("https://{host}/hook"), events: vec![WebhookEvent::Queued] };
    submit_this(broker, NewJob { webhook: Some(webhook), client: client.to_owned(), ..new_job() }).await;
}

/// Takes what is due beside what is under way, and counts it there.
async fn take_more(broker: &Arc<dyn Broker>, limit: usize, under_way: &mut DeliveriesInFlight) -> Vec<Delivery> {
    let taken = broker.claim_deliveries(limit, under_way).await.unwrap();
    taken.iter().for_each(|delivery| under_way.add(delivery));
    taken
}

pub async fn a_slow_receiver_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    for _ in 0..30 {
        post_to(&broker, "a", "slow.example").await;
    }
    post_to(&broker, "a", "quick.example:8443").await;
    let mut under_way = DeliveriesInFlight::default();
    let taken = take_more(&broker, 32, &mut under_way).await;
    let to = |host: &str| taken.iter().filter(|delivery| delivery.receiver() == format!("https://{host}")).count();
    assert_eq!((to("slow.example"), to("quick.example:8443")), (DeliveriesInFlight::PER_RECEIVER, 1));
    // Its places are taken until one of its posts ends; what comes for others passes it.
    assert_eq!(take_more(&broker, 32, &mut under_way).await, []);
    post_to(&broker, "a", "quick.example").await;
    assert_eq!(take_more(&broker, 32, &mut under_way).await[0].receiver(), "https://quick.example");
    let ended = taken.iter().find(|delivery| delivery.receiver() == "https://slow.example").unwrap();
    broker.settle_delivery(ended, DeliveryOutcome::RetryIn(Duration::from_secs(3600))).await.unwrap();
    under_way.remove(ended);
    assert_eq!(take_more(&broker, 32, &mut under_way).await.len(), 1);
}

pub async fn a_client_with_many_receivers_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    for n in 0..20 {
        post_to(&broker, "a", &format!("{n}.wild.example")).await;
    }
    post_to(&broker, "b", "quick.example").await;
    // Clients have turns, so one that comes later waits for one post of the other at most ...
    let mut under_way = DeliveriesInFlight::default();
    let mut all = take_more(&broker, 2, &mut under_way).await;
    assert!(all.iter().any(|delivery| delivery.receiver() == "https://quick.example"), "{all:?}");
    // ... and no client has all places.
    all.extend(take_more(&broker, 32, &mut under_way).await);
    assert_eq!(all.len(), DeliveriesInFlight::PER_CLIENT + 1);
    assert_eq!(take_more(&broker, 32, &mut under_way).await, []);
    // In the end all are posted, once each.
    let mut ended = 0;
    while let Some(delivery) = all.pop() {
        broker.settle_delivery(&delivery, DeliveryOutcome::Done).await.unwrap();
        under_way.remove(&delivery);
        ended += 1;
        all.extend(take_more(&broker, 32, &mut under_way).await);
    }
    assert_eq!(ended, 21);
}
