//! Tokens: who may do what, and whose jobs are whose.

use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::app::{TestApp, Worker, expect_error};
use crate::pictures;

const ALICE: &str = "alice-0123456789-0123456789";
const BOB: &str = "bob-0123456789-0123456789";
const READER: &str = "reader-0123456789-0123456789";
const ADMIN: &str = "admin-0123456789-0123456789";

async fn guarded(more: &[(&'static str, &'static str)]) -> TestApp {
    let tokens =
        format!("alice:read+submit+edit:{ALICE}, bob:read+submit+edit:{BOB}, reader:read:{READER}, boss:admin:{ADMIN}");
    TestApp::with([("API_TOKENS", tokens.as_str())].into_iter().chain(more.iter().copied())).await
}

fn request(app: &TestApp, token: &str, method: Method, path: &str) -> RequestBuilder {
    app.client.request(method, app.url(path)).bearer_auth(token)
}

async fn get(app: &TestApp, token: &str, path: &str) -> Response {
    request(app, token, Method::GET, path).send().await.unwrap()
}

async fn upload(app: &TestApp, token: &str) -> Response {
    let part = reqwest::multipart::Part::bytes(pictures::png()).file_name("poster.png");
    let form = reqwest::multipart::Form::new().part("image", part);
    request(app, token, Method::POST, "/api/upload").multipart(form).send().await.unwrap()
}

async fn upload_id(app: &TestApp, token: &str) -> String {
    let response = upload(app, token).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    response.json::<Value>().await.unwrap()["upload_id"].as_str().unwrap().to_owned()
}

async fn decompose(app: &TestApp, token: &str, body: &Value) -> Response {
    request(app, token, Method::POST, "/api/decompose").json(body).send().await.unwrap()
}

/// A job of the token's that has a result.
async fn finished_job(app: &TestApp, token: &str) -> String {
    let upload_id = upload_id(app, token).await;
    let response = decompose(app, token, &json!({ "upload_id": upload_id })).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    response.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned()
}

