use jobs::broker::WorkerInfo;
use reqwest::header::HeaderMap;

use crate::app::{TestApp, Worker, expect_error};

#[tokio::test]
async fn capabilities_tell_engines_limits_and_defaults() {
    let app = TestApp::with([("MAX_FILE_SIZE", "1MiB"), ("MAX_PIXELS", "1000"), ("DEFAULT_NUM_LAYERS", "auto")]).await;
    let before = app.json("/api/capabilities").await;
    assert_eq!(before["engines"], serde_json::json!([]));
    let _workers = (Worker::start(&app).await, Worker::start(&app).await);
    app.job().await;
    let now = app.json("/api/capabilities").await;
    assert_eq!(now["engines"].as_array().map(Vec::len), Some(1));
    assert_eq!((&now["engines"][0]["name"], &now["engines"][0]["workers"]), (&"draft".into(), &2.into()));
    assert_eq!((&now["workers"], &now["queue"]["queued"]), (&2.into(), &1.into()));
    assert_eq!(now["queue"]["kind"], "embedded");
    assert_eq!(now["limits"]["max_file_size_bytes"], 1_048_576);
    assert_eq!((&now["limits"]["max_pixels"], &now["limits"]["max_layers"]), (&1000.into(), &64.into()));
    assert_eq!((&now["defaults"]["num_layers"], &now["defaults"]["steps"]), (&"auto".into(), &50.into()));
    assert!(now["formats"].as_array().unwrap().contains(&"webp".into()));
    assert_eq!(now["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn health_and_readiness() {
    let app = TestApp::start().await;
    assert_eq!(app.json("/healthz").await["status"], "ok");
    assert_eq!(app.json("/readyz").await["status"], "ok");
    // Without its storage the process lives but cannot serve.
    std::fs::remove_dir_all(app.dir.path().join("uploads")).unwrap();
    // An answer holds for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    expect_error(app.get("/readyz").await, 503, "storage_unavailable").await;
    assert_eq!(app.json("/healthz").await["status"], "ok");
    // What went wrong inside is for the log, not for the answer.
    let failed = app.upload("p.png", crate::pictures::png()).await;
    let message = expect_error(failed, 503, "storage_unavailable").await;
    assert!(!message.contains(app.dir.path().to_str().unwrap()), "{message}");
}

#[tokio::test]
async fn workers_that_pause_are_told_with_the_reason() {
    let app = TestApp::start().await;
    let (first, second) = (Worker::start(&app).await, Worker::start(&app).await);
    for (worker, paused) in [(&first, true), (&second, true), (&first, false)] {
        let paused = paused.then(|| "the disk is gone".to_owned());
        app.broker.announce(&WorkerInfo { paused, ..worker.info.clone() }).await.unwrap();
        let told = app.json("/api/capabilities").await["paused"].clone();
        match told.as_array().map(Vec::len) {
            // As long as one takes jobs, they do not wait.
            Some(1) => assert_eq!(app.json("/readyz").await["status"], "ok"),
            Some(2) => {
                let message = expect_error(app.get("/readyz").await, 503, "workers_paused").await;
                assert!(message.contains("the disk is gone"), "{message}");
            }
            _ => panic!("{told}"),
        }
    }
}

#[tokio::test]
async fn a_queue_file_that_is_gone_takes_no_jobs() {
    let app = TestApp::start().await;
    let upload_id = app.upload_id().await;
    std::fs::remove_file(app.dir.path().join("queue.sqlite")).unwrap();
    let refused = app.decompose(&serde_json::json!({ "upload_id": upload_id })).await;
    for answer in [refused, app.get("/readyz").await] {
        let message = expect_error(answer, 503, "queue_unavailable").await;
        assert!(message.contains("file was removed or replaced"), "{message}");
        assert!(!message.contains(app.dir.path().to_str().unwrap()), "{message}");
    }
}

#[tokio::test]
async fn metrics_count_by_route() {
    let app = TestApp::start().await;
    app.job().await;
    let _worker = Worker::start(&app).await;
    app.get("/api/status/11111111-1111-4111-8111-111111111111").await;
    let response = app.get("/metrics").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = response.text().await.unwrap();
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    // The recorder is one for the process, so other tests count in: only what is there is checked.
    assert!(has(r#"unflatten_http_requests_total{method="GET",route="/api/status/{id}",status="404"}"#), "{text}");
    assert!(
        has(r#"unflatten_http_request_duration_seconds_bucket{method="POST",route="/api/upload",le="0.1"}"#),
        "{text}"
    );
    for gauge in ["unflatten_queue_jobs ", "unflatten_running_jobs ", "unflatten_workers "] {
        assert!(has(gauge), "{gauge} is missing in {text}");
    }
    assert!(!text.contains("11111111"), "an id became a label");
}

#[tokio::test]
async fn made_up_methods_are_one_label() {
    let app = TestApp::start().await;
    for (n, path) in ["/healthz", "/api/upload", "/", "/nothing"].into_iter().enumerate() {
        let method = format!("MADEUP{n}").parse().unwrap();
        let response = app.client.request(method, app.url(path)).send().await.unwrap();
        let (status, code) = if path == "/nothing" { (404, "not_found") } else { (405, "method_not_allowed") };
        expect_error(response, status, code).await;
    }
    let text = app.get("/metrics").await.text().await.unwrap();
    assert!(!text.contains("MADEUP"), "{text}");
    assert!(text.contains(r#"{method="other",route="/healthz",status="405"}"#), "{text}");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = TestApp::start().await;
    let own = app.get("/healthz").await;
    assert_eq!(own.headers()["x-request-id"].len(), 36);
    let given = app.client.get(app.url("/nothing")).header("x-request-id", "abc-1").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "abc-1");
    // It is in every line of the log.
    let long = app.client.get(app.url("/nothing")).header("x-request-id", "a".repeat(10_000)).send().await.unwrap();
    assert_eq!(long.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn what_no_route_has_answers_in_the_error_shape() {
    let app = TestApp::start().await;
    for path in ["/api", "/api/nothing", "/nothing.html", "/docs/nothing.js", "/../Cargo.toml", "/..%2fCargo.toml"] {
        expect_error(app.get(path).await, 404, "not_found").await;
    }
    for (method, path, allowed) in [
        ("PUT", "/api/upload", "POST"),
        ("POST", "/healthz", "GET"),
        ("GET", "/api/upload", "POST"),
        ("POST", "/", "GET"),
    ] {
        let method = method.parse().unwrap();
        let response = app.client.request(method, app.url(path)).send().await.unwrap();
        let allow = response.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
        assert!(allow.is_some_and(|allow| allow.contains(allowed)), "{path}");
        expect_error(response, 405, "method_not_allowed").await;
    }
}

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let app = TestApp::start().await;
    let page = app.get("/").await;
    assert_eq!(page.status(), 200);
    let headers = page.headers().clone();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
    assert!(page.text().await.unwrap().contains("<html"));
    let again = app.client.get(app.url("/index.html")).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let script = app.get("/js/main.js").await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    let request = app.client.get(app.url("/js/main.js")).header("accept-encoding", "gzip");
    assert_eq!(request.send().await.unwrap().headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn docs_come_from_here() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/docs").await.status(), 303);
    let page = app.get("/docs/").await;
    assert!(page.headers().contains_key("content-security-policy"));
    let html = page.text().await.unwrap();
    assert!(html.contains("swagger-ui") && !html.contains("http://") && !html.contains("https://"), "{html}");
    let start = app.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(start.contains("/api/openapi.json"), "{start}");
    assert_eq!(app.json("/api/openapi.json").await["openapi"], "3.1.0");
}

#[tokio::test]
async fn other_origins_need_to_be_listed() {
    let app = TestApp::with([("CORS_ORIGINS", "https://good.example")]).await;
    let send = |origin: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("origin", origin.parse().unwrap());
        headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
        app.client.post(app.url("/api/decompose")).headers(headers).json(&serde_json::json!({})).send()
    };
    expect_error(send("https://evil.example").await.unwrap(), 403, "cross_origin").await;
    let listed = send("https://good.example").await.unwrap();
    assert_eq!(listed.headers()["access-control-allow-origin"], "https://good.example");
    expect_error(listed, 422, "upload_id_missing").await;
    let read =
        app.client.get(app.url("/api/capabilities")).header("origin", "https://evil.example").send().await.unwrap();
    assert!(!read.headers().contains_key("access-control-allow-origin"));
}
