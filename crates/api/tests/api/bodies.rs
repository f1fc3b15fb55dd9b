//! Bodies as no well-meaning client sends them, over real connections.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{TestApp, expect_error};
use crate::pictures;

/// A form whose only part has this `Content-Disposition`.
fn form(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--BB\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n--BB--\r\n"].concat()
}

async fn post(app: &TestApp, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let request = app.client.post(app.url("/api/upload")).header("content-type", "multipart/form-data; boundary=BB");
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn file_names_are_read_as_clients_write_them() {
    let app = TestApp::start().await;
    for (disposition, filename) in [
        ("name=\"image\"; filename*=UTF-8''%ED%8F%AC%EC%8A%A4%ED%84%B0.png", "포스터.png"),
        ("name=\"image\"; filename=\"poster.png\"; filename*=UTF-8''%ED%8F%AC.png", "포.png"),
        ("filename=\"my name.png\"; name=\"image\"", "my name.png"),
        ("name=\"image\"; filename=\"a%22b%0D%0A.png\"", "a\"b.png"),
        ("name=\"image\"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
    ] {
        let response = post(&app, form(disposition, &pictures::png())).await;
        assert_eq!(response.status(), 201, "{disposition}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["filename"].as_str(), Some(filename), "{disposition}");
    }
}

#[tokio::test]
async fn boundaries_are_read_as_clients_write_them() {
    let app = TestApp::start().await;
    for content_type in [
        "multipart/form-data; boundary=BB",
        "multipart/form-data; boundary=\"BB\"",
        "multipart/form-data; charset=utf-8; boundary=BB",
        "Multipart/Form-Data; Boundary=\"BB\"; charset=utf-8",
    ] {
        let body = [b"This is a form.\r\n".to_vec(), form("name=image", &pictures::png())].concat();
        let request = app.client.post(app.url("/api/upload")).header("content-type", content_type);
        assert_eq!(request.body(body).send().await.unwrap().status(), 201, "{content_type}");
    }
}

#[tokio::test]
async fn a_part_header_without_end_is_refused() {
    let app = TestApp::start().await;
    for start in [
        "--BB\r\nContent-Disposition: form-data; name=\"image\"; filename=\"",
        "--BB\r\nContent-Disposition: form-data; name=\"seed\"\r\n\r\n1\r\n--BB\r\nx: ",
        "no boundary ",
    ] {
        let body = [start.as_bytes(), &vec![b'x'; 2_000_000]].concat();
        let message = expect_error(post(&app, body).await, 400, "part_header_too_large").await;
        assert!(message.contains("16384"), "{message}");
    }
    let boundary = "b".repeat(300);
    let request = app.client.post(app.url("/api/upload"));
    let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
    expect_error(request.body("x").send().await.unwrap(), 400, "invalid_multipart").await;
}

#[tokio::test]
async fn text_fields_are_limited_in_number_and_together() {
    let app = TestApp::start().await;
    let fields = |count: usize, size: usize| -> Vec<u8> {
        let field = |n| format!("--BB\r\nContent-Disposition: form-data; name=f{n}\r\n\r\n{}\r\n", "x".repeat(size));
        (0..count).map(field).collect::<String>().into_bytes()
    };
    expect_error(post(&app, fields(100, 0)).await, 400, "too_many_fields").await;
    expect_error(post(&app, fields(6, 60_000)).await, 413, "field_too_large").await;
    expect_error(post(&app, fields(1, 70_000)).await, 413, "field_too_large").await;
}

/// A connection that has sent this.
async fn connection(app: &TestApp, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&app.address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// The scratch files beside the uploads.
fn scratch_files(app: &TestApp) -> usize {
    let folder = std::fs::read_dir(app.dir.path().join("uploads/.staging"));
    folder.map_or(0, |entries| entries.count())
}

async fn until(holds: impl Fn() -> bool, what: &str) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn scratch_files_go_with_the_client() {
    let app = TestApp::start().await;
    let before = scratch_files(&app);
    let head = "POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\
        Content-Type: multipart/form-data; boundary=BB\r\n\r\n\
        --BB\r\nContent-Disposition: form-data; name=image\r\n\r\n";
    let sent = [head.as_bytes(), &vec![0; 200_000]].concat();
    let connections = futures_util::future::join_all((0..5).map(|_| connection(&app, &sent))).await;
    until(|| scratch_files(&app) == before + 5, "the uploads did not begin").await;
    drop(connections);
    until(|| scratch_files(&app) == before, "scratch files stay behind").await;
}

#[tokio::test]
async fn a_body_that_is_broken_is_told_from_one_that_is_too_long() {
    let app = TestApp::start().await;
    let head = "POST /api/decompose HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let mut stream = connection(&app, format!("{head}5\r\n{{\"see\r\nno length\r\n").as_bytes()).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_body"), "{answer}");
    // A client that waits for our word is told before it sends.
    let head = "POST /api/decompose HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
        Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n";
    let mut stream = connection(&app, head.as_bytes()).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn uploads_of_one_client_at_once_are_all_taken() {
    let app = TestApp::start().await;
    let uploads = (0..20).map(|_| app.upload("p.png", pictures::png()));
    for response in futures_util::future::join_all(uploads).await {
        assert_eq!(response.status(), 201);
    }
}