/// All operations of the API, with `id` and 0 for what their paths leave open.
fn operations(id: &str) -> Vec<(Method, String)> {
    let document = serde_json::to_value(api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let fill = |path: &str| {
        path.replace("{id}", id)
            .replace("{n}", "0")
            .replace("{file}", &format!("{id}.png"))
            .replace("{model}", "unflatten")
    };
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(|method| (method.to_uppercase().parse().unwrap(), fill(path))).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn every_route_but_a_few_needs_a_token() {
    let app = guarded(&[]).await;
    let open = ["/api/session", "/healthz", "/readyz"];
    let mut all = operations(&uuid::Uuid::new_v4().to_string());
    all.extend(["/api/openapi.json", "/docs/"].map(|path| (Method::GET, path.to_owned())));
    assert!(all.len() > 28);
    for (method, path) in all {
        if open.contains(&path.as_str()) {
            continue;
        }
        let response = app.client.request(method.clone(), app.url(&path)).send().await.unwrap();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        assert_eq!((response.status().as_u16(), challenge.is_some()), (401, true), "{method} {path}");
        expect_error(response, 401, "token_missing").await;
        let response = request(&app, "wrong-0123456789-0123456789", method, &path).send().await.unwrap();
        expect_error(response, 401, "token_invalid").await;
    }
    for path in ["/", "/js/main.js", "/healthz", "/readyz", "/api/session"] {
        assert_eq!(app.get(path).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/metrics", "/api/openapi.json", "/docs/", "/api/capabilities", "/v1/models"] {
        assert_eq!(get(&app, READER, path).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say() {
    let app = guarded(&[("JOBS_VISIBLE_TO", "all")]).await;
    let job = finished_job(&app, ALICE).await;
    for (method, path) in operations(&job) {
        let is_read = method == Method::GET || path.ends_with("/compose") || path.ends_with("/share");
        if path == "/api/session" || is_read {
            continue;
        }
        let response = request(&app, READER, method, &path).send().await.unwrap();
        expect_error(response, 403, "scope_missing").await;
    }
    for path in ["metadata.json", "layers/0.png", "preview.jpg", "document", "text"] {
        assert_eq!(get(&app, READER, &format!("/api/jobs/{job}/{path}")).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn jobs_belong_to_the_token_that_made_them() {
    let app = guarded(&[]).await;
    let job = finished_job(&app, ALICE).await;
    let with_id = operations(&job).into_iter().filter(|(_, path)| path.contains(&job) && !path.ends_with(".png"));
    let job_routes: Vec<_> = with_id.collect();
    assert!(job_routes.len() >= 13);
    for (method, path) in job_routes {
        expect_error(request(&app, BOB, method, &path).send().await.unwrap(), 404, "job_not_found").await;
    }
    let status: Value = get(&app, ALICE, &format!("/api/status/{job}")).await.json().await.unwrap();
    let upload = status["upload_id"].as_str().unwrap();
    let picture = format!("/api/uploads/{upload}.png");
    assert_eq!(get(&app, ALICE, &picture).await.status(), StatusCode::OK);
    expect_error(get(&app, BOB, &picture).await, 404, "upload_not_found").await;
    expect_error(decompose(&app, BOB, &json!({ "upload_id": upload })).await, 404, "upload_not_found").await;
    let list = format!("/api/jobs?ids={job}");
    assert_eq!(get(&app, BOB, &list).await.json::<Value>().await.unwrap(), json!([]));
    for token in [ALICE, ADMIN] {
        let jobs: Value = get(&app, token, &list).await.json().await.unwrap();
        assert_eq!(jobs[0]["id"], job.as_str());
        assert_eq!(get(&app, token, &format!("/api/download/{job}")).await.status(), StatusCode::OK);
    }
}

/// What an administrator makes of somebody's layer is that somebody's.
#[tokio::test]
async fn parts_belong_to_whoever_has_the_whole() {
    let app = guarded(&[]).await;
    let job = finished_job(&app, ALICE).await;
    let split = format!("/api/jobs/{job}/layers/1/decompose");
    let response = request(&app, ADMIN, Method::POST, &split).send().await.unwrap();
    let accepted: Value = response.json().await.unwrap();
    let part = accepted["job_id"].as_str().unwrap();
    let input = accepted["links"]["input"].as_str().unwrap();
    for (token, status) in [(ALICE, StatusCode::OK), (BOB, StatusCode::NOT_FOUND)] {
        assert_eq!(get(&app, token, &format!("/api/status/{part}")).await.status(), status);
        assert_eq!(get(&app, token, input).await.status(), status);
    }
}

#[tokio::test]
async fn idempotency_keys_belong_to_the_client() {
    let app = guarded(&[]).await;
    let submit = async |token| {
        let upload_id = upload_id(&app, token).await;
        let body = json!({ "upload_id": upload_id, "seed": 1 });
        let request = request(&app, token, Method::POST, "/api/decompose").header("Idempotency-Key", "the same");
        let accepted: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        accepted["job_id"].as_str().unwrap().to_owned()
    };
    let (one, again, other) = (submit(ALICE).await, submit(ALICE).await, submit(BOB).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[tokio::test]
async fn events_are_followed_with_a_token() {
    let app = guarded(&[]).await;
    let job = finished_job(&app, ALICE).await;
    let events = format!("/api/jobs/{job}/events");
    let text = get(&app, ALICE, &events).await.text().await.unwrap();
    assert!(text.contains("\"type\":\"succeeded\""), "{text}");
    expect_error(get(&app, BOB, &events).await, 404, "job_not_found").await;

    let socket = async |token: &str| {
        let mut request = format!("ws://{}/api/status/{job}", app.address).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        tokio_tungstenite::connect_async(request).await
    };
    let (mut stream, _) = socket(ALICE).await.unwrap();
    assert_eq!(crate::live::next(&mut stream).await.unwrap()["type"], "queued");
    for (token, status) in [(BOB, 404), ("wrong-0123456789-0123456789", 401)] {
        match socket(token).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => assert_eq!(answer.status().as_u16(), status),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn openai_clients_send_it_as_their_api_key() {
    let app = guarded(&[]).await;
    let error: Value = app.get("/v1/models").await.json().await.unwrap();
    assert_eq!(error["error"]["code"], "token_missing");
    assert!(error["error"]["type"].is_string() && error["error"].get("param").is_some(), "{error}");
    let open = TestApp::start().await;
    assert_eq!(get(&open, "any", "/v1/models").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tokens_come_from_a_file_with_limits_of_their_own() {
    let limits =
        ["priority=high", "queued=1"].into_iter().try_fold(api::TokenLimits::default(), api::TokenLimits::with);
    let (token, secret) = api::Token::generate("ci", "submit+read".parse().unwrap(), limits.unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("# the build server\n{token}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let app = TestApp::with([("API_TOKENS_FILE", path), ("HIGHEST_PRIORITY", "low")]).await;
    let upload_id = upload_id(&app, &secret).await;
    let body = json!({ "upload_id": upload_id, "priority": "high" });
    let accepted = decompose(&app, &secret, &body).await;
    assert_eq!(accepted.json::<Value>().await.unwrap()["job"]["priority"], "high");
    expect_error(decompose(&app, &secret, &body).await, 429, "client_queue_full").await;
}
