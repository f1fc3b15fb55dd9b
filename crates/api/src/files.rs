//! A stored file as an answer: whole or in part, or where else to fetch it.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_range_header::{EndPosition, RangeUnsatisfiableError, StartPosition, parse_range_header};
use jobs::Store;
use jobs::store::{StoreError, StoredFile};

use crate::app::App;
use crate::blocks::{Blocks, FileName, keep_open};
use crate::error::Error;

/// A result never changes under its id. `private`: who knows the id may see it, shared caches may not.
pub const CACHE_IMMUTABLE: &str = "private, max-age=86400, immutable";

/// How long an address that is handed out can be used.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// What to say of a file beside its content.
pub struct About {
    pub content_type: &'static str,
    /// Strong: the same tag means the same bytes.
    pub etag: String,
    pub cache_control: &'static str,
}

/// Answers with a file that was found under `name`, or 304, 206 or 416 as the request's headers ask.
pub async fn answer(
    store: &Store,
    name: FileName,
    file: StoredFile,
    about: About,
    request: &HeaderMap,
) -> Result<Response, Error> {
    if not_modified(request, &about.etag) {
        let headers = [(header::ETAG, about.etag), (header::CACHE_CONTROL, about.cache_control.to_owned())];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, about.content_type.to_owned()),
        (header::CACHE_CONTROL, about.cache_control.to_owned()),
        (header::ETAG, about.etag.clone()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let len = file.len;
    match wanted(request, &about.etag, len) {
        Wanted::Whole => {
            let body = body(store, name, file, 0..len).await?;
            Ok((headers, [(header::CONTENT_LENGTH, len.to_string())], body).into_response())
        }
        Wanted::Part(range) => {
            let part = [
                (header::CONTENT_RANGE, format!("bytes {}-{}/{len}", range.start, range.end - 1)),
                (header::CONTENT_LENGTH, (range.end - range.start).to_string()),
            ];
            let body = body(store, name, file, range).await?;
            Ok((StatusCode::PARTIAL_CONTENT, headers, part, body).into_response())
        }
        Wanted::Nothing => {
            let message = format!("the file has {len} bytes; the Range header asks for none of them");
            let mut response =
                Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message).into_response();
            let of = HeaderValue::from_str(&format!("bytes */{len}")).map_err(Error::internal)?;
            response.headers_mut().insert(header::CONTENT_RANGE, of);
            Ok(response)
        }
    }
}

async fn body(store: &Store, name: FileName, file: StoredFile, range: Range<u64>) -> Result<Body, Error> {
    let blocks = Blocks::opened(store, name, file, keep_open(1));
    Ok(Body::from_stream(blocks.within(range).await.map_err(Error::storage)?.into_stream()))
}

enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// The part of a file that a request asks for (RFC 9110, 14). What cannot be read or makes no sense, several parts
/// at once and parts of another version count as the whole, as the RFC lets them.
fn wanted(request: &HeaderMap, etag: &str, len: u64) -> Wanted {
    let Some(text) = request.get(header::RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::Whole };
    if request.get(header::IF_RANGE).is_some_and(|version| version != etag) {
        return Wanted::Whole;
    }
    let range = match parse_range_header(text) {
        Ok(parsed) => match parsed.ranges.as_slice() {
            [one] => *one,
            _ => return Wanted::Whole,
        },
        Err(RangeUnsatisfiableError::ZeroSuffix) => return Wanted::Nothing,
        Err(_) => return Wanted::Whole,
    };
    match (range.start, range.end) {
        (StartPosition::Index(start), EndPosition::Index(last)) if last < start => Wanted::Whole,
        (StartPosition::Index(start), _) if start >= len => Wanted::Nothing,
        (StartPosition::Index(start), EndPosition::Index(last)) => Wanted::Part(start..len.min(last.saturating_add(1))),
        (StartPosition::Index(start), EndPosition::LastByte) => Wanted::Part(start..len),
        (StartPosition::FromLast(_), _) if len == 0 => Wanted::Nothing,
        // The last bytes of a shorter file are all of it.
        (StartPosition::FromLast(count), _) => Wanted::Part(len.saturating_sub(count)..len),
    }
}

/// Whether a client can be sent to the storage itself (`DOWNLOAD_REDIRECT`). The page cannot: its policy
/// lets it fetch from here alone, so what a browser says comes from a page of ours is answered from here.
pub fn may_redirect(app: &App, request: &HeaderMap) -> bool {
    app.config.download_redirect && request.get("sec-fetch-site").is_none_or(|site| site == "none")
}

/// Sends a client to a signed address; `None` where the storage gives none, or has no such file.
pub async fn redirect<F: Future<Output = Result<Option<String>, StoreError>>>(
    sign: impl FnOnce(Duration) -> F,
) -> Option<Response> {
    let signed = sign(SIGNED_FOR).await.unwrap_or_else(|error| {
        // Such as an identity that may read, but not sign: the file is given from here then.
        tracing::warn!(%error, "a file's address in the storage could not be signed");
        None
    });
    let headers = [(header::LOCATION, signed?), (header::CACHE_CONTROL, "no-store".to_owned())];
    Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
}

/// Whether the client has this version already (RFC 9110, 13.1.2: weak comparison).
pub fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_compared_weakly() {
        let headers = |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        for value in ["\"a\"", "W/\"a\"", "\"x\", \"a\"", "*"] {
            assert!(not_modified(&headers(value), "\"a\""), "{value}");
        }
        assert!(!not_modified(&headers("\"b\""), "\"a\""));
        assert!(!not_modified(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn parts_are_those_of_the_file() {
        let of = |range: &str, len: u64| {
            let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
            match wanted(&headers, "\"a\"", len) {
                Wanted::Whole => "whole".to_owned(),
                Wanted::Part(range) => format!("{range:?}"),
                Wanted::Nothing => "nothing".to_owned(),
            }
        };
        for (range, part) in [
            ("bytes=0-3", "0..4"),
            ("bytes=4-", "4..10"),
            ("bytes=-3", "7..10"),
            ("bytes=5-100", "5..10"),
            ("bytes=-100", "0..10"),
            ("bytes=-10", "0..10"),
            ("bytes=9-9", "9..10"),
            ("bytes=0-18446744073709551615", "0..10"),
            ("bytes=10-", "nothing"),
            ("bytes=10-12", "nothing"),
            ("bytes=-0", "nothing"),
            ("bytes=5-3", "whole"),
            ("bytes=12-11", "whole"),
            ("bytes=0-1,4-5", "whole"),
            ("bytes=0-5,3-8", "whole"),
            ("bytes=0-1,100-", "whole"),
            ("bytes=x", "whole"),
            ("bytes=", "whole"),
            ("bytes=-", "whole"),
            ("bytes=99999999999999999999-", "whole"),
            ("lines=0-1", "whole"),
        ] {
            assert_eq!(of(range, 10), part, "{range}");
        }
        for (range, part) in [("bytes=0-", "nothing"), ("bytes=-5", "nothing")] {
            assert_eq!(of(range, 0), part, "{range} of an empty file");
        }
    }
}
