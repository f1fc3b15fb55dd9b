//! The page: the files of `frontend/`, which are compiled in (debug builds read the folder).

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;
use service::hex;

use crate::http::caching::not_modified;
use crate::http::error::Error;

#[derive(Embed)]
#[folder = "../../frontend"]
struct Files;

/// Nothing from other origins and no inline code, so that a name that slips into the page as markup cannot run.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file of the page.
pub(crate) enum PageAnswer {
    NotModified { etag: String },
    File { etag: String, content_type: String, content: Vec<u8> },
}

impl IntoResponse for PageAnswer {
    fn into_response(self) -> Response {
        let headers = |etag| {
            [
                (header::ETAG, etag),
                // Revalidated each time: an update of the service must not mix old and new scripts.
                (header::CACHE_CONTROL, "no-cache".to_owned()),
                (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
            ]
        };
        match self {
            Self::NotModified { etag } => (StatusCode::NOT_MODIFIED, headers(etag)).into_response(),
            Self::File { etag, content_type, content } => {
                (headers(etag), [(header::CONTENT_TYPE, content_type)], content).into_response()
            }
        }
    }
}

/// Answers every address without a route.
pub(crate) async fn serve(request: Request) -> Result<PageAnswer, Error> {
    let path = request.uri().path().trim_start_matches('/');
    let name = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Files::get(name) else { return Err(Error::from_status(StatusCode::NOT_FOUND)) };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = Error::from_status(StatusCode::METHOD_NOT_ALLOWED);
        return Err(error.with_header(header::ALLOW, HeaderValue::from_static("GET,HEAD")));
    }
    // Weak, because the same file is sent both compressed and plain.
    let etag = format!("W/\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    if not_modified(request.headers(), &etag) {
        return Ok(PageAnswer::NotModified { etag });
    }
    Ok(PageAnswer::File { etag, content_type: content_type(name), content: file.data.into_owned() })
}

fn content_type(name: &str) -> String {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = mime.type_() == mime_guess::mime::TEXT || matches!(mime.subtype().as_str(), "javascript" | "json");
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}
