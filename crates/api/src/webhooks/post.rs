use std::fmt;
use std::time::Duration;

use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::address::{AddressError, PublicOnly};

/// The name's look-up, connection, request and answer together: nobody holds a place for longer.
const TIMEOUT: Duration = Duration::from_secs(15);

const USER_AGENT: &str = concat!("unflatten/", env!("CARGO_PKG_VERSION"));

/// How a receiver answered.
#[derive(Debug)]
pub enum Answer {
    Taken,
    /// It will not be otherwise next time.
    Refused(String),
    Failed {
        why: String,
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::Refused(why) | Self::Failed { why, .. } => f.write_str(why),
        }
    }
}

/// Makes the calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Poster(Agent);

impl Poster {
    pub fn new(allow_private: bool) -> Self {
        Self::within(allow_private, TIMEOUT)
    }

    fn within(allow_private: bool, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A redirect or a proxy would lead to addresses that were not checked.
            .max_redirects(0)
            .proxy(None)
            .user_agent(USER_AGENT)
            .build();
        let connector = DefaultConnector::new();
        Self(if allow_private {
            Agent::with_parts(config, connector, DefaultResolver::default())
        } else {
            Agent::with_parts(config, connector, PublicOnly::default())
        })
    }

    pub async fn post(&self, url: String, id: String, sent_at_s: i64, signature: String, body: String) -> Answer {
        let agent = self.0.clone();
        let call = move || {
            let request = agent
                .post(&url)
                .header("content-type", "application/json")
                .header("webhook-id", id)
                .header("webhook-timestamp", sent_at_s.to_string())
                .header("webhook-signature", signature);
            match request.send(body) {
                Ok(response) => judge(&response),
                Err(ureq::Error::Other(err)) if err.is::<AddressError>() => {
                    Answer::Refused(format!("{} {err}; WEBHOOK_ALLOW_PRIVATE=true lets it", shown(&url)))
                }
                Err(err) => {
                    Answer::Failed { why: format!("{} cannot be reached: {err}", shown(&url)), retry_after: None }
                }
            }
        };
        // ureq blocks its thread.
        let called = tokio::task::spawn_blocking(call).await;
        called.unwrap_or_else(|err| Answer::Failed { why: err.to_string(), retry_after: None })
    }
}

/// An address for the log: many receivers know their senders by a secret in its path or query.
fn shown(url: &str) -> String {
    let host = url::Url::parse(url).ok().and_then(|url| Some(format!("{}://{}", url.scheme(), url.host_str()?)));
    host.unwrap_or_else(|| "the address".to_owned())
}

fn judge(response: &ureq::http::Response<ureq::Body>) -> Answer {
    let status = response.status();
    if status.is_success() {
        return Answer::Taken;
    }
    if status == ureq::http::StatusCode::GONE {
        return Answer::Refused("the receiver answered 410, which asks for no more".to_owned());
    }
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let advice = if status.is_redirection() { "; redirects are not followed, name the final address" } else { "" };
    Answer::Failed { why: format!("the receiver answered {}{advice}", status.as_u16()), retry_after }
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
                .post(format!("http://{host}:{port}/hush?token=hush"), "id".into(), 0, "v1,".into(), "{}".into())
                .await;
            assert!(matches!(&answer, Answer::Refused(why) if why.contains("WEBHOOK_ALLOW_PRIVATE")), "{answer}");
            assert!(answer.to_string().contains(host) && !answer.to_string().contains("hush"), "{answer}");
        }
        let answer =
            Poster::new(true).post("http://127.0.0.1:1/hush".into(), "id".into(), 0, "v1,".into(), "{}".into()).await;
        assert!(matches!(&answer, Answer::Failed { why, .. } if !why.contains("hush")), "{answer}");
        let nobody_came = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody_came.is_err());
    }

    /// An answer that comes in drops, each well before any time-out between two of them.
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
        let poster = Poster::within(true, Duration::from_secs(1));
        let posted = poster.post(url, "id".into(), 0, "v1,".into(), "{}".into());
        let answer = tokio::time::timeout(Duration::from_secs(30), posted).await.expect("it is held for ever");
        assert!(matches!(answer, Answer::Failed { .. }), "{answer}");
    }
}
