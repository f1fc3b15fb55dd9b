//! Extractors whose rejections have our error shape.

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::body::read_whole;
use super::error::Error;
use super::parse_errors::read_json;
use crate::auth::caller::Caller;

/// The `{id}` in a job's address. An id that is not a UUID names no job, so the answer is 404, not 400; so is that for a job
/// that the caller may not see.
pub(crate) struct JobId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for JobId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::job_not_found())?;
        let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        let id = id.ok_or_else(Error::job_not_found)?;
        if !Caller::of(&parts.extensions)?.may_see(id) {
            return Err(Error::job_not_found());
        }
        tracing::Span::current().record("job_id", tracing::field::display(id));
        Ok(Self(id))
    }
}

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub(crate) struct Query<T>(pub T);

/// Path parameters other than a job's id alone. (Not called `Path`, whose pattern utoipa would read.)
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(crate) struct Segments<T>(pub T);

/// The most bytes of a body; documents may have more.
const MAX_JSON: usize = 1 << 20;

/// The JSON body of a request.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Error> {
    json_up_to(request, MAX_JSON).await
}

/// The same for a body that may have more bytes than others.
pub(crate) async fn json_up_to<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Error> {
    let body = json_body(request, limit).await?;
    let body = body.ok_or_else(|| Error::bad_request("invalid_json", "the body is empty; send JSON"))?;
    parse(&body)
}

/// The JSON body of a request; `None` when it is empty or `null`.
pub(crate) async fn json_or_nothing<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Error> {
    let body = json_body(request, MAX_JSON).await?;
    body.filter(|body| body.trim_ascii() != b"null").map(|body| parse(&body)).transpose()
}

/// The text of a JSON body; `None` when it is empty.
async fn json_body(request: Request, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let is_json = media_type(request.headers()) == "application/json";
    let body = read_whole(request, limit).await?;
    if !body.is_empty() && !is_json {
        return Err(Error::unsupported("unsupported_media_type", "the body must be application/json"));
    }
    Ok(Some(body).filter(|body| !body.is_empty()))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let read = read_json(body, "the body").map_err(|(broken, problem)| match broken {
        true => Error::bad_request("invalid_json", problem),
        false => Error::unprocessable("invalid_parameter", problem),
    })?;
    // serde takes a list for an object whose fields come in order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::unprocessable("invalid_parameter", "the body must be an object, not a list"));
    }
    Ok(read)
}

/// The `Content-Type` in lower case, without parameters; empty when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
