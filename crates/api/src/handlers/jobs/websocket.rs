//! A job's events on a WebSocket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use jobs::{BrokerError, Update};
use tracing::Instrument;
use uuid::Uuid;

use super::events::{PING_EVERY, StreamGauge, frame_json};
use crate::state::App;

/// A peer that has not answered a ping for so long is gone.
const SILENCE: Duration = Duration::from_secs(70);

/// How long a peer has to answer our close frame.
const GOODBYE: Duration = Duration::from_secs(2);

/// Bytes that are read at once from a peer, which sends little. Each socket holds a buffer of this size while it is open.
const READ_BUFFER: usize = 1 << 10;

/// The most updates that are sent together.
const AT_ONCE: usize = 32;

/// Frames up to this many bytes are written together, to save system calls.
const WRITE_BUFFER: usize = 4 << 10;

/// The longest message that a peer may send.
const MAX_MESSAGE: usize = 4 << 10;

/// Bytes that may wait to be sent to a peer. Events are far smaller; a socket with more to send is closed.
const MAX_UNSENT: usize = 1 << 20;

/// The close code when a job was removed: like the 404 that a new connection would get.
const REMOVED: u16 = 4404;

/// Answers an upgrade with the events of the job `id` above `after`.
pub(crate) fn follow(app: App, id: Uuid, after: u64, upgrade: WebSocketUpgrade) -> Response {
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
                    let _gauge = StreamGauge::new("websocket");
                    serve(&app, id, after, socket).await;
                }
                .instrument(span),
            )
        })
}

async fn serve(app: &App, id: Uuid, after: u64, mut socket: WebSocket) {
    let (code, reason) = match send_updates(app, id, after, &mut socket).await {
        StreamEnd::Over => (close_code::NORMAL, "the job is over"),
        StreamEnd::Removed => (REMOVED, "the job was removed"),
        StreamEnd::ShuttingDown => (close_code::RESTART, "the server is shutting down; connect again"),
        StreamEnd::Failed => (close_code::ERROR, "the queue cannot be read; connect again"),
        StreamEnd::Gone => return,
    };
    let frame = CloseFrame { code, reason: reason.into() };
    let goodbye = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // The peer answers with a close frame of its own; leaving earlier can lose our last frames.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// Why no more frames are sent.
enum StreamEnd {
    Over,
    Removed,
    ShuttingDown,
    Failed,
    /// The peer has left.
    Gone,
}

async fn send_updates(app: &App, id: Uuid, after: u64, socket: &mut WebSocket) -> StreamEnd {
    let updates = app.feed.follow(id, after);
    let stopping = app.shutdown.cancelled();
    tokio::pin!(updates, stopping);
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut last_heard = Instant::now();
    loop {
        let mut messages = Vec::new();
        let mut end = None;
        tokio::select! {
            update = updates.next() => end = add_update(update, id, &mut messages),
            received = socket.recv() => match received {
                Some(Ok(message)) if !matches!(message, Message::Close(_)) => {
                    last_heard = Instant::now();
                    continue;
                }
                _ => return StreamEnd::Gone,
            },
            _ = ping.tick() => {
                if last_heard.elapsed() > SILENCE {
                    return StreamEnd::Gone;
                }
                messages.push(Message::Ping(bytes::Bytes::new()));
            }
            () = &mut stopping => return StreamEnd::ShuttingDown,
        }
        // Further updates that are due are sent with it.
        while end.is_none()
            && messages.len() < AT_ONCE
            && let Some(update) = updates.next().now_or_never()
        {
            end = add_update(update, id, &mut messages);
        }
        let mut due = stream::iter(messages.into_iter().map(Ok));
        let sent = tokio::select! {
            sent = tokio::time::timeout(SILENCE, socket.send_all(&mut due)) => sent,
            () = &mut stopping => return StreamEnd::ShuttingDown,
        };
        // A peer that reads nothing for so long is gone.
        if !matches!(sent, Ok(Ok(()))) {
            return StreamEnd::Gone;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Adds the message for an update; `Some` when nothing comes after it.
fn add_update(
    update: Option<Result<Update, Arc<BrokerError>>>,
    id: Uuid,
    messages: &mut Vec<Message>,
) -> Option<StreamEnd> {
    match update {
        Some(Ok(update)) => match frame_json(&update, id) {
            Ok(text) => {
                messages.push(Message::Text(text.into()));
                matches!(update, Update::Removed).then_some(StreamEnd::Removed)
            }
            Err(_) => Some(StreamEnd::Failed),
        },
        Some(Err(err)) => {
            tracing::warn!(error = %err, "a live stream broke off");
            Some(StreamEnd::Failed)
        }
        None => Some(StreamEnd::Over),
    }
}
