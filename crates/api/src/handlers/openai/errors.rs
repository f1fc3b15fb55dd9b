//! Errors as OpenAI's API answers them.

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::PublicError;

/// The body of every error under `/v1`.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenAiErrorBody {
    error: OpenAiError,
}

#[derive(Serialize, ToSchema)]
struct OpenAiError {
    message: String,
    /// `invalid_request_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field that cannot be used, where it is one.
    param: Option<String>,
    code: &'static str,
}

/// Gives errors under `/v1` the shape of OpenAI's.
pub(crate) async fn error_shape(request: Request, next: Next) -> Response {
    let is_theirs = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    let public = response.extensions_mut().remove::<PublicError>();
    let Some(public) = public.filter(|_| is_theirs) else { return response };
    let kind = match response.status().as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = OpenAiError { message: public.message, kind, param: public.param, code: public.code };
    let mut theirs = (response.status(), Json(OpenAiErrorBody { error })).into_response();
    let length_and_type = [axum::http::header::CONTENT_LENGTH, axum::http::header::CONTENT_TYPE];
    for (name, value) in response.headers().iter().filter(|(name, _)| !length_and_type.contains(name)) {
        theirs.headers_mut().append(name, value.clone());
    }
    theirs
}
