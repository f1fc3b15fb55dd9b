//! A local server that gives prepared answers, one after the other, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: Method,
    pub target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    pub(crate) fn bearer(&self) -> String {
        self.header("authorization").strip_prefix("Bearer ").expect("a bearer token").to_owned()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Whole(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks after this part of the body.
    Cut(Vec<(&'static str, String)>, String),
    Silence,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::Whole(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Whole(status, vec![("content-type", "text/plain".to_owned())], body.to_owned())
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self::text(status, "").with("location", to)
    }

    /// One more header, where there are any.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Whole(_, headers, _) | Self::Cut(headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }

    pub(crate) fn cut() -> Self {
        Self::cut_after("{")
    }

    pub(crate) fn cut_after(part: &str) -> Self {
        Self::Cut(Vec::new(), part.to_owned())
    }

    pub(crate) fn silence() -> Self {
        Self::Silence
    }
}

#[derive(Default)]
struct Shared {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
}

pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let shared = Arc::new(Mutex::new(Shared { replies: replies.into(), seen: Vec::new() }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let app = app.layer(axum::extract::DefaultBodyLimit::disable());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Self { address, shared, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.lock().expect("no panic").seen.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = {
        let mut shared = shared.lock().expect("no panic");
        shared.seen.push(Seen { method, target: uri.to_string(), headers, body });
        shared.replies.pop_front()
    };
    match reply {
        Some(Reply::Whole(status, headers, body)) => response(status, headers, Body::from(body)),
        Some(Reply::Cut(headers, part)) => {
            let pieces = tokio_stream::iter([Ok(Bytes::from(part)), Err(std::io::Error::other("cut"))]);
            // Pausing first, so that the part is sent.
            let pieces = pieces.then(async |piece| {
                tokio::time::sleep(Duration::from_millis(50 * u64::from(piece.is_err()))).await;
                piece
            });
            response(200, headers, Body::from_stream(pieces))
        }
        Some(Reply::Silence) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
        None => (StatusCode::IM_A_TEAPOT, "no answer was prepared").into_response(),
    }
}

fn response(status: u16, headers: Vec<(&'static str, String)>, body: Body) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body).expect("a response")
}

/// Whether a JWT was signed with RS256 by the key whose public half lies in `data/`.
pub(crate) fn verify(token: &str) -> bool {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let key = include_bytes!("../data/public_key.der");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(signed.as_bytes(), &signature).is_ok()
}

pub(crate) fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).expect("base64")).expect("JSON")
}
