//! The whole way of a job, over both queues.

use std::io::Cursor;

use jobs::testing::RedisServer;
use serde_json::json;
use zip::ZipArchive;

use crate::app::{TestApp, Worker, expect_error};
use crate::live;

/// Picture in, job, live events, result out, delete; a full queue, a repeat, a cancel.
async fn whole_way(app: &TestApp) {
    let upload_id = app.upload_id().await;
    let send = |key: &'static str| {
        let body = json!({ "upload_id": upload_id, "num_layers": 2 });
        app.client.post(app.url("/api/decompose")).header("idempotency-key", key).json(&body).send()
    };
    let first: serde_json::Value = send("a").await.unwrap().json().await.unwrap();
    let again: serde_json::Value = send("a").await.unwrap().json().await.unwrap();
    assert_eq!(first["job_id"], again["job_id"]);
    let id = first["job_id"].as_str().unwrap().parse().unwrap();
    let second: serde_json::Value = send("b").await.unwrap().json().await.unwrap();
    expect_error(send("c").await.unwrap(), 429, "queue_full").await;

    let mut socket = live::connect(app, id, 0).await;
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    assert_eq!(lease.job_id, id);
    worker.begin(&lease).await;
    worker.progress(&lease, 50.0).await;
    worker.succeed(&lease).await;
    let events = live::rest(&mut socket).await;
    let types: Vec<_> = events.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(types, ["queued", "started", "progress", "succeeded"]);

    let archive = app.get(&format!("/api/download/{id}")).await.bytes().await.unwrap();
    assert_eq!(ZipArchive::new(Cursor::new(archive)).unwrap().len(), 4);
    let second = second["job_id"].as_str().unwrap();
    assert_eq!(app.delete(&format!("/api/jobs/{second}")).await.status(), 202);
    assert_eq!(app.json(&format!("/api/status/{second}")).await["state"], "cancelled");
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    expect_error(app.get(&format!("/api/status/{id}")).await, 404, "job_not_found").await;
    assert_eq!(app.json("/api/capabilities").await["engines"][0]["name"], "draft");
    assert_eq!(app.json("/readyz").await["status"], "ok");
}

#[tokio::test]
async fn with_the_embedded_queue() {
    whole_way(&TestApp::with([("QUEUE_LIMIT", "2"), ("QUEUE_LIMIT_PER_CLIENT", "0")]).await).await;
}

#[tokio::test]
async fn with_redis() {
    let redis = RedisServer::start();
    let settings = [("QUEUE_LIMIT", "2"), ("QUEUE_LIMIT_PER_CLIENT", "0"), ("REDIS_URL", &redis.url())];
    whole_way(&TestApp::with(settings).await).await;
}

#[tokio::test]
async fn without_redis_answers_are_503_and_the_process_lives() {
    let mut redis = RedisServer::start();
    let app = TestApp::with([("REDIS_URL", &*redis.url())]).await;
    let id = app.job().await;
    redis.kill();
    expect_error(app.get("/readyz").await, 503, "queue_unavailable").await;
    expect_error(app.get(&format!("/api/status/{id}")).await, 503, "queue_unavailable").await;
    assert_eq!(app.json("/healthz").await["status"], "ok");
    let metrics = app.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("unflatten_http_requests_total"));
}
