//! Clients that hold connections and send nothing, or next to nothing.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::app::{TestApp, Worker, expect_error};

/// Nothing here takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Beginnings of requests that are never sent to their end.
const HALVES: [&str; 4] = ["", "GET /hea", "GET /healthz HTTP/1.1\r\nHost: loc", "\r\n"];

async fn open(app: &TestApp, start: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&app.address).await.unwrap();
    stream.write_all(start.as_bytes()).await.unwrap();
    stream
}

/// Reads until the other side ends the connection; what came.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset ends it as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the service ends the connection");
    bytes
}

/// How many connections the service has ended, for that reason. All tests of the process count in.
async fn closed(app: &TestApp, reason: &str) -> u64 {
    let text = app.get("/metrics").await.text().await.unwrap();
    let start = format!("unflatten_connections_closed_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn half_sent_requests_give_their_places_to_new_ones() {
    let app = TestApp::with([("MAX_CONNECTIONS", "12")]).await;
    let mut held = Vec::new();
    for n in 0..60 {
        held.push(open(&app, HALVES[n % HALVES.len()]).await);
        if n % 15 == 14 {
            // Each time over a new connection.
            let response = reqwest::get(app.url("/healthz")).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    }
    assert_eq!(app.upload("p.png", crate::pictures::png()).await.status(), 201);
    // The oldest made room.
    assert!(read_to_end(&mut held[0]).await.is_empty());
    assert!(closed(&app, "place_needed").await >= 60 - 12);
}

#[tokio::test]
async fn what_is_in_flight_keeps_its_place() {
    let app = TestApp::with([("MAX_CONNECTIONS", "6")]).await;
    let job = app.job().await;
    let socket = format!("ws://{}/api/status/{job}", app.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(socket).await.unwrap();
    while !socket.next().await.unwrap().unwrap().is_text() {}
    let mut events = app.get(&format!("/api/jobs/{job}/events")).await;
    assert!(events.chunk().await.unwrap().is_some());
    let upload = b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\
        Content-Type: multipart/form-data; boundary=b\r\n\r\nab";
    let mut upload = open(&app, std::str::from_utf8(upload).unwrap()).await;
    let mut held = Vec::new();
    for n in 0..40 {
        held.push(open(&app, HALVES[n % HALVES.len()]).await);
        sleep(Duration::from_millis(2)).await;
    }
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    let messages: Vec<_> = timeout(PATIENCE, socket.collect()).await.unwrap();
    let texts: Vec<_> = messages.iter().filter_map(|message| message.as_ref().ok()?.to_text().ok()).collect();
    assert!(texts.iter().any(|text| text.contains("succeeded")), "{texts:?}");
    let rest = timeout(PATIENCE, events.text()).await.unwrap().unwrap();
    assert!(rest.contains("succeeded"), "{rest}");
    upload.write_all(b"cde").await.unwrap();
    let mut start = [0; 12];
    timeout(PATIENCE, upload.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 400");
}

#[tokio::test]
async fn live_streams_that_take_all_places_make_room_too() {
    let app = TestApp::with([("MAX_CONNECTIONS", "5")]).await;
    let job = app.job().await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let address = format!("ws://{}/api/status/{job}", app.address);
        sockets.push(tokio_tungstenite::connect_async(address).await.unwrap().0);
    }
    assert_eq!(reqwest::get(app.url("/healthz")).await.unwrap().status(), 200);
    let mut broken = 0;
    for socket in &mut sockets {
        while let Ok(Some(message)) = timeout(Duration::from_millis(50), socket.next()).await {
            broken += usize::from(!matches!(message, Ok(Message::Text(_) | Message::Ping(_))));
        }
    }
    assert!(broken >= 15, "{broken} of 20 streams ended");
}

#[tokio::test]
async fn headers_arrive_in_time_or_not_at_all() {
    let app = TestApp::configured(|config| config.connections.header_timeout = Duration::from_secs(2)).await;
    let silent = HALVES.map(|half| {
        let app = &app;
        async move { assert!(read_to_end(&mut open(app, half).await).await.is_empty(), "{half:?}") }
    });
    // A byte now and then is not enough, nor is it on a connection that has had an answer.
    let dripping = ["", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"].map(|start| {
        let app = &app;
        async move {
            let answer = drip(app, &format!("{start}GET /healthz HTTP/1.1\r\nHost: localhost\r\n")).await;
            assert_eq!(answer.is_empty(), start.is_empty(), "{start}");
        }
    });
    tokio::join!(join_all(silent), join_all(dripping));
}

/// Sends a start, then a byte now and then, until the service ends the connection; what it answered.
async fn drip(app: &TestApp, start: &str) -> Vec<u8> {
    let (mut reader, mut writer) = open(app, start).await.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.expect("the service ends the connection");
    timeout(PATIENCE, dripping).await.expect("nothing can be sent any more").unwrap();
    answer
}

#[tokio::test]
async fn a_connection_without_another_request_is_closed() {
    let app = TestApp::configured(|config| config.connections.idle_timeout = Duration::from_millis(300)).await;
    let mut stream = open(&app, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = String::from_utf8(read_to_end(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let app = TestApp::configured(|config| config.connections.transfer_timeout = Duration::from_millis(500)).await;
    for path in ["/api/upload", "/api/decompose"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\
             Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        );
        drip(&app, &head).await;
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_given_up() {
    let app = TestApp::configured(|config| config.connections.transfer_timeout = Duration::from_millis(500)).await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // More than the system buffers on both sides.
    let mut stalled = open(&app, &request.repeat(30)).await;
    let ended = async {
        while stalled.write_all(b"\r\n").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the service gives the client up");
}

#[tokio::test]
async fn clients_that_send_nothing_do_not_hold_up_the_end() {
    let app = TestApp::start().await;
    let mut held = Vec::new();
    for half in HALVES {
        held.push(open(&app, half).await);
    }
    let mut idle = open(&app, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    idle.read_exact(&mut [0; 12]).await.unwrap();
    // Well within the grace that requests in flight get.
    timeout(Duration::from_secs(15), app.stop()).await.expect("nothing is in flight");
    for stream in &mut held {
        assert!(read_to_end(stream).await.is_empty());
    }
}

#[tokio::test]
async fn headers_have_a_largest_size() {
    let app = TestApp::start().await;
    let long = "a".repeat(40_000);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nCookie: {long}\r\n\r\n"),
        format!("{long} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(200)),
    ] {
        let mut stream = TcpStream::connect(&app.address).await.unwrap();
        // The service may answer, and close, before all of it is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // Many cookies of other services on the same host do fit.
    let cookies = "a".repeat(20_000);
    assert_eq!(app.client.get(app.url("/healthz")).header("cookie", cookies).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn names_that_are_not_the_services_are_refused() {
    let app = TestApp::with([("ALLOWED_HOSTS", "poster.example")]).await;
    let send = |method: &str, path: &str, host: &str| {
        let request = app.client.request(method.parse().unwrap(), app.url(path)).header("host", host);
        request.header("origin", format!("http://{host}")).header("sec-fetch-site", "same-origin").send()
    };
    for (method, path) in
        [("GET", "/api/capabilities"), ("POST", "/api/upload"), ("DELETE", "/api/jobs/1"), ("GET", "/")]
    {
        let message =
            expect_error(send(method, path, "evil.example:8000").await.unwrap(), 403, "host_not_allowed").await;
        assert!(message.contains("ALLOWED_HOSTS"), "{message}");
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:8000", "poster.example"] {
        assert_eq!(send("GET", "/api/capabilities", host).await.unwrap().status(), 200, "{host}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send("GET", path, "probe.internal").await.unwrap().status(), 200, "{path}");
    }
    // The address in the request line goes before the header.
    let request = "GET http://evil.example/api/capabilities HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = read_to_end(&mut open(&app, request).await).await;
    assert!(answer.starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
}
