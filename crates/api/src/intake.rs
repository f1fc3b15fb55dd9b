//! A form that arrives becomes a checked, decoded, stored picture.

use std::io::BufReader;

use axum::extract::Request;
use axum::http::header;
use jobs::store::Upload;
use jobs::{InputInfo, Store};
use layers::{DecodeError, EncodeError, Limits};
use service::hex;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::body::{Incoming, PORTION};
use crate::error::Error;
use crate::multipart::{Part, PartError, Parts};

/// Room beside the picture in a form: field headers, parameters, two long prompts.
const FORM_OVERHEAD: u64 = 1 << 20;

const MAX_TEXT_FIELD: usize = 64 << 10;
const MAX_TEXT_FIELDS: usize = 64;

/// All text fields and their names together, as they are in memory: as much as a JSON body may have.
const MAX_TEXT: usize = 256 << 10;

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
    let (limit, most) = (body_limit(app), app.config.max_file_size);
    let (head, incoming) = Incoming::of(request, limit).map_err(|fault| fault.answer(|| file_too_large(most)))?;
    let result = match Parts::of(&head.headers, incoming.clone()) {
        Ok(parts) => read_form(app, parts).await,
        Err(fault) => Err(answer(most, fault)),
    };
    if result.is_err() {
        incoming.drain(limit).await;
    }
    result
}

/// Reads a body that is refused to its end, so that the client reads why (see [`Incoming::drain`]).
pub async fn discard(app: &App, request: Request) {
    let limit = body_limit(app);
    let expects_continue = request.headers().contains_key(header::EXPECT);
    if !expects_continue && let Ok((_, incoming)) = Incoming::of(request, limit) {
        incoming.drain(limit).await;
    }
}

fn body_limit(app: &App) -> u64 {
    app.config.max_file_size.saturating_add(FORM_OVERHEAD)
}

async fn read_form(app: &App, mut parts: Parts) -> Result<Form, Error> {
    let mut picture = None;
    let mut fields = Vec::new();
    let (mut room, limit) = (MAX_TEXT, app.config.max_file_size);
    while let Some(mut part) = parts.next().await.map_err(|fault| answer(limit, fault))? {
        let name = part.disposition.name.take().unwrap_or_default();
        match name.as_str() {
            "image" | "image[]" | "file" if picture.is_some() => {
                let message = "the form holds two pictures; send one in each request";
                return Err(Error::bad_request("image_repeated", message));
            }
            "image" | "image[]" | "file" => picture = Some(read_picture(&app.store, limit, part).await?),
            _ if part.disposition.filename.is_some() => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
                let message = format!("there is a file in the field \"{shown}\"; one is read, in the field \"image\"");
                return Err(Error::bad_request("unexpected_file", message).about(&shown));
            }
            _ if fields.len() == MAX_TEXT_FIELDS => {
                return Err(Error::bad_request("too_many_fields", "the form has too many fields"));
            }
            _ => {
                let text = read_text(limit, part).await?;
                room = room.checked_sub(name.len() + text.len()).ok_or_else(too_much_text)?;
                fields.push((name, text));
            }
        }
    }
    let picture = picture.ok_or_else(|| {
        let message = "the form has no picture; send it in the field \"image\" (or \"file\")";
        Error::bad_request("image_missing", message)
    })?;
    Ok(Form { picture, fields })
}

async fn read_picture(store: &Store, limit: u64, part: Part) -> Result<Received, Error> {
    let filename = part.disposition.filename.as_deref().and_then(clean_filename);
    let file = store.make_scratch().await?;
    let writer = file.reopen().map_err(Error::storage)?;
    let sha256 = save(limit, part, writer).await?;
    Ok(Received { file, sha256, filename })
}

/// Writes a part's content, of at most `limit` bytes; gives its SHA-256.
async fn save(limit: u64, mut part: Part, file: std::fs::File) -> Result<String, Error> {
    let mut writer = BufWriter::with_capacity(PORTION, tokio::fs::File::from_std(file));
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = part.chunk().await.map_err(|fault| answer(limit, fault))? {
        length += chunk.len() as u64;
        if length > limit {
            return Err(file_too_large(limit));
        }
        hash.update(&chunk);
        writer.write_all(&chunk).await.map_err(Error::storage)?;
    }
    writer.flush().await.map_err(Error::storage)?;
    Ok(hex(&hash.finalize()))
}

async fn read_text(limit: u64, mut part: Part) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|fault| answer(limit, fault))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TEXT_FIELD {
            let message = "a text field of the form is longer than 64 KiB; a picture goes into the field \"image\"";
            return Err(Error::too_large("field_too_large", message));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::bad_request("invalid_text", "a text field of the form is not UTF-8"))
}

