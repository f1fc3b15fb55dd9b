//! Extractors whose rejections have our error shape.

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header;
use axum::http::request::Parts;
use jobs::{LayerInfo, Metadata};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::app::App;
use crate::body::read_whole;
use crate::error::Error;
use crate::plain::read_json;

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

/// The `{id}` of a job that has a result; otherwise the answer says why there is none.
pub struct Finished {
    pub id: Uuid,
    /// As it is stored: without the jobs that split layers again.
    pub metadata: Metadata,
}

impl FromRequestParts<App> for Finished {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let JobId(id) = JobId::from_request_parts(parts, app).await?;
        if let Some(metadata) = app.store.metadata(id).await? {
            return Ok(Self { id, metadata });
        }
        Err(match app.broker.job(id).await? {
            Some(job) => Error::no_result(&job),
            None => Error::job_not_found(),
        })
    }
}

impl Finished {
    /// The layer that an address names by its number.
    pub fn layer(&self, text: &str) -> Result<&LayerInfo, Error> {
        let number: Option<usize> = text.parse().ok().filter(|n: &usize| n.to_string() == text);
        number.and_then(|number| self.metadata.layers.get(number)).ok_or_else(|| {
            let message =
                format!("the result has {}, numbered from 0", service::counted(self.metadata.layers.len(), "layer"));
            Error::not_found("layer_not_found", message)
        })
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

/// Documents with a thousand layers and long names fit in.
const MAX_JSON: usize = 1 << 20;

/// The JSON body of a request.
pub async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Error> {
    json_or_nothing(request).await?.ok_or_else(|| Error::bad_request("invalid_json", "the body is empty; send JSON"))
}

/// The JSON body of a request; none where it is empty.
pub async fn json_or_nothing<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Error> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type
        .is_some_and(|text| text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json"));
    let body = read_whole(request, MAX_JSON).await?;
    if body.is_empty() {
        return Ok(None);
    }
    if !is_json {
        return Err(Error::unsupported("unsupported_media_type", "the body must be application/json"));
    }
    read_json(&body, "the body").map(Some).map_err(|(broken, problem)| match broken {
        true => Error::bad_request("invalid_json", problem),
        false => Error::unprocessable("invalid_parameter", problem),
    })
}
