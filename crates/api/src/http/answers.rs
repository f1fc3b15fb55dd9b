//! Shapes of answers that several handlers give.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::disposition::attachment;

/// An answer that changes from one request to the next, and must not be cached.
pub(crate) struct NoStore<T>(pub T);

impl<T: IntoResponse> IntoResponse for NoStore<T> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], self.0).into_response()
    }
}

/// 201, with the address of what was created.
pub(crate) struct Created<T> {
    pub location: String,
    pub body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(header::LOCATION, self.location)], Json(self.body)).into_response()
    }
}

/// 304: the client has this version already.
pub(crate) struct NotModified {
    pub etag: String,
    pub cache_control: Option<&'static str>,
}

impl IntoResponse for NotModified {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::NOT_MODIFIED, [(header::ETAG, self.etag)]).into_response();
        if let Some(value) = self.cache_control {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        response
    }
}

/// A file that browsers save under a name of its own.
pub(crate) struct Attachment {
    pub content_type: &'static str,
    pub file_name: String,
    pub cache_control: &'static str,
    pub etag: Option<String>,
    pub body: Body,
}

impl IntoResponse for Attachment {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.content_type.to_owned()),
            (header::CONTENT_DISPOSITION, attachment(&self.file_name)),
            (header::CACHE_CONTROL, self.cache_control.to_owned()),
        ];
        (headers, self.etag.map(|etag| [(header::ETAG, etag)]), self.body).into_response()
    }
}
