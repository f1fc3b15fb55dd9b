//! A JSON body with a picture in it, as OpenAI's clients send it.

use std::io::{BufReader, Write};

use axum::extract::Request;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use service::hex;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::upload_form::{self, PictureFile, PictureForm};
use crate::http::body::{Incoming, PORTION};
use crate::http::error::Error;
use crate::state::App;

/// Programs leave the padding out, or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an object whose `images` (or `image`) holds a picture as a `data:` URL. The other fields become text.
pub(crate) async fn receive(app: &App, client: &str, request: Request) -> Result<PictureForm, Error> {
    let most = app.config.max_file_size;
    // Base64 has four bytes for three.
    let limit = upload_form::body_limit(most.saturating_add(most / 3));
    let too_large = || upload_form::file_too_large(most);
    let (_, incoming) = Incoming::of(request, limit).map_err(|fault| fault.into_error(too_large))?;
    let body = match save(app, &incoming).await {
        Ok(body) => body,
        Err(fault) => {
            incoming.drain(limit).await;
            return Err(fault);
        }
    };
    let file = app.store.make_scratch().await?;
    // The text is in memory once, so that only a few requests do this at a time.
    let permit = app.decodes.acquire(client).await?;
    let work = move || {
        let _permit = permit;
        read(body, file, most)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

async fn save(app: &App, incoming: &Incoming) -> Result<NamedTempFile, Error> {
    let file = app.store.make_scratch().await?;
    let writer = tokio::fs::File::from_std(file.reopen().map_err(Error::storage)?);
    let mut writer = BufWriter::with_capacity(PORTION, writer);
    while let Some(portion) = std::future::poll_fn(|cx| incoming.poll_portion(cx)).await {
        let too_large = || upload_form::file_too_large(app.config.max_file_size);
        writer.write_all(&portion.map_err(|fault| fault.into_error(too_large))?).await.map_err(Error::storage)?;
    }
    writer.flush().await.map_err(Error::storage)?;
    Ok(file)
}

fn read(body: NamedTempFile, mut file: NamedTempFile, most: u64) -> Result<PictureForm, Error> {
    let reader = BufReader::with_capacity(PORTION, body.reopen().map_err(Error::storage)?);
    let mut fields: Map<String, Value> =
        serde_json::from_reader(reader).map_err(|error| match error.io_error_kind() {
            Some(_) => Error::storage(error.into()),
            None => Error::bad_request("invalid_json", format!("the body is not a JSON object: {error}")),
        })?;
    let bytes = data_of(picture(&mut fields)?)?;
    if bytes.len() as u64 > most {
        return Err(upload_form::file_too_large(most));
    }
    file.write_all(&bytes).map_err(Error::storage)?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let fields = text_of(fields)?;
    Ok(PictureForm { picture: PictureFile { file, sha256, filename: None }, fields })
}

/// Takes the one picture out of the fields.
fn picture(fields: &mut Map<String, Value>) -> Result<Value, Error> {
    let mut pictures = Vec::new();
    for name in ["images", "image", "image[]"] {
        match fields.remove(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(several)) => pictures.extend(several),
            Some(one) => pictures.push(one),
        }
    }
    match pictures.len() {
        0 => Err(Error::bad_request(
            "image_missing",
            "the body has no picture; send it as {\"images\": [{\"image_url\": \"data:image/png;base64,...\"}]}",
        )),
        1 => Ok(pictures.remove(0)),
        _ => {
            let message = "the body holds several pictures; send one with each request";
            Err(Error::bad_request("image_repeated", message))
        }
    }
}

/// The bytes of a picture: text, or an object that has it as `image_url`, which may have it as `url` in turn.
fn data_of(mut picture: Value) -> Result<Vec<u8>, Error> {
    for name in ["image_url", "url", "b64_json"] {
        if let Some(inner) = picture.get_mut(name) {
            picture = inner.take();
        }
    }
    let Value::String(text) = picture else {
        let message = "a picture must be a data: URL in \"image_url\"; pictures are not known by file_id here";
        return Err(invalid(message));
    };
    let encoded = match text.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data:") => {
            let (kind, data) = rest
                .split_once(',')
                .ok_or_else(|| invalid("the data: URL has no comma; send data:image/png;base64,..."))?;
            if !kind.to_ascii_lowercase().trim_end().ends_with(";base64") {
                return Err(invalid("the data: URL is not in base64; send data:image/png;base64,..."));
            }
            data
        }
        _ if text.contains("://") => {
            let message = "pictures are not fetched from other addresses; send the picture itself as a data: URL";
            return Err(invalid(message));
        }
        _ => &text,
    };
    let decoded = if encoded.contains(|c: char| c.is_ascii_whitespace()) {
        BASE64.decode(encoded.split_ascii_whitespace().collect::<String>())
    } else {
        BASE64.decode(encoded)
    };
    decoded.map_err(|error| invalid(&format!("the picture is not valid base64: {error}; encode it again")))
}

/// The other fields as a form has them.
fn text_of(fields: Map<String, Value>) -> Result<Vec<(String, String)>, Error> {
    let mut texts = Vec::new();
    let mut room = upload_form::MAX_TEXT;
    for (name, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
                let message = format!("{shown} must be text, a number, true or false");
                return Err(Error::bad_request("invalid_parameter", message).about(&shown));
            }
        };
        room = room.checked_sub(name.len() + text.len()).ok_or_else(upload_form::too_much_text)?;
        texts.push((name, text));
    }
    Ok(texts)
}

fn invalid(message: &str) -> Error {
    Error::bad_request("invalid_parameter", message).about("images")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_picture_is_found_in_every_shape_that_clients_send() {
        for value in [
            json!("data:image/png;base64,UE5H"),
            json!("DATA:;base64,UE5H"),
            json!("data:image/png;name=a.png;base64,UE\n5H"),
            json!("UE5H"),
            json!({ "image_url": "data:image/png;base64,UE5H" }),
            json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,UE5H" } }),
            json!({ "b64_json": "UE5H" }),
        ] {
            let shown = value.to_string();
            assert_eq!(data_of(value).unwrap(), b"PNG", "{shown}");
        }
        assert_eq!(data_of(json!("data:x;base64,UA")).unwrap(), b"P");
        for (value, words) in [
            (json!({ "file_id": "file-1" }), "file_id"),
            (json!("https://example.org/a.png"), "not fetched"),
            (json!("data:image/png,abc"), "base64"),
            (json!("data:image/png;base64"), "comma"),
            (json!("data:image/png;base64,?"), "not valid base64"),
            (json!(7), "data: URL"),
        ] {
            let error = data_of(value).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn one_picture_is_taken() {
        let take = |value: Value| {
            let Value::Object(mut fields) = value else { panic!("no object") };
            picture(&mut fields)
        };
        assert_eq!(take(json!({ "images": ["x"] })).unwrap(), json!("x"));
        assert_eq!(take(json!({ "image": "x", "images": null })).unwrap(), json!("x"));
        assert!(take(json!({ "images": ["x", "y"] })).unwrap_err().to_string().contains("several"));
        assert!(take(json!({ "images": [] })).unwrap_err().to_string().contains("no picture"));
    }
}
