use futures_util::{SinkExt, StreamExt};
use jobs::JobId;
use jobs::broker::Outcome;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::app::{TestApp, Worker, expect_error};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn connect(app: &TestApp, id: JobId, after: u64) -> Socket {
    connect_async(format!("ws://{}/api/status/{id}?after={after}", app.address)).await.unwrap().0
}

/// The next frame with JSON in it; `None` when the server closed normally.
pub async fn next(socket: &mut Socket) -> Option<Value> {
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
pub async fn rest(socket: &mut Socket) -> Vec<(u64, String)> {
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
