use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::auth::{Auth, chain, install_crypto};
use crate::error::{Error, Kind, Service};

/// How often and how soon a request that failed for a passing reason is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// Pause before the first of them; each next one is twice as long.
    pub first: Duration,
    /// The longest pause, also where the service asks for a longer one.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { times: 4, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Retry {
    /// Never a second time.
    pub const NONE: Self = Self { times: 0, first: Duration::ZERO, longest: Duration::ZERO };

    /// The pause before try `number` (1 for the second), between half and all of what is due, so that many clients
    /// that failed together do not come back together.
    fn pause(&self, number: u32, asked: Option<Duration>) -> Duration {
        let due = self.first.saturating_mul(1_u32.checked_shl(number - 1).unwrap_or(u32::MAX));
        let due = due.min(self.longest);
        let jittered = due.mul_f64(rand::random_range(0.5..=1.0));
        jittered.max(asked.unwrap_or_default().min(self.longest))
    }
}

/// After which failures a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// After all that may pass: for a request that does no harm when it comes twice.
    Harmless,
    /// Only after those that say that nothing was begun: for a request that starts work which costs money.
    Costly,
}

impl Repeat {
    fn allows(self, error: &Error) -> bool {
        error.kind.is_transient() && (self == Self::Harmless || !error.may_have_begun())
    }
}

/// The largest answer that is read; more is a mistake.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// As much of an answer that is no success.
const MAX_ERROR_BYTES: usize = 1 << 20;

/// Connections and credentials for one service.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    auth: Auth,
    pub(crate) service: Service,
    retry: Retry,
}

/// One request, as often as it has to be sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: Vec<u8>,
    /// For each try.
    pub(crate) timeout: Duration,
}

impl Http {
    pub(crate) fn new(service: Service, auth: Auth, retry: Retry) -> Result<Self, Error> {
        install_crypto();
        // None of these services redirects. Whatever does is not told the key, nor sent the picture.
        let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = builder.connect_timeout(Duration::from_secs(10)).build();
        let client = client.map_err(|error| Error::new(service, Kind::Network, chain(&error)))?;
        Ok(Self { client, auth, service, retry })
    }

    fn error(&self, kind: Kind, detail: impl Into<String>) -> Error {
        Error::new(self.service, kind, detail)
    }

    /// Sends JSON of at most `limit` bytes and reads JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        body: &impl Serialize,
        limit: usize,
        timeout: Duration,
        repeat: Repeat,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|error| self.error(Kind::InvalidArgument, error.to_string()))?;
        if body.len() > limit {
            return Err(self.error(Kind::TooLarge, format!("{} bytes, at most {limit} are taken", body.len())));
        }
        let content_type = Some("application/json");
        let request = Request { method: Method::POST, url, content_type, body, timeout };
        let (_, answer) = self.patiently(repeat, || self.whole(&request)).await?;
        serde_json::from_slice(&answer).map_err(|error| self.error(Kind::Malformed, error.to_string()))
    }

    /// Sends a request, again while it fails for a passing reason; answers with a success and its whole body.
    pub(crate) async fn fetch(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        Ok(self.fetch_with_headers(request).await?.1)
    }

    /// Like [`Http::fetch`], with what the answer says of its body.
    pub(crate) async fn fetch_with_headers(&self, request: &Request<'_>) -> Result<(HeaderMap, Vec<u8>), Error> {
        self.patiently(Repeat::Harmless, || self.whole(request)).await
    }

    /// Like [`Http::fetch`], with the body still to be read.
    pub(crate) async fn open(&self, request: &Request<'_>) -> Result<Response, Error> {
        self.patiently(Repeat::Harmless, || self.send_once(request)).await
    }

    async fn whole(&self, request: &Request<'_>) -> Result<(HeaderMap, Vec<u8>), Error> {
        let mut response = self.send_once(request).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok((headers, self.bytes(response, request.timeout).await?))
    }

    async fn patiently<T, F: Future<Output = Result<T, Error>>>(
        &self,
        repeat: Repeat,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut number = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            number += 1;
            if !repeat.allows(&error) || number > self.retry.times {
                return Err(error);
            }
            let pause = self.retry.pause(number, error.retry_after);
            tracing::info!(%error, pause_ms = pause.as_millis(), number, "trying again");
            sleep(pause).await;
        }
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Response, Error> {
        let attempt = async {
            let headers = self.auth.headers().await?;
            let mut builder = self.client.request(request.method.clone(), request.url).headers(headers);
            if let Some(content_type) = request.content_type {
                builder = builder.header("content-type", content_type).body(request.body.clone());
            }
            let mut response = builder.send().await.map_err(|error| self.no_answer(&error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let status = response.status().as_u16();
            let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let mut body = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ERROR_BYTES {
                    break;
                }
            }
            let mut error = Error::from_answer(self.service, status, &body);
            error.retry_after = error.retry_after.or(header.map(Duration::from_secs));
            Err(error)
        };
        timeout(request.timeout, attempt).await.unwrap_or_else(|_| Err(self.timed_out(request.timeout)))
    }

    fn no_answer(&self, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return self.error(Kind::InvalidArgument, chain(error));
        }
        // The address is in the message; it holds no secret.
        let kind = if error.is_connect() { Kind::Unreachable } else { Kind::Network };
        self.error(kind, chain(error))
    }

    fn timed_out(&self, after: Duration) -> Error {
        self.error(Kind::Timeout, format!("{} s", after.as_secs_f32()))
    }

    /// The whole body of an answer.
    async fn bytes(&self, mut response: Response, within: Duration) -> Result<Vec<u8>, Error> {
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(&error))? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Err(self.error(Kind::Malformed, format!("more than {MAX_ANSWER_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        timeout(within, read).await.unwrap_or_else(|_| Err(self.timed_out(within)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_heed_the_service() {
        let retry = Retry { times: 9, first: Duration::from_secs(1), longest: Duration::from_secs(20) };
        for (number, due) in [(1, 1.0), (2, 2.0), (4, 8.0), (6, 20.0), (60, 20.0)] {
            let pause = retry.pause(number, None).as_secs_f64();
            assert!((due / 2.0..=due).contains(&pause), "{number}: {pause}");
        }
        assert_eq!(retry.pause(1, Some(Duration::from_secs(12))), Duration::from_secs(12));
        assert_eq!(retry.pause(1, Some(Duration::from_secs(3600))), Duration::from_secs(20));
    }
}