fn too_much_text() -> Error {
    let message =
        "the text fields of the form have more than 256 KiB together; a picture goes into the field \"image\"";
    Error::too_large("field_too_large", message)
}

/// Decodes a picture and stores it; from then on it is an upload with an id.
pub async fn store(app: &App, client: &str, picture: Received) -> Result<Upload, Error> {
    // Each decode may hold hundreds of megabytes, so few run at once.
    let permit = app.decodes.acquire(client).await?;
    let scratch = app.store.make_scratch().await?;
    let limits = Limits { max_pixels: app.config.defaults.max_pixels };
    // Cancelled when this future is dropped: nobody waits for the picture then.
    let unwanted = CancellationToken::new();
    let _cancel = unwanted.clone().drop_guard();
    // A span of its own: blocking threads do not inherit the request's.
    let span = tracing::Span::current();
    let in_flight = app.broker.in_flight();
    let work = move || {
        let _permit = permit;
        let _in_flight = in_flight;
        let _span = span.enter();
        normalise(picture, scratch, &limits, &unwanted)
    };
    let (upload, png) = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    app.store.put_upload(&upload, png).await?;
    tracing::info!(upload_id = %upload.id, format = %upload.input.format, width = upload.input.width, height = upload.input.height, "stored an upload");
    Ok(upload)
}

fn normalise(
    picture: Received,
    scratch: NamedTempFile,
    limits: &Limits,
    unwanted: &CancellationToken,
) -> Result<(Upload, NamedTempFile), Error> {
    let file = picture.file.reopen().map_err(Error::storage)?;
    let go_on = || if unwanted.is_cancelled() { Err(Error::internal("the client has left")) } else { Ok(()) };
    go_on()?;
    let decoded = layers::decode(BufReader::with_capacity(256 << 10, file), limits)?;
    go_on()?;
    layers::write_png(scratch.as_file(), &decoded.pixels)?;
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
        let message = err.help().map_or_else(|| err.to_string(), |help| format!("{err}; {help}"));
        match err {
            DecodeError::Empty => Self::unprocessable("image_empty", message),
            DecodeError::UnknownFormat => Self::unsupported("image_type_unknown", message),
            DecodeError::Unsupported { .. } | DecodeError::ArithmeticJpeg => {
                Self::unsupported("image_kind_unsupported", message)
            }
            DecodeError::Cmyk { .. } => Self::unsupported("image_cmyk", message),
            DecodeError::TooManyPixels { .. } => Self::too_large("image_too_many_pixels", message),
            DecodeError::TooMuchMemory { .. } => Self::too_large("image_too_much_memory", message),
            DecodeError::Damaged { .. } => Self::unprocessable("image_damaged", message),
            DecodeError::Io(err) => Self::storage(err),
        }
    }
}

impl From<EncodeError> for Error {
    fn from(err: EncodeError) -> Self {
        match err {
            EncodeError::Io(err) => Self::storage(err),
            other => Self::internal(other),
        }
    }
}

fn file_too_large(limit: u64) -> Error {
    let message =
        format!("the file is larger than the {limit} bytes that this service takes; make it smaller and try again");
    Error::too_large("file_too_large", message)
}

fn answer(limit: u64, fault: PartError) -> Error {
    let message = fault.to_string();
    match fault {
        PartError::Body(fault) => fault.answer(|| file_too_large(limit)),
        PartError::LongHeader => Error::bad_request("part_header_too_large", message),
        PartError::NoBoundary | PartError::LongBoundary | PartError::Syntax(_) => {
            Error::bad_request("invalid_multipart", message)
        }
    }
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::response::IntoResponse;

    use super::*;
    use crate::body::tests::incoming;

    async fn picture(content: &[u8]) -> Part {
        let head = b"--BB\r\nContent-Disposition: form-data; name=image\r\n\r\n";
        let body = [head, content, b"\r\n--BB--"].concat();
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data; boundary=BB".parse().unwrap())]);
        Parts::of(&headers, incoming(vec![body])).unwrap().next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_disk_that_is_full_while_a_picture_arrives_is_told_in_words() {
        // Every write to it fails with ENOSPC.
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        for size in [1, 10_000_000] {
            let fault = save(u64::MAX, picture(&vec![7; size]).await, full()).await.unwrap_err();
            assert!(fault.to_string().contains("full"), "{fault}");
            assert_eq!(fault.into_response().status(), 507, "{size} bytes");
        }
    }

    #[test]
    fn faults_of_our_files_are_not_those_of_the_picture() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::from(EncodeError::Io(full())).into_response().status(), 507);
        assert_eq!(Error::from(DecodeError::Io(full())).into_response().status(), 507);
        let no_descriptor = std::io::Error::from_raw_os_error(24);
        assert_eq!(Error::from(DecodeError::Io(no_descriptor)).into_response().status(), 503);
    }

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
