//! The answer as Server-Sent Events: comments while the job waits and runs, then a picture with each event.

use std::time::Duration;

use async_stream::try_stream;
use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval_at};

use super::images::{Waiting, finished, picture_json};
use crate::http::error::Error;
use crate::state::App;

/// Proxies cut answers in which nothing moves, some after 30 seconds.
const COMMENT_EVERY: Duration = Duration::from_secs(10);

/// A stream of events.
pub(crate) struct EventsAnswer(Body);

impl EventsAnswer {
    /// Waits for the job and then sends its layers, each as the event of a finished picture; before them the preview of the
    /// whole as a partial picture, if the client wants any.
    pub(super) fn new(app: App, waiting: Waiting, partial_images: u32) -> Self {
        Self(Body::from_stream(events(app, waiting, partial_images)))
    }
}

impl IntoResponse for EventsAnswer {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // Keeps nginx and similar proxies from holding events back until a buffer is full.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, self.0).into_response()
    }
}

fn events(app: App, mut waiting: Waiting, partial_images: u32) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    try_stream! {
        // At once, so that the client sees that it was accepted.
        yield Bytes::from(format!(": job {}\n\n", waiting.job));
        let mut comments = interval_at(Instant::now() + COMMENT_EVERY, COMMENT_EVERY);
        let ended = {
            let end = waiting.end(&app);
            tokio::pin!(end);
            loop {
                let ended = tokio::select! {
                    ended = &mut end => Some(ended),
                    _ = comments.tick() => None,
                };
                match ended {
                    Some(ended) => break ended,
                    None => yield Bytes::from_static(b": the job goes on\n\n"),
                }
            }
        };
        let ended = match ended {
            Ok(ended) => finished(&app, waiting.job, ended).await,
            Err(error) => Err(error),
        };
        match ended {
            Err(error) => yield error_event(error),
            Ok((result, metadata)) => {
                let (width, height) = metadata.canvas();
                let about = |kind: &str, format: &str| json!({
                    "type": format!("image_edit.{kind}"), "created_at": metadata.created_at.unix_timestamp(),
                    "size": format!("{width}x{height}"), "quality": "auto", "background": "transparent",
                    "output_format": format, "job_id": result.id(),
                });
                if partial_images > 0 {
                    let mut fields = object(about("partial_image", "jpeg"));
                    fields.insert("partial_image_index".to_owned(), json!(0));
                    let picture = picture_json(&result, "preview.jpg", fields);
                    tokio::pin!(picture);
                    yield Bytes::from_static(b"event: image_edit.partial_image\ndata: ");
                    while let Some(block) = picture.next().await {
                        yield block?;
                    }
                    yield Bytes::from_static(b"\n\n");
                }
                for layer in &metadata.layers {
                    let mut fields = object(about("completed", "png"));
                    fields.insert("usage".to_owned(), no_usage());
                    fields.extend(object(serde_json::to_value(layer).map_err(Error::internal)?));
                    let picture = picture_json(&result, &layer.file, fields);
                    tokio::pin!(picture);
                    yield Bytes::from_static(b"event: image_edit.completed\ndata: ");
                    while let Some(block) = picture.next().await {
                        yield block?;
                    }
                    yield Bytes::from_static(b"\n\n");
                }
            }
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Engines count no tokens.
fn no_usage() -> Value {
    json!({
        "input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
        "input_tokens_details": { "image_tokens": 0, "text_tokens": 0 },
    })
}

/// The event that OpenAI's clients raise as an error.
fn error_event(error: Error) -> Bytes {
    let kind = if error.is_ours() { "server_error" } else { "invalid_request_error" };
    let (code, message) = (error.code(), error.to_string());
    let body = json!({ "type": kind, "code": code, "message": message, "param": null });
    // An error of ours writes its cause to the log when it is answered.
    drop(error.into_response());
    Bytes::from(format!("event: error\ndata: {}\n\n", json!({ "type": "error", "error": body })))
}
