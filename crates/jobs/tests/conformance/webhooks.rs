use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{NewJob, Outcome, Rules};
use jobs::{Broker, DeliveriesInFlight, Delivery, DeliveryOutcome, Event, EventKind, JobId, Webhook, WebhookEvent};

use crate::bench::*;

const URL: &str = "https://example.org/hook?a=1&b=물";

fn hooked(events: &[WebhookEvent]) -> NewJob {
    NewJob { webhook: Some(Webhook { url: URL.to_owned(), events: events.to_vec() }), ..new_job() }
}

/// A succeeded job whose success has a delivery.
async fn succeeded(broker: &Arc<dyn Broker>) -> JobId {
    let id = submit_this(broker, hooked(&[WebhookEvent::Succeeded])).await.id;
    let (lease, _) = claim(broker, "w").await;
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    id
}

async fn due(broker: &Arc<dyn Broker>) -> Vec<Delivery> {
    broker.claim_deliveries(10, &DeliveriesInFlight::default()).await.unwrap()
}

pub(crate) async fn only_wanted_events_are_delivered(bench: Bench) {
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
    broker.release(&lease, &"shutting down".into()).await.unwrap();
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

pub(crate) async fn a_delivery_is_taken_by_one_until_it_is_settled(bench: Bench) {
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
    // Settling twice has no effect.
    other.settle_delivery(&first[0], DeliveryOutcome::RetryIn(Duration::ZERO)).await.unwrap();
    assert_eq!(due(&broker).await, []);
}

pub(crate) async fn a_delivery_whose_taker_is_gone_is_taken_again(bench: Bench) {
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
    // The first taker is still alive, but its retry no longer counts ...
    broker.settle_delivery(&first, DeliveryOutcome::RetryIn(Duration::from_secs(3600))).await.unwrap();
    eventually(async || !due(&broker).await.is_empty()).await;
    // ... unless it says that the delivery arrived.
    broker.settle_delivery(&first, DeliveryOutcome::Done).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(due(&broker).await, []);
}

pub(crate) async fn a_delivery_is_tried_again_when_it_is_due(bench: Bench) {
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

pub(crate) async fn a_delivery_outlives_its_job(bench: Bench) {
    let broker = bench.open(calm()).await;
    let id = succeeded(&broker).await;
    assert!(broker.forget(id).await.unwrap());
    assert_eq!(due(&broker).await[0].event.kind, EventKind::Succeeded { layers: 1 });
}

pub(crate) async fn deliveries_outlive_a_restart(mut bench: Bench) {
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

/// Queues a job of a client with a delivery to a host.
async fn post_to(broker: &Arc<dyn Broker>, client: &str, host: &str) {
    let webhook = Webhook { url: format!("https://{host}/hook"), events: vec![WebhookEvent::Queued] };
    submit_this(broker, NewJob { webhook: Some(webhook), client: client.to_owned(), ..new_job() }).await;
}

/// Takes due deliveries and adds them to those in flight.
async fn take_more(broker: &Arc<dyn Broker>, limit: usize, in_flight: &mut DeliveriesInFlight) -> Vec<Delivery> {
    let taken = broker.claim_deliveries(limit, in_flight).await.unwrap();
    taken.iter().for_each(|delivery| in_flight.add(delivery));
    taken
}

pub(crate) async fn a_slow_receiver_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    for _ in 0..30 {
        post_to(&broker, "a", "slow.example").await;
    }
    post_to(&broker, "a", "quick.example:8443").await;
    let mut in_flight = DeliveriesInFlight::default();
    let taken = take_more(&broker, 32, &mut in_flight).await;
    let to = |host: &str| taken.iter().filter(|delivery| delivery.receiver() == format!("https://{host}")).count();
    assert_eq!((to("slow.example"), to("quick.example:8443")), (DeliveriesInFlight::PER_RECEIVER, 1));
    // The receiver is at its limit until one of its deliveries ends; deliveries to others overtake it.
    assert_eq!(take_more(&broker, 32, &mut in_flight).await, []);
    post_to(&broker, "a", "quick.example").await;
    assert_eq!(take_more(&broker, 32, &mut in_flight).await[0].receiver(), "https://quick.example");
    let ended = taken.iter().find(|delivery| delivery.receiver() == "https://slow.example").unwrap();
    broker.settle_delivery(ended, DeliveryOutcome::RetryIn(Duration::from_secs(3600))).await.unwrap();
    in_flight.remove(ended);
    assert_eq!(take_more(&broker, 32, &mut in_flight).await.len(), 1);
}

pub(crate) async fn a_client_with_many_receivers_holds_up_no_other(bench: Bench) {
    let broker = bench.open(calm()).await;
    for n in 0..20 {
        post_to(&broker, "a", &format!("{n}.wild.example")).await;
    }
    post_to(&broker, "b", "quick.example").await;
    // Clients take turns, so a later one waits for at most one delivery of the other ...
    let mut in_flight = DeliveriesInFlight::default();
    let mut all = take_more(&broker, 2, &mut in_flight).await;
    assert!(all.iter().any(|delivery| delivery.receiver() == "https://quick.example"), "{all:?}");
    // ... and no client uses the whole capacity.
    all.extend(take_more(&broker, 32, &mut in_flight).await);
    assert_eq!(all.len(), DeliveriesInFlight::PER_CLIENT + 1);
    assert_eq!(take_more(&broker, 32, &mut in_flight).await, []);
    // In the end each one is posted once.
    let mut ended = 0;
    while let Some(delivery) = all.pop() {
        broker.settle_delivery(&delivery, DeliveryOutcome::Done).await.unwrap();
        in_flight.remove(&delivery);
        ended += 1;
        all.extend(take_more(&broker, 32, &mut in_flight).await);
    }
    assert_eq!(ended, 21);
}
