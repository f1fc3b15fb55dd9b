use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use jobs::JobId;
use jobs::broker::{EmbeddedBroker, Outcome, Rules};
use jobs::testing::{RedisServer, TestBroker};
use serde_json::Value;
use service::Settings;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::app::{TestApp, Worker, expect_error};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(app: &TestApp, id: JobId, after: u64) -> Socket {
    connect_async(format!("ws://{}/api/status/{id}?after={after}", app.address)).await.unwrap().0
}

/// The next frame with JSON in it; `None` when the server closed normally.
pub(crate) async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await.expect("a close frame comes before the end").unwrap() {
            Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000);
                return None;
            }
            _ => {}
        }
    }
}

/// All events to the end: their numbers and types.
pub(crate) async fn rest(socket: &mut Socket) -> Vec<(u64, String)> {
    let mut events = Vec::new();
    while let Some(frame) = next(socket).await {
        if frame["type"] != "position" {
            events.push((frame["seq"].as_u64().unwrap(), frame["type"].as_str().unwrap().to_owned()));
        }
    }
    events
}

fn numbered(from: u64, types: &[&str]) -> Vec<(u64, String)> {
    (from..).zip(types.iter().map(|name| (*name).to_owned())).collect()
}

#[tokio::test]
async fn a_socket_replays_follows_and_closes() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    let mut socket = connect(&app, id, 0).await;
    for expected in ["queued", "started"] {
        let event = next(&mut socket).await.unwrap();
        assert_eq!((event["type"].as_str(), event["job_id"].as_str()), (Some(expected), Some(&*id.to_string())));
    }
    worker.progress(&lease, 25.0).await;
    assert_eq!(next(&mut socket).await.unwrap()["percent"], 25.0);
    worker.succeed(&lease).await;
    assert_eq!(rest(&mut socket).await, numbered(4, &["succeeded"]));
}

#[tokio::test]
async fn a_new_connection_goes_on_where_the_old_one_broke() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    let mut socket = connect(&app, id, 0).await;
    next(&mut socket).await.unwrap();
    let seen = next(&mut socket).await.unwrap()["seq"].as_u64().unwrap();
    drop(socket);
    worker.progress(&lease, 25.0).await;
    worker.progress(&lease, 75.0).await;
    let mut socket = connect(&app, id, seen).await;
    worker.succeed(&lease).await;
    assert_eq!(rest(&mut socket).await, numbered(seen + 1, &["progress", "progress", "succeeded"]));
    // After the end, late listeners still get everything, or nothing but the close.
    let types = ["queued", "started", "progress", "progress", "succeeded"];
    assert_eq!(rest(&mut connect(&app, id, 0).await).await, numbered(1, &types));
    assert!(rest(&mut connect(&app, id, 5).await).await.is_empty());
}

#[tokio::test]
async fn a_waiting_listener_sees_its_place_in_the_queue() {
    let app = TestApp::start().await;
    let first = app.job().await;
    let second = app.job().await;
    let mut socket = connect(&app, second, 0).await;
    assert_eq!(next(&mut socket).await.unwrap()["type"], "queued");
    assert_eq!(next(&mut socket).await.unwrap(), serde_json::json!({ "type": "position", "position": 1 }));
    app.broker.cancel(first).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["position"], 0);
    app.broker.cancel(second).await.unwrap();
    assert_eq!(rest(&mut socket).await, numbered(2, &["cancelled"]));
}

#[tokio::test]
async fn a_listener_may_talk_and_leave() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let mut socket = connect(&app, id, 0).await;
    socket.send(Message::text("hello")).await.unwrap();
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    loop {
        if let Message::Pong(bytes) = socket.next().await.unwrap().unwrap() {
            assert_eq!(bytes, "are you there");
            break;
        }
    }
    socket.close(None).await.unwrap();
    app.broker.cancel(id).await.unwrap();
    assert_eq!(app.state(id).await, "cancelled");
}

#[tokio::test]
async fn an_unknown_job_is_refused_before_the_upgrade() {
    let app = TestApp::start().await;
    for id in ["11111111-1111-4111-8111-111111111111", "x"] {
        let refused = connect_async(format!("ws://{}/api/status/{id}", app.address)).await.unwrap_err();
        let Error::Http(response) = refused else { panic!("{refused}") };
        assert_eq!(response.status(), 404);
    }
    let id = app.job().await;
    let path = app.url(&format!("/api/status/{id}"));
    let half = app.client.get(path).header("upgrade", "websocket").send().await.unwrap();
    expect_error(half, 400, "invalid_websocket").await;
    expect_error(app.get(&format!("/api/status/{id}?after=x")).await, 400, "invalid_query").await;
}

