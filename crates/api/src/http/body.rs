//! The body of a request as it arrives, limited in length, in pace and in how much of it is in memory.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::Error;

/// The most bytes of a body that are handed on at once. HTTP chunks may be larger.
pub(crate) const PORTION: usize = 64 << 10;

/// How long the rest of a refused body is read ([`Incoming::drain`]).
const DRAIN: Duration = Duration::from_secs(10);

/// The rest of a refused body without a picture is read up to so many times its limit.
const DRAIN_FACTOR: u64 = 16;

/// How slowly a body may arrive. Only the time that we wait for the client counts, not that of our own disk.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The longest pause. Mobile networks and roaming laptops recover within it.
    idle: Duration,
    /// How far a body may fall behind `bytes_per_s`. That many bytes make up for a second of waiting.
    lag: Duration,
    /// Slower than any connection in use, so that a body below it is stalling on purpose.
    bytes_per_s: u64,
}

const PACE: Pace = Pace { idle: Duration::from_secs(30), lag: Duration::from_secs(45), bytes_per_s: 1024 };

impl Pace {
    /// The lag of a body that was behind by `lag`, kept us waiting for `waited` and then brought `bytes`.
    fn lag_after(&self, lag: Duration, waited: Duration, bytes: usize) -> Duration {
        let worth = Duration::from_millis((bytes as u64).saturating_mul(1000) / self.bytes_per_s);
        (lag + waited).saturating_sub(worth)
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is too long")]
    TooLong,
    #[error("no more of the body arrived for {} seconds; send the request again", .0.as_secs())]
    Idle(Duration),
    #[error(
        "the body arrives too slowly: it is {} seconds behind {bytes_per_s} bytes a second; use a faster connection",
        lag.as_secs()
    )]
    Slow { lag: Duration, bytes_per_s: u64 },
    #[error("the body is broken or was cut off; send the request again")]
    Broken(#[source] axum::Error),
}

impl BodyError {
    /// The error to answer with; `too_long` makes the one for a body that is too long.
    pub(crate) fn into_error(self, too_long: impl FnOnce() -> Error) -> Error {
        let message = self.to_string();
        match self {
            Self::TooLong => too_long(),
            Self::Idle(_) | Self::Slow { .. } => Error::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message),
            Self::Broken(_) => Error::bad_request("invalid_body", message),
        }
    }
}

/// Reads a body of at most `limit` bytes, such as a JSON document.
pub(crate) async fn read_whole(request: Request, limit: usize) -> Result<Vec<u8>, Error> {
    let most = limit as u64;
    let too_long = || Error::too_large("body_too_large", format!("the body has more than {limit} bytes; send less"));
    let (_, incoming) = Incoming::of(request, most).map_err(|fault| fault.into_error(too_long))?;
    match incoming.whole().await {
        Ok(body) => Ok(body),
        Err(fault) => {
            incoming.drain(most.saturating_mul(DRAIN_FACTOR)).await;
            Err(fault.into_error(too_long))
        }
    }
}

/// Reads the body of a refused request, up to `limit` bytes, so that its client gets to read why. One that waits for our
/// consent (`Expect`) has not sent any.
pub(crate) async fn discard(request: Request, limit: u64) {
    let expects_continue = request.headers().contains_key(header::EXPECT);
    if !expects_continue && let Ok((_, incoming)) = Incoming::of(request, limit) {
        incoming.drain(limit).await;
    }
}

/// A request's body, of which the rest can still be read after its reader has given up.
#[derive(Clone)]
pub(crate) struct Incoming(Arc<Mutex<Source>>);

struct Source {
    stream: BodyDataStream,
    /// The rest of the last chunk, not handed on yet.
    rest: Bytes,
    /// How many bytes may still come.
    left: u64,
    pace: Pace,
    /// How far the body is behind its pace, without the current wait.
    lag: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// The body of `request`, which may have at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] when the client declares a greater length and waits for our consent (`Expect`) before it
    /// sends: there is nothing to drain then.
    pub(crate) fn of(request: Request, limit: u64) -> Result<(Parts, Self), BodyError> {
        let (parts, body) = request.into_parts();
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > limit) && parts.headers.contains_key(header::EXPECT) {
            return Err(BodyError::TooLong);
        }
        Ok((parts, Self::new(body, limit, PACE)))
    }

    fn new(body: Body, limit: u64, pace: Pace) -> Self {
        Self(Arc::new(Mutex::new(Source {
            stream: body.into_data_stream(),
            rest: Bytes::new(),
            left: limit,
            pace,
            lag: Duration::ZERO,
            waiting_since: None,
            timer: None,
        })))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes, at most [`PORTION`]; `None` at the end.
    pub(crate) fn poll_portion(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.source().poll_portion(cx)
    }

    async fn whole(&self) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while let Some(portion) = std::future::poll_fn(|cx| self.poll_portion(cx)).await {
            body.extend_from_slice(&portion?);
        }
        Ok(body)
    }

    /// Reads and discards up to `limit` bytes.
    ///
    /// A client that is still sending when we close the connection gets a reset and never reads why it was refused.
    pub(crate) async fn drain(&self, mut limit: u64) {
        self.source().rest = Bytes::new();
        let discard = async {
            while let Some(Ok(chunk)) = std::future::poll_fn(|cx| self.source().stream.poll_next_unpin(cx)).await {
                match limit.checked_sub(chunk.len() as u64) {
                    Some(left) => limit = left,
                    None => break,
                }
            }
        };
        // The answer is sent now, whether the body ended or not.
        let _ = tokio::time::timeout(DRAIN, discard).await;
    }
}

