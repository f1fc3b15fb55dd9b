//! A body that arrives becomes a checked, decoded, stored picture.

use std::io::BufReader;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use futures_util::{Stream, StreamExt};
use jobs::InputInfo;
use jobs::store::Upload;
use layers::{DecodeError, Limits};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::io::{AsyncWriteExt, BufWriter};
use uuid::Uuid;

use crate::app::App;
use crate::error::Error;
use crate::form::hex;

/// How long a body may pause before we give up on it.
const IDLE: Duration = Duration::from_secs(30);

/// How long a refused body is read on (see [`Incoming::drain`]).
const DRAIN: Duration = Duration::from_secs(10);

/// Room beside the picture in a form: field headers, parameters, two long prompts.
const FORM_OVERHEAD: u64 = 1 << 20;

const MAX_TEXT_FIELD: usize = 64 << 10;
const MAX_TEXT_FIELDS: usize = 64;

/// A form that has arrived.
pub struct Form {
    pub picture: Received,
    /// The other fields, in order.
    pub fields: Vec<(String, String)>,
}

/// The bytes of a picture, not yet looked at.
pub struct Received {
    file: NamedTempFile,
    sha256: String,
    filename: Option<String>,
}

/// Reads a form with a picture in its field `image` (or `image[]`, or `file`) to a temporary file.
pub async fn receive(app: &App, request: Request) -> Result<Form, Error> {
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let limit = app.config.max_file_size.saturating_add(FORM_OVERHEAD);
    if content_length(&request).is_some_and(|length| length > limit) && expects_continue {
        // The client waits for our word before it sends: nothing to drain.
        return Err(file_too_large(app));
    }
    let (parts, body) = request.into_parts();
    let incoming = Incoming::new(body, limit);
    let request = Request::from_parts(parts, Body::from_stream(incoming.clone()));
    let result = match Multipart::from_request(request, app).await {
        Ok(multipart) => read_form(app, multipart).await,
        Err(MultipartRejection::InvalidBoundary(_)) => Err(Error::bad_request(
            "invalid_multipart",
            "the form has no boundary: send multipart/form-data with the picture in the field \"image\"",
        )),
        Err(rejection) => Err(Error::bad_request("invalid_multipart", rejection.body_text())),
    };
    if result.is_err() {
        incoming.drain(limit).await;
    }
    result
}

/// Reads a body that is refused to its end, so that the client reads why (see [`Incoming::drain`]).
pub async fn discard(app: &App, request: Request) {
    if !request.headers().contains_key(header::EXPECT) {
        let limit = app.config.max_file_size.saturating_add(FORM_OVERHEAD);
        Incoming::new(request.into_body(), limit).drain(limit).await;
    }
}

async fn read_form(app: &App, mut multipart: Multipart) -> Result<Form, Error> {
    let mut picture = None;
    let mut fields = Vec::new();
    while let Some(field) = within_idle(multipart.next_field()).await?.map_err(|err| broken(app, &err))? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "image" | "image[]" | "file" if picture.is_some() => {
                let message = "the form holds two pictures; send one in each request";
                return Err(Error::bad_request("image_repeated", message));
            }
            "image" | "image[]" | "file" => picture = Some(read_picture(app, field).await?),
            _ if field.file_name().is_some() => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
                let message = format!("there is a file in the field \"{shown}\"; one is read, in the field \"image\"");
                return Err(Error::bad_request("unexpected_file", message).about(&shown));
            }
            _ if fields.len() == MAX_TEXT_FIELDS => {
                return Err(Error::bad_request("too_many_fields", "the form has too many fields"));
            }
            _ => fields.push((name, read_text(app, field).await?)),
        }
    }
    let picture = picture.ok_or_else(|| {
        let message = "the form has no picture; send it in the field \"image\" (or \"file\")";
        Error::bad_request("image_missing", message)
    })?;
    Ok(Form { picture, fields })
}

async fn read_picture(app: &App, mut field: Field<'_>) -> Result<Received, Error> {
    let filename = field.file_name().and_then(clean_filename);
    let file = app.store.scratch()?;
    let mut writer =
        BufWriter::with_capacity(256 << 10, tokio::fs::File::from_std(file.reopen().map_err(Error::internal)?));
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = within_idle(field.chunk()).await?.map_err(|err| broken(app, &err))? {
        length += chunk.len() as u64;
        if length > app.config.max_file_size {
            return Err(file_too_large(app));
        }
        hash.update(&chunk);
        writer.write_all(&chunk).await.map_err(Error::internal)?;
    }
    writer.flush().await.map_err(Error::internal)?;
    Ok(Received { file, sha256: hex(&hash.finalize()), filename })
}

async fn read_text(app: &App, mut field: Field<'_>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = within_idle(field.chunk()).await?.map_err(|err| broken(app, &err))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TEXT_FIELD {
            let message = "a text field of the form is longer than 64 KiB; a picture goes into the field \"image\"";
            return Err(Error::too_large("field_too_large", message));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::bad_request("invalid_text", "a text field of the form is not UTF-8"))
}

pub async fn within_idle<F: Future>(future: F) -> Result<F::Output, Error> {
    tokio::time::timeout(IDLE, future).await.map_err(|_| {
        let message = "no more of the body arrived for 30 seconds; send the request again";
        Error::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    })
}

