//! What clients that do not read, or do not stay, keep from others.

use std::io::{Cursor, Write};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::app::{TestApp, Worker, expect_error};
use crate::edits::layer as element;
use crate::pictures;

/// Runs a test where only `threads` threads are there for whatever blocks.
fn with_blocking_threads(threads: usize, test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(threads).enable_all().build().unwrap().block_on(test);
}

impl TestApp {
    /// A result of some megabytes.
    async fn large_result(&self) -> jobs::JobId {
        let body: Value = self.upload("noise.png", pictures::noise_png(1100)).await.json().await.unwrap();
        self.decompose(&json!({ "upload_id": body["upload_id"] })).await;
        let worker = Worker::start(self).await;
        let lease = worker.claim().await;
        worker.begin(&lease).await;
        worker.succeed(&lease).await;
        lease.job_id
    }

    /// A client that asks, sees that it is answered, and reads no further.
    async fn stalled(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    }

    pub(crate) async fn answers(&self, path: &str) -> Vec<u8> {
        let answer = async { self.get(path).await.bytes().await.unwrap() };
        tokio::time::timeout(Duration::from_secs(60), answer).await.expect(path).to_vec()
    }
}

#[test]
fn stalled_downloads_keep_nobody_waiting() {
    with_blocking_threads(2, async {
        let app = TestApp::start().await;
        let id = app.large_result().await;
        let mut stalled = Vec::new();
        for n in 0..48 {
            let path = match n % 4 {
                0 => format!("/api/jobs/{id}/layers/1.png"),
                1 => format!("/api/download/{id}?format=psd"),
                _ => format!("/api/download/{id}"),
            };
            // A client has at most 16 exports that are not over.
            stalled.push(app.stalled(&path).await);
        }
        app.answers(&format!("/api/status/{id}")).await;
        app.answers("/api/capabilities").await;
        let archive = app.answers(&format!("/api/download/{id}")).await;
        assert!(ZipArchive::new(Cursor::new(archive)).is_ok());
        let job = tokio::time::timeout(Duration::from_secs(60), app.job()).await.unwrap();
        assert_eq!(app.state(job).await, "queued");
        drop(stalled);
        app.answers(&format!("/api/download/{id}?format=ora")).await;
    });
}

#[test]
fn exports_need_one_blocking_thread_at_most() {
    with_blocking_threads(1, async {
        let app = TestApp::start().await;
        let id = app.finished_job().await;
        let paths =
            ["psd", "ora", "pptx", "svg", "zip"].map(|format| format!("/api/download/{id}?format={format}&trim=true"));
        for body in futures_util::future::join_all(paths.iter().map(|path| app.answers(path))).await {
            assert!(body.len() > 1000);
        }
    });
}

#[tokio::test]
async fn an_archive_has_the_bytes_of_one_that_is_written_at_once() {
    let app = TestApp::start().await;
    let id = app.large_result().await;
    let mut expected = ZipWriter::new_stream(Vec::new());
    for (name, path) in [
        ("layer_0.png", "layers/0.png"),
        ("layer_1.png", "layers/1.png"),
        ("metadata.json", "metadata.json"),
        ("preview.jpg", "preview.jpg"),
    ] {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(if name.ends_with("json") { 6 } else { 1 }))
            .last_modified_time(DateTime::DEFAULT);
        expected.start_file(name, options).unwrap();
        let content = app.answers(&format!("/api/jobs/{id}/{path}")).await;
        for piece in content.chunks(8 << 10) {
            expected.write_all(piece).unwrap();
        }
    }
    let expected = expected.finish().unwrap().into_inner();
    assert!(app.answers(&format!("/api/download/{id}")).await == expected);
}

