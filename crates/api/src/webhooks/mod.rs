//! Posts the events of jobs to the addresses that their clients named.
//!
//! What is to be posted lies in the queue, written in the same step as the event
//! itself. Every API process takes what is due, each delivery under a lease, so
//! that several processes post it once, and one that dies leaves it to another.
//! Bodies and signatures are those of Standard Webhooks.

mod address;
mod post;
mod sign;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs::{DeliveriesInFlight, Delivery, DeliveryOutcome, Event};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub use self::address::check_url;
use self::post::{Answer, Poster};
pub use self::sign::Secrets;
use crate::app::App;
use crate::links::Links;

/// Posts that may be under way at once. A receiver, and a client, has only some of these places: see [`DeliveriesInFlight`].
const PARALLEL: usize = 32;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long posts under way may take to end once the service stops; others repeat those that do not.
const GRACE: Duration = Duration::from_secs(10);

const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// How webhooks are posted.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// `WEBHOOK_SECRET`
    pub secrets: Secrets,
    /// `WEBHOOK_ALLOW_PRIVATE`
    pub allow_private: bool,
    /// `WEBHOOK_ATTEMPTS`
    pub attempts: u32,
    /// `WEBHOOK_RETRY_S`: the wait before the second attempt; each further one is four times as long.
    pub retry: Duration,
}

/// What is posted.
#[derive(Serialize)]
struct Body<'a> {
    /// `job.` and the event's type.
    #[serde(rename = "type")]
    kind: String,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    event: &'a Event,
    links: Links,
}

/// Posts what is due until the service stops.
pub async fn run(app: App) {
    let Some(config) = app.config.webhooks.clone() else { return };
    let poster = Poster::new(config.allow_private);
    let mut posts = JoinSet::new();
    let places = Places::default();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            // A free place is a reason to look: there may be more than fitted in.
            Some(_) = posts.join_next() => {}
            () = app.shutdown.cancelled() => break,
        }
        let free = PARALLEL.saturating_sub(posts.len());
        if free == 0 {
            continue;
        }
        match app.broker.claim_deliveries(free, &places.taken()).await {
            Ok(due) => {
                for delivery in due {
                    let place = places.take(&delivery);
                    let post = deliver(app.clone(), config.clone(), poster.clone(), delivery);
                    posts.spawn(async move {
                        post.await;
                        drop(place);
                    });
                }
            }
            Err(err) => tracing::warn!(error = %err, "the webhooks that are due could not be read; trying on"),
        }
    }
    let _ = timeout(GRACE, async { while posts.join_next().await.is_some() {} }).await;
}

/// Who has which of the places.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<DeliveriesInFlight>>);

/// A place that is free again when this is dropped, however the post ended.
struct Place {
    places: Places,
    delivery: Delivery,
}

impl Places {
    fn change<T>(&self, change: impl FnOnce(&mut DeliveriesInFlight) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn taken(&self) -> DeliveriesInFlight {
        self.change(|under_way| under_way.clone())
    }

    fn take(&self, delivery: &Delivery) -> Place {
        self.change(|under_way| under_way.add(delivery));
        Place { places: self.clone(), delivery: delivery.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.change(|under_way| under_way.remove(&self.delivery));
    }
}

async fn deliver(app: App, config: WebhookConfig, poster: Poster, delivery: Delivery) {
    let answer = match body(&delivery) {
        Ok(body) => {
            let id = delivery.id();
            let sent_at = OffsetDateTime::now_utc().unix_timestamp();
            let signature = config.secrets.sign(&id, sent_at, &body);
            poster.post(delivery.url.clone(), id, sent_at, signature, body).await
        }
        Err(err) => Answer::Refused(err.to_string()),
    };
    let (outcome, settled) = judge(&config, &delivery, &answer);
    metrics::counter!("unflatten_webhook_attempts_total", "outcome" => outcome).increment(1);
    match outcome {
        "delivered" => tracing::debug!(delivery = delivery.id(), "posted a webhook"),
        "retried" => {
            tracing::info!(delivery = delivery.id(), attempt = delivery.attempt, why = %answer, "a webhook is tried again")
        }
        _ => {
            tracing::warn!(delivery = delivery.id(), attempt = delivery.attempt, why = %answer, "a webhook is given up")
        }
    }
    if let Err(err) = app.broker.settle_delivery(&delivery, settled).await {
        // It is posted again when its lease ends; the receiver tells a repeat by its id.
        tracing::warn!(delivery = delivery.id(), error = %err, "it could not be recorded how a webhook went");
    }
}

fn body(delivery: &Delivery) -> serde_json::Result<String> {
    let event = &delivery.event;
    let links = Links::of(event.job_id, delivery.upload_id);
    let value = serde_json::to_value(&event.kind)?;
    let kind = format!("job.{}", value["type"].as_str().unwrap_or_default());
    serde_json::to_string(&Body { kind, timestamp: event.at, data: Data { event, links } })
}

fn judge(config: &WebhookConfig, delivery: &Delivery, answer: &Answer) -> (&'static str, DeliveryOutcome) {
    match answer {
        Answer::Taken => ("delivered", DeliveryOutcome::Done),
        Answer::Refused(_) => ("refused", DeliveryOutcome::Done),
        Answer::Failed { .. } if delivery.attempt >= config.attempts => ("given_up", DeliveryOutcome::Done),
        Answer::Failed { retry_after, .. } => {
            let wait = retry_after.unwrap_or_default().max(backoff(config.retry, delivery.attempt));
            ("retried", DeliveryOutcome::RetryIn(wait.min(LONGEST_WAIT)))
        }
    }
}

/// The wait after an attempt, spread by a fifth so that what failed together does not come back together.
fn backoff(first: Duration, attempt: u32) -> Duration {
    let factor = 4_u32.saturating_pow(attempt.saturating_sub(1).min(15));
    first.saturating_mul(factor).min(LONGEST_WAIT).mul_f64(rand::random_range(1.0..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let first = Duration::from_secs(5);
        for (attempt, least, most) in [(1, 5, 6), (2, 20, 24), (3, 80, 96), (40, 21600, 25920)] {
            let wait = backoff(first, attempt);
            assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&wait), "{attempt}: {wait:?}");
        }
    }
}
