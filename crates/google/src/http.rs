use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::auth::{Auth, chain, install_crypto};
use crate::error::{Error, Kind, Service};

/// How often and how soon a request is retried after a transient error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Maximum number of retries.
    pub times: u32,
    /// Pause before the first retry; each next one is twice as long.
    pub first: Duration,
    /// The longest pause, even if the service asks for a longer one.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { times: 4, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Retry {
    /// No retries.
    pub const NONE: Self = Self { times: 0, first: Duration::ZERO, longest: Duration::ZERO };

    /// The pause before retry `number`, which starts at 1. Jittered between half and all of the backoff, so that clients
    /// that failed together do not retry together.
    fn pause(&self, number: u32, asked: Option<Duration>) -> Duration {
        let due = self.first.saturating_mul(1_u32.checked_shl(number - 1).unwrap_or(u32::MAX));
        let due = due.min(self.longest);
        let jittered = due.mul_f64(rand::random_range(0.5..=1.0));
        jittered.max(asked.unwrap_or_default().min(self.longest))
    }
}

/// After which errors a request may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// After any transient error: for a request that may arrive twice.
    Harmless,
    /// Only after errors which show that no work was started: for a request whose work costs money.
    Costly,
}

impl Repeat {
    fn allows(self, error: &Error) -> bool {
        error.kind.is_transient() && (self == Self::Harmless || !error.may_have_begun())
    }
}

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// The same for error answers.
const MAX_ERROR_BYTES: usize = 1 << 20;

/// Connections and credentials for one service.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) client: Client,
    pub(crate) auth: Auth,
    pub(crate) service: Service,
    retry: Retry,
}

impl Http {
    pub(crate) fn new(service: Service, auth: Auth, retry: Retry) -> Result<Self, Error> {
        install_crypto();
        // None of these services redirects, and a redirect must not receive the credentials or the picture.
        let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = builder.connect_timeout(Duration::from_secs(10)).build();
        let client = client.map_err(|error| Error::new(service, Kind::Network, chain(&error)))?;
        Ok(Self { client, auth, service, retry })
    }

    pub(crate) fn error(&self, kind: Kind, detail: impl Into<String>) -> Error {
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
            return Err(self.error(Kind::TooLarge, format!("{} bytes, the limit is {limit}", body.len())));
        }
        let answer = self.with_retries(repeat, || self.post_once(url, &body, timeout)).await?;
        serde_json::from_slice(&answer).map_err(|error| self.error(Kind::Malformed, error.to_string()))
    }

    async fn post_once(&self, url: &str, body: &[u8], within: Duration) -> Result<Vec<u8>, Error> {
        let response = timeout(within, self.send(url, body)).await.unwrap_or_else(|_| Err(self.timed_out(within)));
        let read = match response {
            Ok(response) => self.bytes(response, within).await,
            Err(error) => Err(error),
        };
        read.map_err(|error| error.of_request(&Method::POST, url))
    }

    /// Calls `attempt` until it succeeds, fails for good or has used up the retries.
    pub(crate) async fn with_retries<T, F: Future<Output = Result<T, Error>>>(
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
            let request = error.request.as_deref();
            tracing::info!(%error, request, pause_ms = pause.as_millis(), number, "retrying");
            sleep(pause).await;
        }
    }

    /// Answers a success whose body is still to be read.
    async fn send(&self, url: &str, body: &[u8]) -> Result<Response, Error> {
        let request = self.client.post(url).headers(self.auth.headers().await?);
        let request = request.header("content-type", "application/json").body(body.to_vec());
        let mut response = request.send().await.map_err(|error| self.no_answer(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BYTES {
                break;
            }
        }
        Err(self.rejection(response.status(), response.headers(), &body))
    }

    /// The error in an answer whose status is not a success.
    pub(crate) fn rejection(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let mut error = Error::from_answer(self.service, status.as_u16(), body);
        let header = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        error.retry_after = error.retry_after.or(header.map(Duration::from_secs));
        error
    }

    fn no_answer(&self, error: &reqwest::Error) -> Error {
        if error.is_builder() {
            return self.error(Kind::InvalidArgument, chain(error));
        }
        let kind = if error.is_connect() { Kind::Unreachable } else { Kind::Network };
        self.error(kind, chain(error))
    }

    pub(crate) fn timed_out(&self, after: Duration) -> Error {
        self.error(Kind::Timeout, format!("{} s", after.as_secs_f32()))
    }

    /// The body of an answer.
    async fn bytes(&self, mut response: Response, within: Duration) -> Result<Vec<u8>, Error> {
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(&error))? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Err(
                        self.error(Kind::Malformed, format!("the answer has more than {MAX_ANSWER_BYTES} bytes"))
                    );
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
