//! A job's events while they happen, as a WebSocket and as Server-Sent Events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, SinkExt, Stream, StreamExt, stream};
use jobs::{BrokerError, Event, Update};
use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Error, ErrorBody};
use crate::extract::{JobId, Query};
use crate::memory;
use crate::status::AfterQuery;

/// Shorter than the idle limits of common proxies (60 s).
const PING_EVERY: Duration = Duration::from_secs(20);

/// A peer that has answered no ping for so long is gone.
const SILENCE: Duration = Duration::from_secs(70);

/// How long a peer has to answer our close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// Bytes that are read at once from a peer, of which nothing of size is expected. Each socket holds a buffer of this
/// size as long as it lives.
const READ_BUFFER: usize = 1 << 10;

/// Updates that are sent together at most, where several are due.
const AT_ONCE: usize = 32;

/// Frames up to this many bytes go out together, where several are due: each write costs a call of the system.
const WRITE_BUFFER: usize = 4 << 10;

/// The longest message of a peer that is taken.
const MAX_MESSAGE: usize = 4 << 10;

/// Bytes that wait to be sent to a peer. No event is near to it; a socket that has more to send is broken off.
const MAX_UNSENT: usize = 1 << 20;

/// The close code of a job that was removed, after the status with which a new connection is refused.
const REMOVED: u16 = 4404;

/// What a follower is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Frame {
    #[allow(dead_code, reason = "described here; the JSON of an event is made once for all of its followers")]
    Event(Event),
    /// The job's place in the queue changed; 0 is next. Not numbered, not replayed.
    Position(Position),
    Removed(Removed),
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Position {
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
pub struct Removed {
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

/// An update of the job `id` as JSON.
fn json(update: &Update, id: Uuid) -> Result<String, serde_json::Error> {
    match update {
        Update::Event(event) => Ok(event.json.clone()),
        Update::Position(position) => {
            serde_json::to_string(&Frame::Position(Position { kind: PositionType::Position, position: *position }))
        }
        Update::Removed => serde_json::to_string(&Frame::Removed(Removed {
            kind: RemovedType::Removed,
            job_id: id,
            message: "the job was removed: it was deleted, or the queue has lost it; start it again if it is still wanted",
        })),
    }
}

/// Counts a stream in `/metrics` while it lives.
struct Counted(&'static str);

impl Counted {
    fn new(kind: &'static str) -> Self {
        metrics::gauge!("unflatten_live_streams", "kind" => kind).increment(1);
        Self(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("unflatten_live_streams", "kind" => self.0).decrement(1);
        memory::stream_ended();
    }
}

/// Answers an upgrade with the events of the job `id` above `after`.
pub fn websocket(app: App, id: Uuid, after: u64, upgrade: WebSocketUpgrade) -> Response {
    let span = tracing::info_span!("websocket", job_id = %id);
    let sockets = app.sockets.clone();
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_UNSENT)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| {
            sockets.track_future(
                async move {
                    let _counted = Counted::new("websocket");
                    serve(&app, id, after, socket).await;
                }
                .instrument(span),
            )
        })
}

async fn serve(app: &App, id: Uuid, after: u64, mut socket: WebSocket) {
    let (code, reason) = match send_updates(app, id, after, &mut socket).await {
        End::Over => (close_code::NORMAL, "the job is over"),
        End::Removed => (REMOVED, "the job was removed"),
        End::ShuttingDown => (close_code::RESTART, "the server stops; connect again"),
        End::Failed => (close_code::ERROR, "the queue cannot be read; connect again"),
        End::Gone => return,
    };
    let frame = CloseFrame { code, reason: reason.into() };
    let goodbye = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // The peer answers with a close of its own; leaving earlier can lose our last frames.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// Why no more frames are sent.
enum End {
    Over,
    Removed,
    ShuttingDown,
    Failed,
    /// The peer has left.
    Gone,
}

async fn send_updates(app: &App, id: Uuid, after: u64, socket: &mut WebSocket) -> End {
    let updates = app.feed.follow(id, after);
    let stopping = app.shutdown.cancelled();
    tokio::pin!(updates, stopping);
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut last_heard = Instant::now();
    loop {
        let mut messages = Vec::new();
        let mut end = None;
        tokio::select! {
            update = updates.next() => end = take_update(update, id, &mut messages),
            received = socket.recv() => match received {
                Some(Ok(message)) if !matches!(message, Message::Close(_)) => {
                    last_heard = Instant::now();
                    continue;
                }
                _ => return End::Gone,
            },
            _ = ping.tick() => {
                if last_heard.elapsed() > SILENCE {
                    return End::Gone;
                }
                messages.push(Message::Ping(bytes::Bytes::new()));
            }
            () = &mut stopping => return End::ShuttingDown,
        }
        // What else is due goes out with it.
        while end.is_none()
            && messages.len() < AT_ONCE
            && let Some(update) = updates.next().now_or_never()
        {
            end = take_update(update, id, &mut messages);
        }
        let mut due = stream::iter(messages.into_iter().map(Ok));
        let sent = tokio::select! {
            sent = tokio::time::timeout(SILENCE, socket.send_all(&mut due)) => sent,
            () = &mut stopping => return End::ShuttingDown,
        };
        // A peer that reads nothing for so long is as good as gone.
        if !matches!(sent, Ok(Ok(()))) {
            return End::Gone;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Adds what an update sends; says when nothing comes after it.
fn take_update(update: Option<Result<Update, Arc<BrokerError>>>, id: Uuid, messages: &mut Vec<Message>) -> Option<End> {
    match update {
        Some(Ok(update)) => match json(&update, id) {
            Ok(text) => {
                messages.push(Message::Text(text.into()));
                matches!(update, Update::Removed).then_some(End::Removed)
            }
            Err(_) => Some(End::Failed),
        },
        Some(Err(err)) => {
            tracing::warn!(error = %err, "a live stream broke off");
            Some(End::Failed)
        }
        None => Some(End::Over),
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
        (status = 200, description = "The events", body = Frame, content_type = "text/event-stream"),
        (status = 204, description = "The job is over and all its events are known"),
        (status = 400, description = "`after` or `Last-Event-ID` is not a number", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub async fn events(
    State(app): State<App>,
    JobId(id): JobId,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let after = match headers
        .get("last-event-id")
        .map(|value| value.to_str().ok().and_then(|text| text.trim().parse().ok()))
    {
        Some(Some(number)) => number,
        Some(None) => return Err(Error::bad_request("invalid_last_event_id", "Last-Event-ID is an event's number")),
        None => query.after(),
    };
    let job = app.broker.job(id).await?.ok_or_else(Error::job_not_found)?;
    if job.state.is_terminal() && job.seq <= after {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // nginx and its like otherwise hold events back until a buffer is full.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let events = sse_events(&app, id, after);
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(PING_EVERY))).into_response())
}

fn sse_events(app: &App, id: Uuid, after: u64) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + use<> {
    let counted = Counted::new("sse");
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
            // It lives as long as the stream does.
            let _ = &counted;
            std::future::ready(update.ok().and_then(|update| sse_event(&update, id)).map(Ok))
        })
        .take_until(app.shutdown.clone().cancelled_owned())
}

fn sse_event(update: &Update, id: Uuid) -> Option<sse::Event> {
    let event = sse::Event::default().data(json(update, id).ok()?);
    Some(match update {
        Update::Event(numbered) => event.id(numbered.event.seq.to_string()),
        Update::Position(_) | Update::Removed => event,
    })
}