impl Source {
    fn poll_portion(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.rest.is_empty() {
            match self.stream.poll_next_unpin(cx) {
                Poll::Pending => return self.poll_patience(cx).map(|fault| Some(Err(fault))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(err))) => return Poll::Ready(Some(Err(BodyError::Broken(err)))),
                Poll::Ready(Some(Ok(chunk))) => match self.left.checked_sub(chunk.len() as u64) {
                    None => return Poll::Ready(Some(Err(BodyError::TooLong))),
                    Some(left) => {
                        self.left = left;
                        self.arrived(chunk);
                    }
                },
            }
        }
        let size = self.rest.len().min(PORTION);
        Poll::Ready(Some(Ok(self.rest.split_to(size))))
    }

    fn arrived(&mut self, chunk: Bytes) {
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.lag = self.pace.lag_after(self.lag, waited, chunk.len());
        self.rest = chunk;
    }

    /// Ready, with the reason, once we have waited too long for the client.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let left = self.pace.lag.saturating_sub(self.lag);
        let timer = match self.waiting_since {
            Some(since) => self.timer.get_or_insert_with(|| Box::pin(sleep_until(since))),
            None => {
                let now = Instant::now();
                self.waiting_since = Some(now);
                let until = now + left.min(self.pace.idle);
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                timer.as_mut().reset(until);
                timer
            }
        };
        ready!(timer.as_mut().poll(cx));
        let Pace { idle, lag, bytes_per_s } = self.pace;
        Poll::Ready(if left <= idle { BodyError::Slow { lag, bytes_per_s } } else { BodyError::Idle(idle) })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    /// A body of these chunks.
    pub(crate) fn incoming(chunks: Vec<Vec<u8>>) -> Incoming {
        let body = Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)));
        Incoming::new(body, u64::MAX, PACE)
    }

    /// A body of `count` times the same chunk, each after a pause.
    fn paused(chunk: &'static [u8], count: usize, pause: Duration, pace: Pace) -> Incoming {
        let chunks = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(chunk)
        });
        Incoming::new(Body::from_stream(chunks), u64::MAX, pace)
    }

    /// The lag after 100 rounds of waiting for `bytes`.
    fn lag(wait: Duration, bytes: usize) -> Duration {
        (0..100).fold(Duration::ZERO, |lag, _| PACE.lag_after(lag, wait, bytes))
    }

    #[test]
    fn a_slow_line_may_take_its_time_and_a_drip_may_not() {
        // 50 kB a second, evenly and in bursts; then one byte in five seconds.
        assert_eq!(lag(Duration::from_millis(100), 5_000), Duration::ZERO);
        assert_eq!(lag(Duration::from_secs(20), 1_000_000), Duration::ZERO);
        assert!(lag(Duration::from_secs(5), 1) > 10 * PACE.lag);
        // A fast start does not make up for dripping later.
        let fast = PACE.lag_after(Duration::ZERO, Duration::from_secs(1), 10_000_000);
        assert_eq!(PACE.lag_after(fast, PACE.lag, 0), PACE.lag);
    }

    #[tokio::test]
    async fn a_body_that_drips_for_ever_ends_in_words_that_say_so() {
        let pace = Pace { idle: Duration::from_secs(3600), lag: Duration::from_millis(50), bytes_per_s: 1_000_000_000 };
        let fault = paused(b"x", usize::MAX, Duration::from_millis(5), pace).whole().await.unwrap_err();
        assert!(matches!(fault, BodyError::Slow { .. }), "{fault}");
        let answer = fault.into_error(|| unreachable!("it is not too long"));
        assert!(answer.to_string().contains("too slowly"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_stops_ends_in_other_words() {
        let pace = Pace { idle: Duration::from_millis(50), lag: Duration::from_secs(3600), bytes_per_s: 1 };
        let fault = paused(b"x", 2, Duration::from_secs(3600), pace).whole().await.unwrap_err();
        assert!(fault.to_string().contains("no more of the body"), "{fault}");
    }

    #[tokio::test]
    async fn pauses_between_the_bytes_are_no_fault() {
        let pace = Pace { idle: Duration::from_secs(3600), lag: Duration::from_secs(3600), bytes_per_s: 1 };
        let body = paused(b"abc", 5, Duration::from_millis(2), pace).whole().await.unwrap();
        assert_eq!(body, b"abcabcabcabcabc");
    }

    #[tokio::test]
    async fn large_chunks_come_in_portions_and_nothing_is_lost() {
        let chunk: Vec<u8> = (0..3 * PORTION + 5).map(|n| n as u8).collect();
        let incoming = incoming(vec![chunk.clone(), Vec::new(), b"end".to_vec()]);
        let mut sizes = Vec::new();
        let mut body = Vec::new();
        while let Some(portion) = std::future::poll_fn(|cx| incoming.poll_portion(cx)).await {
            let portion = portion.unwrap();
            sizes.push(portion.len());
            body.extend_from_slice(&portion);
        }
        assert_eq!(sizes, [PORTION, PORTION, PORTION, 5, 0, 3]);
        assert_eq!(body, [chunk, b"end".to_vec()].concat());
    }

    #[tokio::test]
    async fn more_than_the_limit_is_told_apart() {
        let body = Body::from_stream(stream::repeat(Ok::<_, Infallible>(&[0_u8; 1000][..])));
        let fault = Incoming::new(body, 10_500, PACE).whole().await.unwrap_err();
        assert!(matches!(fault, BodyError::TooLong), "{fault}");
    }
}
