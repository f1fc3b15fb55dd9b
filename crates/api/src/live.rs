//! A job's events while they happen, as a WebSocket and as Server-Sent Events.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use jobs::{BrokerError, Event, EventKind, Job};
use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, ErrorBody};
use crate::extract::{JobId, Query};
use crate::status::AfterQuery;

/// How often a waiting job's place in the queue is looked up.
const POSITION_EVERY: Duration = Duration::from_secs(2);

/// Shorter than the idle limits of common proxies (60 s).
const PING_EVERY: Duration = Duration::from_secs(20);

/// A peer that has answered no ping for so long is gone.
const SILENCE: Duration = Duration::from_secs(70);

/// What a listener is sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Frame {
    Event(Event),
    /// The job's place in the queue changed; 0 is next. Not numbered, not replayed.
    Position(Position),
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Position {
    #[serde(rename = "type")]
    kind: PositionType,
    position: u64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PositionType {
    Position,
}

/// Events above `after`, and places in the queue while the job waits; ends after the last event.
fn frames(app: App, job: Job, after: u64) -> impl Stream<Item = Result<Frame, BrokerError>> + Send {
    async_stream::try_stream! {
        let events = jobs::follow(app.broker.clone(), job.id, after);
        tokio::pin!(events);
        // With events still to replay, those say whether it waits.
        let mut waits = job.state == jobs::State::Queued && job.seq <= after;
        let mut shown = None;
        let mut tick = tokio::time::interval(POSITION_EVERY);
        loop {
            let next = tokio::select! {
                event = events.next() => match event {
                    Some(event) => Next::Event(event),
                    None => return,
                },
                _ = tick.tick(), if waits => Next::Look,
            };
            match next {
                Next::Event(event) => {
                    let event = event?;
                    waits = match event.kind {
                        EventKind::Queued | EventKind::Requeued { .. } => true,
                        EventKind::Note { .. } => waits,
                        _ => false,
                    };
                    if waits {
                        tick.reset_immediately();
                    }
                    yield Frame::Event(event);
                }
                Next::Look => {
                    let position = app.broker.job(job.id).await?.and_then(|job| job.position);
                    if let Some(position) = position && shown != Some(position) {
                        shown = Some(position);
                        yield Frame::Position(Position { kind: PositionType::Position, position });
                    }
                }
            }
        }
    }
}

/// What wakes a listener's stream.
enum Next {
    Event(Result<Event, BrokerError>),
    /// Time to look up the place in the queue.
    Look,
}

/// Answers an upgrade with the job's frames.
pub fn websocket(app: App, job: Job, after: u64, upgrade: WebSocketUpgrade) -> Response {
    let span = tracing::info_span!("websocket", job_id = %job.id);
    let sockets = app.sockets.clone();
    // Nothing of size is expected from the other side.
    upgrade.max_message_size(4 << 10).max_frame_size(4 << 10).on_upgrade(move |socket| {
        sockets.track_future(
            async move {
                metrics::gauge!("unflatten_live_streams", "kind" => "websocket").increment(1);
                serve(&app, job, after, socket).await;
                metrics::gauge!("unflatten_live_streams", "kind" => "websocket").decrement(1);
            }
            .instrument(span),
        )
    })
}

async fn serve(app: &App, job: Job, after: u64, mut socket: WebSocket) {
    let (code, reason) = match send_frames(app, job, after, &mut socket).await {
        End::Over => (close_code::NORMAL, "the job is over"),
        End::ShuttingDown => (close_code::RESTART, "the server stops; connect again"),
        End::Failed => (close_code::ERROR, "the queue cannot be read; connect again"),
        End::Gone => return,
    };
    let frame = CloseFrame { code, reason: reason.into() };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        // The peer answers with a close of its own; leaving earlier can lose our last frames.
        let goodbye = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}

/// Why no more frames are sent.
enum End {
    Over,
    ShuttingDown,
    Failed,
    /// The peer has left.
    Gone,
}

async fn send_frames(app: &App, job: Job, after: u64, socket: &mut WebSocket) -> End {
    let frames = frames(app.clone(), job, after);
    tokio::pin!(frames);
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut last_heard = Instant::now();
    loop {
        let message = tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(frame)) => match serde_json::to_string(&frame) {
                    Ok(text) => Message::Text(text.into()),
                    Err(_) => return End::Failed,
                },
                Some(Err(err)) => {
                    tracing::error!(error = %err, "a live stream broke off");
                    return End::Failed;
                }
                None => return End::Over,
            },
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
                Message::Ping(bytes::Bytes::new())
            }
            () = app.shutdown.cancelled() => return End::ShuttingDown,
        };
        // A peer that reads nothing for so long is as good as gone.
        match tokio::time::timeout(SILENCE, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return End::Gone,
        }
    }
}

/// A job's events as Server-Sent Events
///
/// `data` is an `Event` as JSON, `id` its number: an `EventSource` that connects again goes on where it was. Ends
/// after the last event; asked again from there on it answers 204, which tells an `EventSource` to stop.
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
    let shutdown = app.shutdown.clone().cancelled_owned();
    let events = frames(app, job, after)
        .take_while(|frame| {
            if let Err(err) = frame {
                // Ends the stream; the client connects again from its last number.
                tracing::error!(error = %err, "a live stream broke off");
            }
            std::future::ready(frame.is_ok())
        })
        .filter_map(|frame| std::future::ready(frame.ok().and_then(|frame| sse_event(&frame))))
        .map(Ok::<_, Infallible>)
        .take_until(shutdown);
    // nginx and its like otherwise hold events back until a buffer is full.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(PING_EVERY))).into_response())
}

fn sse_event(frame: &Frame) -> Option<sse::Event> {
    let event = sse::Event::default().json_data(frame).ok()?;
    Some(match frame {
        Frame::Event(numbered) => event.id(numbered.seq.to_string()),
        Frame::Position(_) => event,
    })
}
