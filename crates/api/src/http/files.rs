//! Stored files as answers: whole, in part, or as a redirect to the storage.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use jobs::store::{StoreError, StoredFile};

use super::blocks::{BlockReader, FileName, keep_open};
use super::caching::not_modified;
use super::error::Error;
use super::ranges::RequestedRange;
use crate::config::Config;

/// How long a signed address can be used.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// The headers of a file.
pub(crate) struct FileHeaders {
    pub content_type: &'static str,
    /// Strong: the same tag means the same bytes.
    pub etag: String,
    pub cache_control: &'static str,
}

/// An answer to a request for a file.
pub(crate) enum FileAnswer {
    /// 304
    NotModified(FileHeaders),
    /// 200
    Whole { headers: FileHeaders, len: u64, body: Body },
    /// 206
    Part { headers: FileHeaders, range: Range<u64>, len: u64, body: Body },
    /// 307, to a signed address of the storage.
    Redirect(String),
}

impl FileAnswer {
    /// Answers with a file that was opened under `name`, as the request's headers ask.
    ///
    /// # Errors
    /// 416 when the range lies outside the file.
    pub(crate) async fn from_file(
        name: FileName,
        file: StoredFile,
        headers: FileHeaders,
        request: &HeaderMap,
    ) -> Result<Self, Error> {
        if not_modified(request, &headers.etag) {
            return Ok(Self::NotModified(headers));
        }
        let len = file.len;
        match RequestedRange::from_headers(request, &headers.etag, len) {
            RequestedRange::Whole => Ok(Self::Whole { headers, len, body: body(name, file, 0..len).await? }),
            RequestedRange::Part(range) => {
                Ok(Self::Part { headers, len, body: body(name, file, range.clone()).await?, range })
            }
            RequestedRange::Unsatisfiable => {
                let message = format!("the file has {len} bytes, and the Range header asks for none of them");
                let size = HeaderValue::from_str(&format!("bytes */{len}")).map_err(Error::internal)?;
                Err(Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
                    .with_header(header::CONTENT_RANGE, size))
            }
        }
    }

    /// A redirect to the address that `sign` makes; `None` when the storage makes none or does not have the file.
    pub(crate) async fn redirect<F: Future<Output = Result<Option<String>, StoreError>>>(
        sign: impl FnOnce(Duration) -> F,
    ) -> Option<Self> {
        let signed = sign(SIGNED_FOR).await.unwrap_or_else(|error| {
            // For example, credentials that may read but not sign: the file is sent from here then.
            tracing::warn!(%error, "the address of a file in the storage could not be signed");
            None
        });
        signed.map(Self::Redirect)
    }

    pub(crate) fn with_cache_control(mut self, value: &'static str) -> Self {
        match &mut self {
            Self::NotModified(headers) | Self::Whole { headers, .. } | Self::Part { headers, .. } => {
                headers.cache_control = value;
            }
            Self::Redirect(_) => {}
        }
        self
    }
}

impl IntoResponse for FileAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::NotModified(about) => {
                let headers = [(header::ETAG, about.etag), (header::CACHE_CONTROL, about.cache_control.to_owned())];
                (StatusCode::NOT_MODIFIED, headers).into_response()
            }
            Self::Whole { headers, len, body } => {
                (headers, [(header::CONTENT_LENGTH, len.to_string())], body).into_response()
            }
            Self::Part { headers, range, len, body } => {
                let part = [
                    (header::CONTENT_RANGE, format!("bytes {}-{}/{len}", range.start, range.end - 1)),
                    (header::CONTENT_LENGTH, (range.end - range.start).to_string()),
                ];
                (StatusCode::PARTIAL_CONTENT, headers, part, body).into_response()
            }
            Self::Redirect(location) => {
                let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
                (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
            }
        }
    }
}

impl IntoResponseParts for FileHeaders {
    type Error = <[(HeaderName, String); 4] as IntoResponseParts>::Error;

    fn into_response_parts(self, parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        [
            (header::CONTENT_TYPE, self.content_type.to_owned()),
            (header::CACHE_CONTROL, self.cache_control.to_owned()),
            (header::ETAG, self.etag),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
        ]
        .into_response_parts(parts)
    }
}

async fn body(name: FileName, file: StoredFile, range: Range<u64>) -> Result<Body, Error> {
    let reader = BlockReader::opened(name, file, keep_open(1));
    Ok(Body::from_stream(reader.within(range).await.map_err(Error::storage)?.into_stream()))
}

/// Whether a client may be redirected to the storage (`DOWNLOAD_REDIRECT`). The page may not: its content security
/// policy allows requests to this service alone, so those of a page are answered from here.
pub(crate) fn may_redirect(config: &Config, request: &HeaderMap) -> bool {
    config.download_redirect && request.get("sec-fetch-site").is_none_or(|site| site == "none")
}
