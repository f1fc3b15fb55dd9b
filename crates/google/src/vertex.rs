use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::auth::Auth;
use crate::error::{Error, Kind, Service};
use crate::http::{Http, Repeat, Retry};

/// Documented size limits of a request and of an answer, in bytes: of shared public endpoints, and of dedicated ones.
const SHARED_LIMIT: usize = 1_500_000;
const DEDICATED_LIMIT: usize = 10_000_000;

/// Time limits of a call, with a margin: shared public endpoints end it after 60 seconds, dedicated ones after up to an
/// hour.
const SHARED_TIME: Duration = Duration::from_secs(50);
const DEDICATED_TIME: Duration = Duration::from_secs(600);

/// The method of an endpoint to call. Both carry the same JSON here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Predict,
    /// Forwards the body to the container unchanged.
    RawPredict,
}

/// An endpoint of Vertex AI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Id or number of the project.
    pub project: String,
    /// Such as `us-central1`.
    pub location: String,
    /// Id of the endpoint.
    pub id: String,
    /// Domain of a dedicated endpoint, such as `1234.us-central1-5678.prediction.vertexai.goog`, or a whole `http(s)://`
    /// address.
    pub domain: Option<String>,
    pub method: Method,
}

impl Endpoint {
    fn url(&self) -> String {
        let Self { project, location, id, .. } = self;
        let origin = match &self.domain {
            Some(address) if address.contains("://") => address.trim_end_matches('/').to_owned(),
            Some(domain) => format!("https://{domain}"),
            None => format!("https://{location}-aiplatform.googleapis.com"),
        };
        let method = match self.method {
            Method::Predict => "predict",
            Method::RawPredict => "rawPredict",
        };
        format!("{origin}/v1/projects/{project}/locations/{location}/endpoints/{id}:{method}")
    }

    /// The size limit of a request and of an answer, in bytes.
    pub fn size_limit(&self) -> usize {
        if self.domain.is_some() { DEDICATED_LIMIT } else { SHARED_LIMIT }
    }

    /// The time limit of a call.
    pub fn time_limit(&self) -> Duration {
        if self.domain.is_some() { DEDICATED_TIME } else { SHARED_TIME }
    }
}

/// A client of an endpoint of Vertex AI. Dropping the future of a call cancels it.
#[derive(Debug, Clone)]
pub struct Predictor {
    http: Http,
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct Instances<'a, T> {
    instances: [&'a T; 1],
}

#[derive(Deserialize)]
struct Predictions<T> {
    predictions: Vec<T>,
}

impl Predictor {
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(endpoint: Endpoint, auth: Auth, retry: Retry) -> Result<Self, Error> {
        Ok(Self { http: Http::new(Service::Prediction, auth, retry)?, endpoint })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends one instance and answers its prediction. Retries transient errors as far as `repeat` allows. `timeout` is that
    /// of each try.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], before anything is sent, when the instance exceeds the size limit; otherwise the error of the
    /// service.
    pub async fn predict<I: Serialize, P: DeserializeOwned>(
        &self,
        instance: &I,
        timeout: Duration,
        repeat: Repeat,
    ) -> Result<P, Error> {
        let body = Instances { instances: [instance] };
        let answer: Predictions<P> =
            self.http.post(&self.endpoint.url(), &body, self.endpoint.size_limit(), timeout, repeat).await?;
        let malformed = || Error::new(Service::Prediction, Kind::Malformed, "the answer contains no prediction");
        answer.predictions.into_iter().next().ok_or_else(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_shared_and_dedicated_endpoints() {
        let shared = Endpoint {
            project: "posters".to_owned(),
            location: "europe-west4".to_owned(),
            id: "42".to_owned(),
            domain: None,
            method: Method::Predict,
        };
        let path = "/v1/projects/posters/locations/europe-west4/endpoints/42:";
        assert_eq!(shared.url(), format!("https://europe-west4-aiplatform.googleapis.com{path}predict"));
        let domain = Some("42.europe-west4-77.prediction.vertexai.goog".to_owned());
        let dedicated = Endpoint { domain, method: Method::RawPredict, ..shared.clone() };
        assert_eq!(dedicated.url(), format!("https://42.europe-west4-77.prediction.vertexai.goog{path}rawPredict"));
        let local = Endpoint { domain: Some("http://127.0.0.1:9/".to_owned()), ..shared.clone() };
        assert_eq!(local.url(), format!("http://127.0.0.1:9{path}predict"));
        assert!(shared.size_limit() < dedicated.size_limit() && shared.time_limit() < dedicated.time_limit());
    }
}
