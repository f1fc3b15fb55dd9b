//! Posts the events of jobs to the addresses that their clients named.
//!
//! The queue holds the deliveries, written in the same step as their events. Each API process claims deliveries that are
//! due under a lease, so that only one of several processes posts each, and another takes over when a process dies.
//! Bodies and signatures are those of Standard Webhooks.

mod connect;
mod post;
mod retry;
mod signature;
pub(crate) mod ssrf_guard;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs::{DeliveriesInFlight, Delivery, Event};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::post::{PostOutcome, Poster};
use self::retry::next_step;
use crate::config::WebhookConfig;
use crate::http::links::Links;
use crate::state::App;

/// The most posts at once. A receiver, and a client, can only use some of them: see [`DeliveriesInFlight`].
const PARALLEL: usize = 32;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long open posts may take when the service stops; another process repeats the rest.
const GRACE: Duration = Duration::from_secs(10);

/// The body of a post.
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

/// Posts deliveries that are due until the service stops.
pub(crate) async fn run(app: App) {
    let Some(config) = app.config.webhooks.clone() else { return };
    let poster = Poster::new(config.allow_private);
    let mut posts = JoinSet::new();
    let under_way = PostsInFlight::default();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            // Once a post has ended, there may be more to claim than fitted in before.
            Some(_) = posts.join_next() => {}
            () = app.shutdown.cancelled() => break,
        }
        let free = PARALLEL.saturating_sub(posts.len());
        if free == 0 {
            continue;
        }
        match app.broker.claim_deliveries(free, &under_way.snapshot()).await {
            Ok(due) => {
                for delivery in due {
                    let guard = under_way.add(&delivery);
                    let post = deliver(app.clone(), config.clone(), poster.clone(), delivery);
                    posts.spawn(async move {
                        post.await;
                        drop(guard);
                    });
                }
            }
            Err(err) => tracing::warn!(error = %err, "the webhooks that are due could not be read; retrying"),
        }
    }
    let _ = timeout(GRACE, async { while posts.join_next().await.is_some() {} }).await;
}

/// The posts of this process that have not ended.
#[derive(Debug, Clone, Default)]
struct PostsInFlight(Arc<Mutex<DeliveriesInFlight>>);

/// One of the posts, which ends when this is dropped.
struct PostGuard {
    posts: PostsInFlight,
    delivery: Delivery,
}

impl PostsInFlight {
    fn change<T>(&self, change: impl FnOnce(&mut DeliveriesInFlight) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn snapshot(&self) -> DeliveriesInFlight {
        self.change(|under_way| under_way.clone())
    }

    fn add(&self, delivery: &Delivery) -> PostGuard {
        self.change(|under_way| under_way.add(delivery));
        PostGuard { posts: self.clone(), delivery: delivery.clone() }
    }
}

impl Drop for PostGuard {
    fn drop(&mut self) {
        self.posts.change(|under_way| under_way.remove(&self.delivery));
    }
}

async fn deliver(app: App, config: WebhookConfig, poster: Poster, delivery: Delivery) {
    let outcome = match body(&app.config.base_path, &delivery) {
        Ok(body) => {
            let id = delivery.id();
            let sent_at = OffsetDateTime::now_utc().unix_timestamp();
            let signature = signature::sign(&config.secrets, &id, sent_at, &body);
            poster.post(&delivery.url, &id, sent_at, &signature, body).await
        }
        Err(err) => PostOutcome::Rejected(err.to_string()),
    };
    let (label, settled) = next_step(&config, delivery.attempt, &outcome);
    metrics::counter!("unflatten_webhook_attempts_total", "outcome" => label).increment(1);
    match label {
        "delivered" => tracing::debug!(delivery = delivery.id(), "posted a webhook"),
        "retried" => {
            tracing::info!(delivery = delivery.id(), attempt = delivery.attempt, why = %outcome, "a webhook could not be posted; retrying")
        }
        _ => {
            tracing::warn!(delivery = delivery.id(), attempt = delivery.attempt, why = %outcome, "a webhook could not be posted; giving up")
        }
    }
    if let Err(err) = app.broker.settle_delivery(&delivery, settled).await {
        // It is posted again when its lease ends; the receiver recognises the repeat by its id.
        tracing::warn!(delivery = delivery.id(), error = %err, "the outcome of a webhook could not be recorded");
    }
}

fn body(prefix: &str, delivery: &Delivery) -> serde_json::Result<String> {
    let event = &delivery.event;
    let links = Links::under(prefix, event.job_id, delivery.upload_id);
    let value = serde_json::to_value(&event.kind)?;
    let kind = format!("job.{}", value["type"].as_str().unwrap_or_default());
    serde_json::to_string(&Body { kind, timestamp: event.at, data: Data { event, links } })
}