/// All frames with JSON, and the close code after them.
async fn to_the_end(socket: &mut Socket) -> (Vec<Value>, u16) {
    let mut frames = Vec::new();
    loop {
        match socket.next().await.expect("a close frame comes before the end").unwrap() {
            Message::Text(text) => frames.push(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => return (frames, u16::from(frame.unwrap().code)),
            _ => {}
        }
    }
}

/// Follows a waiting job over a socket and over SSE until `vanish` has made it vanish.
async fn sees_a_job_vanish(app: &TestApp, id: JobId, vanish: impl AsyncFnOnce()) {
    let path = format!("/api/jobs/{id}/events");
    let mut socket = connect(app, id, 0).await;
    assert_eq!(next(&mut socket).await.unwrap()["type"], "queued");
    assert_eq!(next(&mut socket).await.unwrap()["type"], "position");
    let events = app.get(&path).await;
    vanish().await;
    let (frames, code) = to_the_end(&mut socket).await;
    let [last] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((last["type"].as_str(), last["job_id"].as_str()), (Some("removed"), Some(&*id.to_string())));
    assert!(last["message"].as_str().is_some_and(|words| words.contains("deleted")), "{last}");
    assert_eq!(code, 4404);
    let told = sse(&events.text().await.unwrap());
    assert_eq!(told.last(), Some(&(None, "removed".to_owned())), "{told:?}");
    // An EventSource that connects again takes this for "do not connect again".
    let again = app.client.get(app.url(&path)).header("last-event-id", "1").send().await.unwrap();
    expect_error(again, 404, "job_not_found").await;
}

#[tokio::test]
async fn a_job_that_vanishes_from_the_file_ends_its_streams_in_words() {
    let dir = TempDir::new().unwrap();
    let file = EmbeddedBroker::open(&dir.path().join("queue.sqlite"), Rules::default()).await.unwrap();
    let queue = TestBroker::new(Arc::new(file));
    let app = TestApp::on(dir, queue.clone(), &Settings::from_pairs([])).await;
    let id = app.job().await;
    sees_a_job_vanish(&app, id, async || queue.lose(id)).await;
}

#[tokio::test]
async fn a_job_that_vanishes_from_redis_ends_its_streams_in_words() {
    let redis = RedisServer::start();
    let app = TestApp::with([("REDIS_URL", &*redis.url())]).await;
    let id = app.job().await;
    let flush = async || {
        let mut raw = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
        raw.write_all(b"FLUSHALL\r\n").await.unwrap();
        let mut reply = [0; 5];
        raw.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"+OK\r\n");
    };
    sees_a_job_vanish(&app, id, flush).await;
}

#[tokio::test]
async fn a_finished_job_that_is_deleted_ended_before_and_is_not_found_after() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let mut socket = connect(&app, id, 0).await;
    let (frames, code) = to_the_end(&mut socket).await;
    assert_eq!((frames.len(), code), (3, 1000));
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    let refused = connect_async(format!("ws://{}/api/status/{id}", app.address)).await.unwrap_err();
    assert!(matches!(refused, Error::Http(response) if response.status() == 404));
}

#[tokio::test]
async fn pages_of_other_origins_open_no_socket() {
    let app = TestApp::with([("CORS_ORIGINS", "https://app.example")]).await;
    let id = app.job().await;
    let open = async |origin: &str| {
        let mut request = format!("ws://{}/api/status/{id}", app.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => {
                let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
                assert_eq!(body["error"]["code"], "cross_origin");
                response.status().as_u16()
            }
            Err(err) => panic!("{err}"),
        }
    };
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1", 403),
        (&*format!("http://{}", app.address), 101),
        ("https://app.example", 101),
    ] {
        assert_eq!(open(origin).await, status, "{origin}");
    }
    // What it reads as plain JSON is for CORS to say.
    let plain = app.client.get(app.url(&format!("/api/status/{id}"))).header("origin", "https://evil.example");
    assert_eq!(plain.send().await.unwrap().status(), 200);
}

/// `(id, type)` of each event of a stream that has ended.
fn sse(text: &str) -> Vec<(Option<u64>, String)> {
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.map(|value| value.trim().to_owned())
    };
    blocks
        .map(|block| {
            let data: Value = serde_json::from_str(&field(block, "data:").unwrap()).unwrap();
            (field(block, "id:").map(|id| id.parse().unwrap()), data["type"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn scripts_get_server_sent_events() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/events");
    let response = app.get(&path).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let all = sse(&response.text().await.unwrap());
    let expected = [(Some(1), "queued"), (Some(2), "started"), (Some(3), "succeeded")];
    assert_eq!(all, expected.map(|(id, name)| (id, name.to_owned())));

    let later = sse(&app.get(&format!("{path}?after=2")).await.text().await.unwrap());
    assert_eq!(later, [(Some(3), "succeeded".to_owned())]);
    let resume =
        |id: &'static str| app.client.get(app.url(&format!("{path}?after=0"))).header("last-event-id", id).send();
    assert_eq!(sse(&resume("1").await.unwrap().text().await.unwrap()).len(), 2);
    // An EventSource takes 204 for "do not connect again".
    assert_eq!(resume("3").await.unwrap().status(), 204);
    expect_error(resume("x").await.unwrap(), 400, "invalid_last_event_id").await;
}

#[tokio::test]
async fn server_sent_events_come_while_they_happen() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let mut body = app.get(&format!("/api/jobs/{id}/events")).await.bytes_stream();
    let first = body.next().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("\"queued\""));
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.finish(&lease, Outcome::Cancelled).await;
    let mut rest = String::new();
    while let Some(chunk) = body.next().await {
        rest.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    let types: Vec<_> = sse(&rest).into_iter().filter(|(id, _)| id.is_some()).map(|(_, name)| name).collect();
    assert_eq!(types, ["started", "cancelled"]);
}

#[tokio::test]
async fn stopping_ends_live_streams_and_lets_them_know() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let mut socket = connect(&app, id, 0).await;
    next(&mut socket).await.unwrap();
    let mut events = app.get(&format!("/api/jobs/{id}/events")).await;
    assert!(events.chunk().await.unwrap().is_some());
    app.shutdown.cancel();
    let code = loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            break u16::from(frame.unwrap().code);
        }
    };
    assert_eq!(code, 1012);
    // Ends cleanly: a broken transfer would be an error.
    while events.chunk().await.unwrap().is_some() {}
    app.server.await.unwrap().unwrap();
}
