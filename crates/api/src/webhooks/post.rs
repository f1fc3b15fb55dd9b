//! One HTTP request to the receiver of a webhook.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

use super::connect::Connector;
use super::ssrf_guard::{ResolveError, resolve};

/// The look-up of the name, the connection, the request and the answer together.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The most bytes of an answer's status and headers. Its body is not read.
const MAX_HEAD: usize = 32 << 10;

const USER_AGENT: &str = concat!("unflatten/", env!("CARGO_PKG_VERSION"));

/// How a post ended.
#[derive(Debug)]
pub(super) enum PostOutcome {
    Accepted,
    /// A retry would end alike.
    Rejected(String),
    Failed {
        why: String,
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for PostOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Rejected(why) | Self::Failed { why, .. } => f.write_str(why),
        }
    }
}

/// Posts webhooks: directly, without a proxy, and without following redirects, which would lead to addresses that were
/// not checked. Cheap to clone.
#[derive(Clone)]
pub(super) struct Poster {
    allow_private: bool,
    timeout: Duration,
    connector: Connector,
}

impl Poster {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { allow_private, timeout: TIMEOUT, connector: Connector::new() }
    }

    pub(super) async fn post(&self, url: &str, id: &str, sent_at_s: i64, signature: &str, body: String) -> PostOutcome {
        let request = Request::post("/")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", sent_at_s)
            .header("webhook-signature", signature)
            .body(Body::from(body));
        let (url, request) = match (Url::parse(url), request) {
            (Ok(url), Ok(request)) => (url, request),
            (Err(err), _) => return PostOutcome::Rejected(format!("the address cannot be read: {err}")),
            (_, Err(err)) => return PostOutcome::Rejected(format!("the request cannot be made: {err}")),
        };
        match timeout(self.timeout, self.send(&url, request)).await {
            Ok(Ok(response)) => outcome(&response),
            Ok(Err(SendError::Resolve(ResolveError::Address(err)))) => {
                let why = format!("{} {err}; set WEBHOOK_ALLOW_PRIVATE=true to allow it", origin(&url));
                PostOutcome::Rejected(why)
            }
            Ok(Err(err)) => failed(format!("{} cannot be reached: {err}", origin(&url))),
            Err(_) => failed(format!("{} did not answer within {} s", origin(&url), self.timeout.as_secs())),
        }
    }

    async fn send(&self, url: &Url, mut request: Request<Body>) -> Result<Response<hyper::body::Incoming>, SendError> {
        *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse()?;
        let host = &url[Position::BeforeHost..Position::AfterPort];
        request.headers_mut().insert(header::HOST, host.parse()?);
        let addresses = resolve(url, self.allow_private).await?;
        let stream = self.connector.connect(url, &addresses).await?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
        // Ends with this call: neither the answer's body nor another request is waited for.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        Ok(sender.send_request(request).await?)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Uri(#[from] axum::http::uri::InvalidUri),
    #[error(transparent)]
    Host(#[from] header::InvalidHeaderValue),
}

/// The part of an address for the log: many receivers authenticate senders by a secret in the path or query.
fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
}

fn failed(why: String) -> PostOutcome {
    PostOutcome::Failed { why, retry_after: None }
}

fn outcome<B>(response: &Response<B>) -> PostOutcome {
    let status = response.status();
    if status.is_success() {
        return PostOutcome::Accepted;
    }
    if status == StatusCode::GONE {
        return PostOutcome::Rejected("the receiver answered 410, so it wants no more webhooks".to_owned());
    }
    let header = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let advice = if status.is_redirection() { "; redirects are not followed, use the final address" } else { "" };
    PostOutcome::Failed { why: format!("the receiver answered {}{advice}", status.as_u16()), retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_into_a_private_network_is_not_called() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1"] {
            let answer = Poster::new(false)
                .post(&format!("http://{host}:{port}/hush?token=hush"), "id", 0, "v1,", "{}".to_owned())
                .await;
            assert!(matches!(&answer, PostOutcome::Rejected(why) if why.contains("WEBHOOK_ALLOW_PRIVATE")), "{answer}");
            assert!(answer.to_string().contains(host) && !answer.to_string().contains("hush"), "{answer}");
        }
        let answer = Poster::new(true).post("http://127.0.0.1:1/hush", "id", 0, "v1,", "{}".to_owned()).await;
        assert!(matches!(&answer, PostOutcome::Failed { why, .. } if !why.contains("hush")), "{answer}");
        let nobody_came = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody_came.is_err());
    }

    /// The answer arrives byte by byte, each well within any timeout between two of them.
    #[tokio::test]
    async fn a_receiver_that_answers_slowly_is_left_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain([b'x'].iter().cycle()) {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let poster = Poster { timeout: Duration::from_secs(1), ..Poster::new(true) };
        let posted = poster.post(&url, "id", 0, "v1,", "{}".to_owned());
        let answer = tokio::time::timeout(Duration::from_secs(30), posted).await.expect("it is held for ever");
        assert!(matches!(answer, PostOutcome::Failed { .. }), "{answer}");
    }

    /// Answers each connection with `answer`, after it has read the head of the request.
    fn answer_with(answer: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=1", listener.local_addr().unwrap());
        let (sender, requests) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (url, requests)
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_endless_headers_not_read() {
        let (target, reached) = answer_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let redirect = format!("HTTP/1.1 307 Go\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n").leak();
        let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(4 * MAX_HEAD)).leak();
        let post = async |url: &str| Poster::new(true).post(url, "id", 7, "v1,x", "{}".to_owned()).await;
        for answer in [&*redirect, &*long] {
            let (url, _requests) = answer_with(answer);
            let outcome = post(&url).await;
            assert!(matches!(outcome, PostOutcome::Failed { .. }), "{outcome}");
        }
        assert!(reached.try_recv().is_err());

        assert!(matches!(post(&target).await, PostOutcome::Accepted));
        let request = reached.recv().unwrap().to_ascii_lowercase();
        let host = target.split('/').nth(2).unwrap();
        assert!(request.starts_with("post /hook?key=1 http/1.1\r\n"), "{request}");
        for line in [&*format!("host: {host}"), "webhook-id: id", "webhook-timestamp: 7", "webhook-signature: v1,x"] {
            assert!(request.contains(&format!("{line}\r\n")), "{line}: {request}");
        }
    }
}