/// Decodes a picture and stores it; from then on it is an upload with an id.
pub async fn store(app: &App, picture: Received) -> Result<Upload, Error> {
    // Each decode may hold hundreds of megabytes, so few run at once.
    let permit = Arc::clone(&app.decodes).acquire_owned().await.map_err(Error::internal)?;
    let scratch = app.store.scratch()?;
    let limits = Limits { max_pixels: app.config.max_pixels };
    // A span of its own: blocking threads do not inherit the request's.
    let span = tracing::Span::current();
    let work = move || {
        let _permit = permit;
        let _span = span.enter();
        normalise(picture, scratch, &limits)
    };
    let (upload, png) = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    app.store.put_upload(&upload, png).await?;
    tracing::info!(upload_id = %upload.id, format = %upload.input.format, width = upload.input.width, height = upload.input.height, "stored an upload");
    Ok(upload)
}

fn normalise(picture: Received, scratch: NamedTempFile, limits: &Limits) -> Result<(Upload, NamedTempFile), Error> {
    let file = picture.file.reopen().map_err(Error::internal)?;
    let decoded = layers::decode(BufReader::with_capacity(256 << 10, file), limits)?;
    layers::write_png(scratch.as_file(), &decoded.pixels).map_err(Error::internal)?;
    let input = InputInfo {
        filename: picture.filename,
        format: decoded.format.to_owned(),
        width: decoded.pixels.width(),
        height: decoded.pixels.height(),
        has_alpha: decoded.has_alpha,
        sha256: picture.sha256,
        parent: None,
    };
    Ok((Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() }, scratch))
}

impl From<DecodeError> for Error {
    fn from(err: DecodeError) -> Self {
        let message = err.to_string();
        match err {
            DecodeError::Empty => Self::unprocessable("image_empty", message),
            DecodeError::UnknownFormat => Self::unsupported("image_type_unknown", message),
            DecodeError::Unsupported { .. } => Self::unsupported("image_kind_unsupported", message),
            DecodeError::Cmyk { .. } => Self::unsupported("image_cmyk", message),
            DecodeError::TooManyPixels { .. } => Self::too_large("image_too_many_pixels", message),
            DecodeError::TooMuchMemory { .. } => Self::too_large("image_too_much_memory", message),
            DecodeError::Damaged { .. } => Self::unprocessable("image_damaged", message),
            DecodeError::Io(err) => Self::internal(err),
        }
    }
}

fn file_too_large(app: &App) -> Error {
    let message = format!(
        "the file is larger than the {} bytes that this service takes; make it smaller and try again",
        app.config.max_file_size
    );
    Error::too_large("file_too_large", message)
}

fn broken(app: &App, err: &MultipartError) -> Error {
    if err.status() == StatusCode::PAYLOAD_TOO_LARGE || caused_by::<TooLong>(err) {
        return file_too_large(app);
    }
    let message = format!("the form is broken or was cut off: {}; send it again", err.body_text());
    Error::bad_request("invalid_multipart", message)
}

fn caused_by<E: std::error::Error + 'static>(err: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(err), |&err| err.source()).any(|err| err.is::<E>())
}

fn content_length(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A file name for show: no folders, nothing invisible, of a sane length.
fn clean_filename(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Direction marks and their like can make a name look like another one.
    let invisible = |c: &char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let clean: String = base.chars().filter(|c| !invisible(c)).take(200).collect();
    let clean = clean.trim().trim_start_matches('.');
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// A request's body, limited in length, that can still be read on after whoever
/// reads it has given up.
#[derive(Clone)]
struct Incoming(Arc<Mutex<Source>>);

struct Source {
    stream: BodyDataStream,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the body is too long")]
struct TooLong;

impl Incoming {
    fn new(body: Body, limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Source { stream: body.into_data_stream(), left: limit })))
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        source.stream.poll_next_unpin(cx)
    }

    /// Reads on and throws away, up to `limit` bytes.
    ///
    /// A client that still sends while we close the connection gets a reset
    /// and never reads why it was refused.
    async fn drain(&self, mut limit: u64) {
        let read_on = async {
            while let Some(Ok(chunk)) = std::future::poll_fn(|cx| self.poll(cx)).await {
                match limit.checked_sub(chunk.len() as u64) {
                    Some(left) => limit = left,
                    None => break,
                }
            }
        };
        // Whether it ended or ran out of time: the answer goes out now.
        let _ = tokio::time::timeout(DRAIN, read_on).await;
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll(cx);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match source.left.checked_sub(chunk.len() as u64) {
                Some(left) => source.left = left,
                None => return Poll::Ready(Some(Err(Box::new(TooLong)))),
            }
        }
        polled.map(|item| item.map(|chunk| chunk.map_err(axum::BoxError::from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_only_for_show() {
        for (sent, shown) in [
            ("poster.png", Some("poster.png")),
            ("C:\\Users\\me\\포스터.png", Some("포스터.png")),
            ("../../etc/passwd", Some("passwd")),
            ("a\r\nSet-Cookie: x", Some("aSet-Cookie: x")),
            ("gnp.\u{202e}exe", Some("gnp.exe")),
            ("..", None),
            ("uploads/", None),
            ("\0\0", None),
        ] {
            assert_eq!(clean_filename(sent).as_deref(), shown, "{sent:?}");
        }
        assert_eq!(clean_filename(&"x".repeat(5000)).map(|name| name.len()), Some(200));
    }
}
