//! A form with a picture, as it arrives.

use axum::extract::Request;
use jobs::Store;
use service::hex;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::http::body::{self, Incoming, PORTION};
use crate::http::error::Error;
use crate::http::multipart::{Part, PartError, Parts};
use crate::state::App;

/// Room beside the picture in a form: field headers, parameters, two long prompts.
const FORM_OVERHEAD: u64 = 1 << 20;

const MAX_TEXT_FIELD: usize = 64 << 10;
const MAX_TEXT_FIELDS: usize = 64;

/// Bytes of all text fields and their names together: as many as a JSON body may have.
pub(crate) const MAX_TEXT: usize = 256 << 10;

/// A form that has arrived.
pub(crate) struct PictureForm {
    pub picture: PictureFile,
    /// The other fields, in order.
    pub fields: Vec<(String, String)>,
}

/// The bytes of a picture, not decoded yet.
pub(crate) struct PictureFile {
    pub file: NamedTempFile,
    pub sha256: String,
    pub filename: Option<String>,
}

/// Reads a form with a picture in its field `image` (or `image[]`, or `file`) to a temporary file.
pub(crate) async fn receive(app: &App, request: Request) -> Result<PictureForm, Error> {
    let (limit, most) = (body_limit(app.config.max_file_size), app.config.max_file_size);
    let (head, incoming) = Incoming::of(request, limit).map_err(|fault| fault.into_error(|| file_too_large(most)))?;
    let result = match Parts::of(&head.headers, incoming.clone()) {
        Ok(parts) => read_form(app, parts).await,
        Err(fault) => Err(part_error(most, fault)),
    };
    if result.is_err() {
        incoming.drain(limit).await;
    }
    result
}

/// Reads the rest of a form that is refused, so that the client reads why.
pub(crate) async fn discard(app: &App, request: Request) {
    body::discard(request, body_limit(app.config.max_file_size)).await;
}

/// The most bytes of a body with a picture of `picture` bytes in it.
pub(crate) fn body_limit(picture: u64) -> u64 {
    picture.saturating_add(FORM_OVERHEAD)
}

async fn read_form(app: &App, mut parts: Parts) -> Result<PictureForm, Error> {
    let mut picture = None;
    let mut fields = Vec::new();
    let (mut room, limit) = (MAX_TEXT, app.config.max_file_size);
    while let Some(mut part) = parts.next().await.map_err(|fault| part_error(limit, fault))? {
        let name = part.disposition.name.take().unwrap_or_default();
        match name.as_str() {
            "image" | "image[]" | "file" if picture.is_some() => {
                let message = "the form holds two pictures; send one with each request";
                return Err(Error::bad_request("image_repeated", message));
            }
            "image" | "image[]" | "file" => picture = Some(read_picture(&app.store, limit, part).await?),
            _ if part.disposition.filename.is_some() => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
                let message = format!("the field \"{shown}\" holds a file; only the field \"image\" may");
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
    Ok(PictureForm { picture, fields })
}

async fn read_picture(store: &Store, limit: u64, part: Part) -> Result<PictureFile, Error> {
    let filename = part.disposition.filename.as_deref().and_then(clean_filename);
    let file = store.make_scratch().await?;
    let writer = file.reopen().map_err(Error::storage)?;
    let sha256 = save(limit, part, writer).await?;
    Ok(PictureFile { file, sha256, filename })
}

/// Writes a part's content, at most `limit` bytes, to a file. Returns its SHA-256.
async fn save(limit: u64, mut part: Part, file: std::fs::File) -> Result<String, Error> {
    let mut writer = BufWriter::with_capacity(PORTION, tokio::fs::File::from_std(file));
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(chunk) = part.chunk().await.map_err(|fault| part_error(limit, fault))? {
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
    while let Some(chunk) = part.chunk().await.map_err(|fault| part_error(limit, fault))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TEXT_FIELD {
            let message = "a text field of the form is longer than 64 KiB; send pictures in the field \"image\"";
            return Err(Error::too_large("field_too_large", message));
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::bad_request("invalid_text", "a text field of the form is not UTF-8"))
}

pub(crate) fn too_much_text() -> Error {
    let message = "the text fields of the form have more than 256 KiB together; send pictures in the field \"image\"";
    Error::too_large("field_too_large", message)
}

pub(crate) fn file_too_large(limit: u64) -> Error {
    let message =
        format!("the file is larger than {limit} bytes, the limit of this service; make it smaller and try again");
    Error::too_large("file_too_large", message)
}

fn part_error(limit: u64, fault: PartError) -> Error {
    let message = fault.to_string();
    match fault {
        PartError::Body(fault) => fault.into_error(|| file_too_large(limit)),
        PartError::LongHeader => Error::bad_request("part_header_too_large", message),
        PartError::NoBoundary | PartError::LongBoundary | PartError::Syntax(_) => {
            Error::bad_request("invalid_multipart", message)
        }
    }
}

/// A file name to display: without folders and invisible characters, at most 200 characters long.
fn clean_filename(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Direction marks and similar characters can make a name look like another one.
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
    use axum::http::{HeaderMap, header};
    use axum::response::IntoResponse;

    use super::*;
    use crate::http::body::tests::incoming;

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
