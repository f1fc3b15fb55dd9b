//! A job's events while they happen: the frames that followers are sent, and Server-Sent Events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use jobs::{Event, Update};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{JobId, Query};
use crate::memory;
use crate::state::App;

/// Shorter than the idle limits of common proxies (60 s).
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AfterQuery {
    /// Only events with a greater number: the last one that you saw.
    #[serde(default)]
    pub after: u64,
}

/// A message to a follower.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Frame {
    #[allow(dead_code, reason = "described here; the JSON of an event is made once for all of its followers")]
    Event(Event),
    /// The job's place in the queue changed; 0 is next. Not numbered, not replayed.
    Position(Position),
    Removed(RemovedFrame),
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Position {
    #[serde(rename = "type")]
    kind: PositionType,
    position: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PositionType {
    Position,
}

/// The job is gone without a last event: it was deleted, or the queue has lost it. Not numbered, not replayed; nothing
/// comes after it, and a new connection is answered 404.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Removed)]
pub(crate) struct RemovedFrame {
    #[serde(rename = "type")]
    kind: RemovedType,
    job_id: Uuid,
    /// In words.
    message: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RemovedType {
    Removed,
}

/// One of the Server-Sent Events, by its fields.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the stream is made of")]
pub(crate) struct SseMessage {
    /// The number of the event; absent for what is not numbered.
    id: Option<String>,
    /// A `Frame` as JSON.
    data: String,
}

/// An update of the job `id` as JSON.
pub(crate) fn frame_json(update: &Update, id: Uuid) -> Result<String, serde_json::Error> {
    match update {
        Update::Event(event) => Ok(event.json.clone()),
        Update::Position(position) => {
            serde_json::to_string(&Frame::Position(Position { kind: PositionType::Position, position: *position }))
        }
        Update::Removed => serde_json::to_string(&Frame::Removed(RemovedFrame {
            kind: RemovedType::Removed,
            job_id: id,
            message: "the job was removed: it was deleted, or the queue has lost it; start it again if you still want it",
        })),
    }
}

/// Counts a stream in `/metrics` while it lives.
pub(crate) struct StreamGauge(&'static str);

impl StreamGauge {
    pub(crate) fn new(kind: &'static str) -> Self {
        metrics::gauge!("unflatten_live_streams", "kind" => kind).increment(1);
        Self(kind)
    }
}

impl Drop for StreamGauge {
    fn drop(&mut self) {
        metrics::gauge!("unflatten_live_streams", "kind" => self.0).decrement(1);
        memory::stream_ended();
    }
}

/// The events that come, or none because the client has seen all of them.
pub(crate) enum EventsAnswer {
    Stream(BoxStream<'static, Result<sse::Event, Infallible>>),
    Over,
}

impl IntoResponse for EventsAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Stream(events) => {
                // Keeps nginx and similar proxies from holding events back until a buffer is full.
                let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
                (unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(PING_EVERY))).into_response()
            }
            Self::Over => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

/// A job's events as Server-Sent Events
///
/// `data` is an `Event` as JSON, `id` its number: an `EventSource` that connects again goes on where it was. While the
/// job waits in the queue there are also events `{"type":"position","position":2}` without a number. Ends after the last
/// event, and after `{"type":"removed",...}` when the job is gone without one. Asked again from there on it answers 204
/// or 404, which tell an `EventSource` to stop.
#[utoipa::path(
    get, path = "/api/jobs/{id}/events", operation_id = "follow_job", tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The job"),
        AfterQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "Like `after`, which it overrules"),
    ),
    responses(
        (status = 200, description = "The events", body = SseMessage, content_type = "text/event-stream"),
        (status = 204, description = "The job is over and all its events are known"),
        (status = 400, description = "`after` or `Last-Event-ID` is not a number", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    JobId(id): JobId,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<EventsAnswer, Error> {
    let after = match headers
        .get("last-event-id")
        .map(|value| value.to_str().ok().and_then(|text| text.trim().parse().ok()))
    {
        Some(Some(number)) => number,
        Some(None) => {
            return Err(Error::bad_request("invalid_last_event_id", "Last-Event-ID must be the number of an event"));
        }
        None => query.after,
    };
    let job = app.broker.job(id).await?.ok_or_else(Error::job_not_found)?;
    if job.state.is_terminal() && job.seq <= after {
        return Ok(EventsAnswer::Over);
    }
    Ok(EventsAnswer::Stream(sse_events(&app, id, after).boxed()))
}

fn sse_events(app: &App, id: Uuid, after: u64) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + use<> {
    let gauge = StreamGauge::new("sse");
    app.feed
        .follow(id, after)
        .take_while(|update| {
            if let Err(err) = update {
                // Ends the stream; the client connects again from its last number.
                tracing::warn!(error = %err, "a live stream broke off");
            }
            std::future::ready(update.is_ok())
        })
        .filter_map(move |update| {
            // The gauge lives as long as the stream.
            let _ = &gauge;
            std::future::ready(update.ok().and_then(|update| sse_event(&update, id)).map(Ok))
        })
        .take_until(app.shutdown.clone().cancelled_owned())
}

fn sse_event(update: &Update, id: Uuid) -> Option<sse::Event> {
    let event = sse::Event::default().data(frame_json(update, id).ok()?);
    Some(match update {
        Update::Event(numbered) => event.id(numbered.event.seq.to_string()),
        Update::Position(_) | Update::Removed => event,
    })
}
