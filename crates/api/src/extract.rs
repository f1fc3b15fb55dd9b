//! Extractors whose rejections have our error shape.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use uuid::Uuid;

use crate::error::Error;

/// The `{id}` of a job's address. What is no UUID names no job: 404, not 400.
pub struct JobId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for JobId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Error::job_not_found())?;
        let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        let id = id.ok_or_else(Error::job_not_found)?;
        tracing::Span::current().record("job_id", tracing::field::display(id));
        Ok(Self(id))
    }
}

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub struct Query<T>(pub T);

/// Path parameters other than a job's id alone. (Not called `Path`: utoipa would read its pattern.)
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Segments<T>(pub T);
