//! Limits of clients: requests, uploads and bytes.

use reqwest::{StatusCode, header};
use serde_json::json;

use crate::app::{TestApp, expect_error};
use crate::pictures;

#[tokio::test]
async fn a_client_that_asks_too_often_has_to_wait() {
    let app = TestApp::with([("RATE_LIMIT", "6"), ("CLIENT_KEY_HEADER", "x-client")]).await;
    let ask = async |client: &str| {
        app.client.get(app.url("/api/capabilities")).header("x-client", client).send().await.unwrap()
    };
    for _ in 0..6 {
        assert_eq!(ask("a").await.status(), StatusCode::OK);
    }
    let refused = ask("a").await;
    let wait: u32 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    expect_error(refused, 429, "too_many_requests").await;
    assert_eq!(ask("b").await.status(), StatusCode::OK);
    // The page and what watches the service are not counted.
    for path in ["/", "/healthz", "/js/main.js"] {
        let response = app.client.get(app.url(path)).header("x-client", "a").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_client_has_so_many_uploads() {
    let app = TestApp::with([("UPLOADS_PER_CLIENT", "2")]).await;
    let (first, _) = (app.upload_id().await, app.upload_id().await);
    let refused = app.upload("poster.png", pictures::png()).await;
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let message = expect_error(refused, 429, "upload_quota").await;
    assert!(message.contains("2 uploads"), "{message}");
    // What is there can be used.
    assert_eq!(app.decompose(&json!({ "upload_id": first })).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn uploads_of_others_and_of_another_start_do_not_count() {
    let settings = [("UPLOADS_PER_CLIENT", "1"), ("CLIENT_KEY_HEADER", "x-client")];
    let app = TestApp::with(settings).await;
    let upload = async |app: &TestApp, client: &str| {
        let part = reqwest::multipart::Part::bytes(pictures::png()).file_name("poster.png");
        let form = reqwest::multipart::Form::new().part("image", part);
        let request = app.client.post(app.url("/api/upload")).header("x-client", client);
        request.multipart(form).send().await.unwrap().status().as_u16()
    };
    assert_eq!([upload(&app, "a").await, upload(&app, "a").await, upload(&app, "b").await], [201, 429, 201]);
    // With a secret, the clients of before are known again.
    let secret = ("SIGNING_SECRET", "0123456789abcdef0123456789abcdef");
    let dir = app.stop().await;
    let app = TestApp::within(dir, settings.into_iter().chain([secret])).await;
    assert_eq!(upload(&app, "a").await, 201);
    let dir = app.stop().await;
    let app = TestApp::within(dir, settings.into_iter().chain([secret])).await;
    assert_eq!([upload(&app, "a").await, upload(&app, "b").await], [429, 201]);
}

#[tokio::test]
async fn a_client_fills_so_much_of_the_storage() {
    let app = TestApp::with([("STORED_PER_CLIENT", "100")]).await;
    let id = app.upload_id().await;
    let message = expect_error(app.upload("poster.png", pictures::png()).await, 429, "storage_quota").await;
    assert!(message.contains("at most 100 B"), "{message}");
    expect_error(app.decompose(&json!({ "upload_id": id })).await, 429, "storage_quota").await;
}

#[tokio::test]
async fn guesses_are_counted() {
    let token = "alice-0123456789-0123456789";
    let tokens = format!("alice:read:{token}");
    let app = TestApp::with([("RATE_LIMIT", "3"), ("API_TOKENS", tokens.as_str())]).await;
    let ask = async |token: &str| app.client.get(app.url("/api/capabilities")).bearer_auth(token).send().await.unwrap();
    for code in [401, 401, 401, 429] {
        assert_eq!(ask("wrong-0123456789-0123456789").await.status(), code);
    }
    // Whoever has a token is told from others at the same address.
    assert_eq!(ask(token).await.status(), StatusCode::OK);
}
