//! The page: the files of `frontend/`, inside the program (read from the
//! folder itself in debug builds).

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;
use service::hex;

use crate::error::Error;
use crate::files::not_modified;

#[derive(Embed)]
#[folder = "../../frontend"]
struct Files;

/// Nothing from elsewhere and no inline code: a name that slips into the page
/// as markup cannot run.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; \
    connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Answers every address that no route has.
pub async fn serve(request: Request) -> Result<Response, Error> {
    let path = request.uri().path().trim_start_matches('/');
    let file = if path.is_empty() { Files::get("index.html") } else { Files::get(path) };
    let Some(file) = file else { return Err(Error::from_status(StatusCode::NOT_FOUND)) };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = Error::from_status(StatusCode::METHOD_NOT_ALLOWED).into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Ok(response);
    }
    // Weak, because the same file goes out compressed and plain.
    let etag = format!("W/\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let headers = [
        (header::ETAG, etag.clone()),
        // Always asked for again: an update of the service must not mix old and new scripts.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
    ];
    if not_modified(request.headers(), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let name = if path.is_empty() { "index.html" } else { path };
    Ok((headers, [(header::CONTENT_TYPE, content_type(name))], file.data.into_owned()).into_response())
}

fn content_type(name: &str) -> String {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = mime.type_() == mime_guess::mime::TEXT || matches!(mime.subtype().as_str(), "javascript" | "json");
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}
