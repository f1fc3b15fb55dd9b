//! The options of a job: its priority and its webhook.

use jobs::{Priority, Webhook, WebhookEvent};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Ref, Schema, SchemaFormat, SchemaType, Type};

use crate::config::Config;
use crate::http::error::Error;
use crate::webhooks::ssrf_guard::check_url;

const PRIORITY: &str = "priority";
const WEBHOOK_URL: &str = "webhook_url";
const WEBHOOK_EVENTS: &str = "webhook_events";

/// The fields that [`JobOptions::extract`] reads.
pub(crate) const OPTIONS: [&str; 3] = [PRIORITY, WEBHOOK_URL, WEBHOOK_EVENTS];

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct JobOptions {
    pub priority: Priority,
    pub webhook: Option<Webhook>,
}

impl JobOptions {
    /// Removes the options from the fields of a request and reads them.
    pub(crate) fn extract(fields: &mut Map<String, Value>, config: &Config, highest: Priority) -> Result<Self, Error> {
        let priority = match fields.remove(PRIORITY) {
            Some(value) => text(PRIORITY, value)?.parse()?,
            None => Priority::default().min(highest),
        };
        if priority > highest {
            let message = format!("priority is at most {highest} here");
            return Err(invalid(message));
        }
        let events = fields.remove(WEBHOOK_EVENTS).map(events).transpose()?;
        let Some(url) = fields.remove(WEBHOOK_URL) else {
            return match events {
                Some(_) => Err(invalid("webhook_events needs a webhook_url to post them to".to_owned())),
                None => Ok(Self { priority, webhook: None }),
            };
        };
        let Some(webhooks) = &config.webhooks else {
            let message = "webhooks are off here; the operator can turn them on with WEBHOOK_SECRET";
            return Err(Error::unprocessable("webhooks_off", message));
        };
        let url = text(WEBHOOK_URL, url)?;
        let url = check_url(&url, webhooks.allow_private).map_err(|err| invalid(format!("webhook_url {err}")))?;
        let events = events.unwrap_or_else(|| WebhookEvent::ENDS.to_vec());
        Ok(Self { priority, webhook: Some(Webhook { url: url.into(), events }) })
    }

    /// The options in the API's description.
    pub(crate) fn properties() -> Vec<(&'static str, RefOr<Schema>)> {
        let url = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .description(Some(
                "Where the job's events are posted to, signed as Standard Webhooks are. An https:// address in the \
                 public Internet.",
            ));
        let events =
            ArrayBuilder::new().items(Ref::from_schema_name(WebhookEvent::name())).min_items(Some(1)).description(
                Some("Which events; absent: succeeded, failed and cancelled. In a form, separated by commas."),
            );
        vec![
            (PRIORITY, Ref::from_schema_name(Priority::name()).into()),
            (WEBHOOK_URL, url.build().into()),
            (WEBHOOK_EVENTS, events.build().into()),
        ]
    }
}

fn events(value: Value) -> Result<Vec<WebhookEvent>, Error> {
    let names = match value {
        Value::Array(names) => {
            names.into_iter().map(|name| text(WEBHOOK_EVENTS, name)).collect::<Result<Vec<_>, _>>()?
        }
        value => text(WEBHOOK_EVENTS, value)?.split(',').map(str::to_owned).collect(),
    };
    let mut events = Vec::new();
    for name in names {
        let event = WebhookEvent::ALL.into_iter().find(|event| event.as_str() == name.trim()).ok_or_else(|| {
            let known: Vec<_> = WebhookEvent::ALL.iter().map(|event| event.as_str()).collect();
            let shown: String = name.chars().take(60).collect();
            invalid(format!(
                "webhook_events lists \"{shown}\", which is not a known event; known events: {}",
                known.join(", ")
            ))
        })?;
        if !events.contains(&event) {
            events.push(event);
        }
    }
    if events.is_empty() {
        Err(invalid("webhook_events is empty; leave it out to get the last event of the job".to_owned()))
    } else {
        Ok(events)
    }
}

fn text(name: &str, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(invalid(format!("{name} must be text"))),
    }
}

fn invalid(message: String) -> Error {
    Error::unprocessable("invalid_parameter", message)
}
