//! `ETag`, `If-None-Match` and `Cache-Control` (RFC 9110, 8.8.3 and 13.1.2; RFC 9111).

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// A result never changes under its id. `private`: knowing the id gives access, which shared caches must not pass on.
pub(crate) const IMMUTABLE: &str = "private, max-age=86400, immutable";

/// May be kept, but has to be validated each time.
pub(crate) const REVALIDATE: &str = "private, no-cache";

/// Whether the client has this version already (weak comparison).
pub(crate) fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let listed = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

/// Weakens the tag of a compressed answer: its bytes are not the file's, so a client must not resume one with the other.
pub(crate) async fn weaken_compressed_tag(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let is_encoded = headers.contains_key(header::CONTENT_ENCODING);
    let strong = headers.get(header::ETAG).filter(|tag| is_encoded && tag.as_bytes().starts_with(b"\""));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        headers.insert(header::ETAG, weak);
    }
    response
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
}
