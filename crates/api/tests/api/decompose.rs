use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{TestApp, Worker, expect_error};
use crate::pictures;

async fn accepted(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn form() -> Form {
    Form::new().part("image", Part::bytes(pictures::png()).file_name("p.png"))
}

#[tokio::test]
async fn a_job_records_what_it_will_use() {
    let app = TestApp::with([("DEFAULT_NUM_LAYERS", "auto"), ("INFERENCE_STEPS", "20")]).await;
    let upload_id = app.upload_id().await;
    let response = app.decompose(&json!({ "upload_id": upload_id })).await;
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body = accepted(response).await;
    assert_eq!(body["links"]["status"], location.as_str());
    let job = app.json(&location).await;
    assert_eq!(job["id"], body["job_id"]);
    assert_eq!(job["state"], "queued");
    assert_eq!(job["upload_id"], upload_id.as_str());
    let params = &job["params"];
    assert_eq!((&params["num_layers"], &params["steps"]), (&json!("auto"), &json!(20)));
    assert_eq!(params["resolution"], 640);
    assert!(params["seed"].as_u64().unwrap() < 1 << 53);

    let given = json!({ "upload_id": upload_id, "num_layers": 3, "seed": 7, "steps": 8, "prompt": "a red fox" });
    let job = accepted(app.decompose(&given).await).await["job"].clone();
    assert_eq!(job["params"]["seed"], 7);
    assert_eq!((&job["params"]["num_layers"], &job["params"]["prompt"]), (&json!(3), &json!("a red fox")));
}

#[tokio::test]
async fn a_form_brings_picture_and_parameters_at_once() {
    let app = TestApp::start().await;
    let form = form().text("num_layers", "auto").text("seed", "42").text("prompt", "").text("cfg_normalize", "false");
    let response = app.client.post(app.url("/api/decompose")).multipart(form).send().await.unwrap();
    let body = accepted(response).await;
    assert_eq!(body["job"]["params"]["seed"], 42);
    assert_eq!(body["job"]["params"]["cfg_normalize"], false);
    let input = app.get(body["links"]["input"].as_str().unwrap()).await;
    assert_eq!(input.status(), 200);
}

#[tokio::test]
async fn bad_requests_are_named() {
    let app = TestApp::start().await;
    let id = app.upload_id().await;
    for (body, status, code, word) in [
        (json!({}), 422, "upload_id_missing", "upload_id"),
        (json!({ "upload_id": "x" }), 404, "upload_not_found", "upload"),
        (json!({ "upload_id": uuid::Uuid::new_v4() }), 404, "upload_not_found", "upload"),
        (json!({ "upload_id": id, "layers": 3 }), 422, "unknown_parameter", "num_layers"),
        (json!({ "upload_id": id, "num_layers": 1000 }), 422, "invalid_parameter", "num_layers"),
        (json!({ "upload_id": id, "steps": 0 }), 422, "invalid_parameter", "steps"),
        (json!({ "upload_id": id, "seed": -1 }), 422, "invalid_parameter", "seed"),
        (json!({ "upload_id": id, "engine": "magic" }), 422, "invalid_parameter", "engine"),
        (json!({ "upload_id": id, "prompt": "x".repeat(4001) }), 422, "invalid_parameter", "prompt"),
        (json!([1]), 400, "invalid_json", "object"),
    ] {
        let message = expect_error(app.decompose(&body).await, status, code).await;
        assert!(message.contains(word), "{message}");
    }
    let send = |content_type: &str, body: Vec<u8>| {
        app.client.post(app.url("/api/decompose")).header("content-type", content_type).body(body).send()
    };
    expect_error(send("application/json", b"{".to_vec()).await.unwrap(), 400, "invalid_json").await;
    expect_error(send("application/json", vec![b' '; 300 << 10]).await.unwrap(), 413, "body_too_large").await;
    expect_error(send("image/png", pictures::png()).await.unwrap(), 415, "unsupported_media_type").await;
    let post = |form: Form| app.client.post(app.url("/api/decompose")).multipart(form).send();
    expect_error(post(Form::new().text("seed", "1")).await.unwrap(), 400, "image_missing").await;
    expect_error(post(form().text("seed", "many")).await.unwrap(), 422, "invalid_parameter").await;
    expect_error(post(form().text("colour", "red")).await.unwrap(), 422, "unknown_parameter").await;
    assert_eq!(app.broker.stats().await.unwrap().queued, 0);
}

#[tokio::test]
async fn an_engine_that_no_live_worker_has_is_refused() {
    let app = TestApp::start().await;
    let id = app.upload_id().await;
    // Nobody is there yet: a worker with the engine may still come.
    accepted(app.decompose(&json!({ "upload_id": id, "engine": "qwen" })).await).await;
    let _worker = Worker::start(&app).await;
    let refused = app.decompose(&json!({ "upload_id": id, "engine": "qwen" })).await;
    assert!(expect_error(refused, 422, "engine_unavailable").await.contains("draft"));
    accepted(app.decompose(&json!({ "upload_id": id, "engine": "draft" })).await).await;
    accepted(app.decompose(&json!({ "upload_id": id, "engine": "auto" })).await).await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_job() {
    let app = TestApp::start().await;
    let id = app.upload_id().await;
    let send = |key: &'static str, body: Value| {
        app.client.post(app.url("/api/decompose")).header("idempotency-key", key).json(&body).send()
    };
    let first = accepted(send("k1", json!({ "upload_id": id, "steps": 9 })).await.unwrap()).await;
    let again = send("k1", json!({ "steps": 9, "upload_id": id })).await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let again = accepted(again).await;
    assert_eq!(again["job_id"], first["job_id"]);
    // A seed was drawn once, not twice.
    assert_eq!(again["job"]["params"], first["job"]["params"]);
    let reused = send("k1", json!({ "upload_id": id, "steps": 10 })).await.unwrap();
    expect_error(reused, 422, "idempotency_key_reused").await;
    let other = accepted(send("k2", json!({ "upload_id": id, "steps": 9 })).await.unwrap()).await;
    assert_ne!(other["job_id"], first["job_id"]);
    expect_error(send("", json!({ "upload_id": id })).await.unwrap(), 400, "invalid_idempotency_key").await;
    assert_eq!(app.broker.stats().await.unwrap().queued, 2);
}

#[tokio::test]
async fn a_repeated_form_leaves_no_second_upload_behind() {
    let app = TestApp::start().await;
    let send = || app.client.post(app.url("/api/decompose")).header("idempotency-key", "form").multipart(form()).send();
    let first = accepted(send().await.unwrap()).await;
    let again = accepted(send().await.unwrap()).await;
    assert_eq!(again["job_id"], first["job_id"]);
    assert_eq!(again["job"]["upload_id"], first["job"]["upload_id"]);
    let later = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    assert_eq!(app.store.uploads_before(later).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let app = TestApp::with([("QUEUE_LIMIT", "1")]).await;
    app.job().await;
    let id = app.upload_id().await;
    let refused = app.decompose(&json!({ "upload_id": id })).await;
    let seconds: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds > 0);
    expect_error(refused, 429, "queue_full").await;
}

#[tokio::test]
async fn a_client_leaves_places_in_the_queue_to_others() {
    let app = TestApp::with([("QUEUE_LIMIT", "4"), ("CLIENT_KEY_HEADER", "x-client")]).await;
    let id = app.upload_id().await;
    let send = |client: &str| {
        let request = app.client.post(app.url("/api/decompose")).header("x-client", client);
        request.json(&json!({ "upload_id": id })).send()
    };
    for _ in 0..2 {
        assert_eq!(send("a").await.unwrap().status(), 202);
    }
    let refused = send("a").await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    let message = expect_error(refused, 429, "client_queue_full").await;
    assert!(message.contains("2 of your jobs"), "{message}");
    assert_eq!(send("b").await.unwrap().status(), 202);
}