#[tokio::test]
async fn nothing_is_written_for_who_has_it_or_wants_the_head() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let mut tags = Vec::new();
    for query in ["", "?trim=true", "?format=psd", "?format=psd&shapes=pixels"] {
        let path = format!("/api/download/{id}{query}");
        let head = app.client.head(app.url(&path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert!(head.headers().contains_key("content-disposition") && !head.headers().contains_key("content-length"));
        let tag = head.headers()["etag"].clone();
        assert_eq!(app.get(&path).await.headers()["etag"], tag);
        let again = app.client.get(app.url(&path)).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(!tags.contains(&tag), "{tag:?}");
        tags.push(tag);
    }
}

#[tokio::test]
async fn an_export_beyond_the_memory_is_refused_unless_it_is_the_result_itself() {
    let app = TestApp::with([("EXPORT_MEMORY_LIMIT", "1MB")]).await;
    let id = app.finished_job().await;
    let composed = app.post(&format!("/api/jobs/{id}/compose"), &json!({})).await;
    let message = expect_error(composed, 422, "export_too_large").await;
    assert!(message.contains("EXPORT_MEMORY_LIMIT"), "{message}");
    for format in ["psd", "ora", "pptx", "svg", "zip"] {
        assert!(app.answers(&format!("/api/download/{id}?trim=true&format={format}")).await.len() > 1000, "{format}");
    }
}

#[tokio::test]
async fn depth_names_and_sizes_of_a_composition_are_bounded() {
    let app = TestApp::with([("MAX_PIXELS", "100000")]).await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/compose");
    let groups = |count: u64, name: &str| {
        let group = |n: u64| json!({ "id": n, "parent": (n > 1).then(|| n - 1), "edit": { "name": name } });
        let mut elements: Vec<Value> = (1..=count).map(group).collect();
        elements.push(json!({ "id": 0, "parent": count, "layer": { "job_id": id, "layer": 0 } }));
        elements
    };
    for format in ["png", "psd", "ora", "pptx", "svg", "zip"] {
        let composed = app.post(&path, &json!({ "format": format, "elements": groups(50, &"g".repeat(200)) })).await;
        assert_eq!(composed.status(), StatusCode::OK, "{format}");
        composed.bytes().await.unwrap();
        for count in [51, 1900] {
            let refused = app.post(&path, &json!({ "format": format, "elements": groups(count, "g") })).await;
            let message = expect_error(refused, 422, "too_many_groups").await;
            assert!(message.contains("at most 50"), "{message}");
        }
    }
    for name in ["", &"g".repeat(201), "a\nb", "a\u{85}"] {
        let refused = app.post(&path, &json!({ "elements": groups(1, name) })).await;
        expect_error(refused, 422, "invalid_parameter").await;
        let named = json!([element(id, 0, json!({ "name": name }))]);
        expect_error(app.post(&path, &json!({ "elements": named })).await, 422, "invalid_parameter").await;
    }
    let many = |count: u32, layer: u32, edit: Value| {
        let entry = |n: u32| {
            let mut entry = element(id, layer, edit.clone());
            entry["id"] = json!(n);
            entry
        };
        json!({ "elements": (0..count).map(entry).collect::<Vec<_>>() })
    };
    expect_error(app.post(&path, &many(2001, 0, json!({}))).await, 422, "too_many_layers").await;
    expect_error(
        app.post(&path, &many(1000, 1, json!({ "scale_x": 4, "scale_y": 4 }))).await,
        422,
        "composition_too_large",
    )
    .await;
    let composed = app.composed(id, &many(1000, 1, json!({ "scale_x": 4, "scale_y": 4, "x": 90_000 }))).await;
    assert!(composed.pixels().all(|pixel| pixel[3] == 0));
}

#[tokio::test]
async fn one_client_has_only_so_many_exports_that_are_not_over() {
    let app = TestApp::with([("CLIENT_KEY_HEADER", "x-client")]).await;
    let id = app.large_result().await;
    let path = format!("/api/download/{id}?format=psd");
    let ask = async |client: &str| app.client.get(app.url(&path)).header("x-client", client).send().await.unwrap();
    let mut unread = Vec::new();
    for _ in 0..16 {
        let response = ask("greedy").await;
        assert_eq!(response.status(), StatusCode::OK);
        unread.push(response);
    }
    let refused = ask("greedy").await;
    assert!(refused.headers().contains_key("retry-after"));
    expect_error(refused, 429, "too_many_exports").await;
    assert_eq!(ask("other").await.status(), StatusCode::OK);
    // One that has arrived makes room.
    assert!(unread.remove(0).bytes().await.unwrap().starts_with(b"8BPS"));
    assert_eq!(ask("greedy").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_export_is_larger_denser_named_or_of_one_layer_as_it_is_asked_for() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let png = async |query: &str| {
        let bytes = app.answers(&format!("/api/download/{id}?format=png{query}")).await;
        layers::decode(Cursor::new(bytes), &layers::Limits::default()).unwrap()
    };
    let once = png("").await;
    let twice = png("&scale=2&dpi=300").await;
    let (width, height) = once.pixels.dimensions();
    assert_eq!(twice.pixels.dimensions(), (2 * width, 2 * height));
    assert_eq!(twice.density, layers::Density::new(300.0, 300.0));
    let reduced = layers::resize(&twice.pixels, width, height, layers::Filter::Area).unwrap();
    let difference = layers::Difference::between(&reduced, &once.pixels).unwrap();
    // The layer has another colour in every pixel, which no filter keeps.
    assert!(difference.mean < 12.0, "{difference:?}");

    // One layer by itself is cut to what it shows, and named after it.
    let path = format!("/api/download/{id}?format=png&trim=true&element=1");
    let response = app.get(&path).await;
    let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.contains("triangle.png"), "{disposition}");
    let triangle = png("&trim=true&element=1").await.pixels;
    assert!(triangle.pixels().any(|pixel| pixel[3] == 0) && triangle.width() < width, "{:?}", triangle.dimensions());
    let message = expect_error(app.get(&format!("{path}7")).await, 404, "element_not_found").await;
    assert!(message.contains("17"), "{message}");

    app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "name": "봄날/의: 음악회" })).await;
    app.patch(&format!("/api/jobs/{id}/layers/0"), &json!({ "name": "봄날 의 음악회" })).await;
    let bytes = app.answers(&format!("/api/download/{id}?names=true&trim=true&scale=2")).await;
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in ["봄날 의 음악회.png", "봄날 의 음악회 2.png", "trimmed/봄날 의 음악회 2.png", "metadata.json"]
    {
        assert!(names.iter().any(|one| one == name), "{name} in {names:?}");
    }
    let manifest: Value = serde_json::from_reader(archive.by_name("manifest.json").unwrap()).unwrap();
    assert_eq!(
        (&manifest["layers"][1]["file"], &manifest["width"]),
        (&json!("봄날 의 음악회 2.png"), &json!(2 * width))
    );

    for (query, status, code) in [
        ("scale=3", 422, "invalid_parameter"),
        ("scale=0", 422, "invalid_parameter"),
        ("scale=1.5", 400, "invalid_query"),
        ("dpi=0", 422, "invalid_parameter"),
        ("dpi=NaN", 422, "invalid_parameter"),
        ("dpi=30001", 422, "invalid_parameter"),
        ("element=-1", 400, "invalid_query"),
        ("format=gif", 400, "unknown_format"),
    ] {
        expect_error(app.get(&format!("/api/download/{id}?{query}")).await, status, code).await;
    }
    for body in [json!({ "scale": 3 }), json!({ "dpi": -1 }), json!({ "names": 1 })] {
        expect_error(app.post(&format!("/api/jobs/{id}/compose"), &body).await, 422, "invalid_parameter").await;
    }
}
