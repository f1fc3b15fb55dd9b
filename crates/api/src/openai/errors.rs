use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Told;

/// The body of every answer under `/v1` that is no success.
#[derive(Serialize, ToSchema)]
pub struct OpenAiErrorBody {
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

/// Tells errors under `/v1` as OpenAI does.
pub async fn error_shape(request: Request, next: Next) -> Response {
    let is_theirs = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    let Some(told) = response.extensions_mut().remove::<Told>().filter(|_| is_theirs) else { return response };
    let kind = match response.status().as_u16() {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = OpenAiError { message: told.message, kind, param: told.param, code: told.code };
    let mut theirs = (response.status(), Json(OpenAiErrorBody { error })).into_response();
    let length_and_type = [axum::http::header::CONTENT_LENGTH, axum::http::header::CONTENT_TYPE];
    for (name, value) in response.headers().iter().filter(|(name, _)| !length_and_type.contains(name)) {
        theirs.headers_mut().append(name, value.clone());
    }
    theirs
}
