//! Posting a job's events to an address that its client chose.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Event, EventKind, JobId};

/// Where a job's events are posted to, and which events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub url: String,
    pub events: Vec<WebhookEvent>,
}

/// The events that can be posted. Progress and notes are not among them; for these a client follows the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    Queued,
    Started,
    Requeued,
    CancelRequested,
    Succeeded,
    Failed,
    Cancelled,
}

impl WebhookEvent {
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Started,
        Self::Requeued,
        Self::CancelRequested,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The ways in which a job ends: the default.
    pub const ENDS: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in JSON, which is also the event's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Requeued => "requeued",
            Self::CancelRequested => "cancel_requested",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::Queued => Self::Queued,
            EventKind::Started { .. } => Self::Started,
            EventKind::Requeued { .. } => Self::Requeued,
            EventKind::CancelRequested => Self::CancelRequested,
            EventKind::Succeeded { .. } => Self::Succeeded,
            EventKind::Failed { .. } => Self::Failed,
            EventKind::Cancelled => Self::Cancelled,
            EventKind::Progress(_) | EventKind::Note { .. } => return None,
        })
    }
}

impl Webhook {
    /// Whether to post `kind`.
    pub fn wants(&self, kind: &EventKind) -> bool {
        WebhookEvent::of(kind).is_some_and(|event| self.events.contains(&event))
    }
}

/// One event on its way to one webhook. Self-contained, because it may outlive its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub event: Event,
    pub upload_id: Uuid,
    pub url: String,
    /// How often it was taken, including this time.
    pub attempt: u32,
    /// The job's client, in the queue's own form.
    #[serde(default)]
    pub client: String,
}

impl Delivery {
    /// The id, the same at each attempt, so that a receiver can recognize a repeat.
    pub fn id(&self) -> String {
        delivery_id(self.event.job_id, self.event.seq)
    }

    pub fn at(&self) -> OffsetDateTime {
        self.event.at
    }

    /// Scheme, host and port of the webhook.
    pub fn receiver(&self) -> &str {
        receiver_of(&self.url)
    }
}

/// Scheme, host and port of an address.
pub(crate) fn receiver_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| start + at);
    url.get(..end).unwrap_or(url)
}

/// How many clients, and receivers of a client, a search for deliveries considers. More than can be at their limit at
/// once, so that these do not hide the others.
pub(crate) const CANDIDATES: usize = 64;

/// The number of deliveries that a process is posting, per client and per receiver. A slow receiver, or a client with many
/// deliveries, must not use up the capacity of the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DeliveriesInFlight {
    clients: HashMap<String, usize>,
    receivers: HashMap<String, usize>,
}

impl DeliveriesInFlight {
    /// The limit per receiver (scheme, host and port).
    pub const PER_RECEIVER: usize = 4;
    /// The limit per client.
    pub const PER_CLIENT: usize = 8;

    /// Adds a delivery that is about to be posted.
    pub fn add(&mut self, delivery: &Delivery) {
        *self.clients.entry(delivery.client.clone()).or_default() += 1;
        *self.receivers.entry(delivery.receiver().to_owned()).or_default() += 1;
    }

    /// Removes a delivery that was posted.
    pub fn remove(&mut self, delivery: &Delivery) {
        for (counts, key) in
            [(&mut self.clients, delivery.client.as_str()), (&mut self.receivers, receiver_of(&delivery.url))]
        {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }

    pub(crate) fn has_room_for_client(&self, client: &str) -> bool {
        self.clients.get(client).is_none_or(|count| *count < Self::PER_CLIENT)
    }

    pub(crate) fn has_room_for_receiver(&self, receiver: &str) -> bool {
        self.receivers.get(receiver).is_none_or(|count| *count < Self::PER_RECEIVER)
    }
}

pub(crate) fn delivery_id(job: JobId, seq: u64) -> String {
    format!("{job}.{seq}")
}

/// How an attempt to post a [`Delivery`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It arrived or is given up.
    Done,
    /// It did not arrive; retry after this time.
    RetryIn(std::time::Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_what_comes_before_the_path() {
        for (url, receiver) in [
            ("https://example.org/hook?a=/b", "https://example.org"),
            ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
            ("http://[::1]:9?x", "http://[::1]:9"),
            ("https://example.org", "https://example.org"),
            ("nonsense", "nonsense"),
            ("", ""),
        ] {
            assert_eq!(receiver_of(url), receiver);
        }
    }

    #[test]
    fn the_names_are_those_of_the_events() {
        let failure = crate::Failure { code: crate::FailureCode::TimedOut, message: String::new() };
        let kinds = [
            EventKind::Queued,
            EventKind::requeued("".into()),
            EventKind::CancelRequested,
            EventKind::Succeeded { layers: 1 },
            EventKind::Failed { error: failure },
            EventKind::Cancelled,
        ];
        for kind in kinds {
            let event = WebhookEvent::of(&kind).expect("it can be posted");
            assert_eq!(serde_json::to_value(&kind).expect("JSON")["type"], event.as_str());
            assert_eq!(serde_json::to_value(event).expect("JSON"), event.as_str());
        }
    }
}
