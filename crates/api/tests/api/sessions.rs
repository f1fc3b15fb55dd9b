//! Signing in on the page, and links that need no token.

use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::app::{TestApp, Worker, expect_error};

const ALICE: &str = "alice-0123456789-0123456789";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn guarded(more: &[(&'static str, &'static str)]) -> TestApp {
    let tokens = format!("alice:read+submit+edit:{ALICE}");
    TestApp::with([("API_TOKENS", tokens.as_str())].into_iter().chain(more.iter().copied())).await
}

async fn sign_in(app: &TestApp, token: &str, more: &[(&'static str, &'static str)]) -> Response {
    let request = app.client.post(app.url("/api/session")).json(&json!({ "token": token }));
    more.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn set_cookie(response: &Response) -> String {
    response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
}

/// The `name=value` of a cookie.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

async fn with_cookie(app: &TestApp, cookie: &str, path: &str) -> Response {
    app.client.get(app.url(path)).header(header::COOKIE, format!("theme=dark; {cookie}")).send().await.unwrap()
}

async fn finished_job(app: &TestApp) -> String {
    let part = reqwest::multipart::Part::bytes(crate::pictures::png()).file_name("poster.png");
    let form = reqwest::multipart::Form::new().part("image", part);
    let request = app.client.post(app.url("/api/decompose")).bearer_auth(ALICE).multipart(form);
    let accepted: Value = request.send().await.unwrap().json().await.unwrap();
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    accepted["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_stands_for_a_token() {
    let app = guarded(&[]).await;
    let nobody = app.json("/api/session").await;
    assert_eq!(nobody, json!({ "needs_token": true, "scopes": [] }));
    expect_error(sign_in(&app, "wrong-0123456789-0123456789", &[]).await, 401, "token_invalid").await;

    let response = sign_in(&app, ALICE, &[]).await;
    let cookie = set_cookie(&response);
    assert_eq!(response.json::<Value>().await.unwrap()["name"], "alice");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/;", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(ALICE), "{cookie}");
    assert_eq!(with_cookie(&app, pair(&cookie), "/api/capabilities").await.status(), StatusCode::OK);
    let session: Value = with_cookie(&app, pair(&cookie), "/api/session").await.json().await.unwrap();
    assert_eq!(session, json!({ "needs_token": true, "name": "alice", "scopes": ["read", "submit", "edit"] }));

    let (value, last) = pair(&cookie).split_at(pair(&cookie).len() - 1);
    for changed in [pair(&cookie).replace("alice", "alicf"), value.to_owned(), format!("{value}{last}x"), String::new()]
    {
        expect_error(with_cookie(&app, &changed, "/api/capabilities").await, 401, "token_missing").await;
    }
    // The page itself opens, and can ask for another token.
    assert_eq!(with_cookie(&app, value, "/").await.status(), StatusCode::OK);

    let ended = app.client.delete(app.url("/api/session")).header(header::COOKIE, pair(&cookie)).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(set_cookie(&ended).contains("Max-Age=0"));
}

#[tokio::test]
async fn cookies_are_for_https_where_people_come_over_it() {
    let app = guarded(&[]).await;
    assert!(set_cookie(&sign_in(&app, ALICE, &[("x-forwarded-proto", "https")]).await).ends_with("; Secure"));
    assert!(!set_cookie(&sign_in(&app, ALICE, &[("x-forwarded-proto", "http")]).await).contains("Secure"));
    let public = guarded(&[("PUBLIC_URL", "https://poster.example/layers")]).await;
    let cookie = set_cookie(&sign_in(&public, ALICE, &[]).await);
    assert!(cookie.ends_with("; Secure") && cookie.contains("Path=/layers/;"), "{cookie}");
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_its_secret() {
    let app = guarded(&[("SIGNING_SECRET", SECRET)]).await;
    let cookie = set_cookie(&sign_in(&app, ALICE, &[]).await);
    let same = guarded(&[("SIGNING_SECRET", SECRET)]).await;
    assert_eq!(with_cookie(&same, pair(&cookie), "/api/capabilities").await.status(), StatusCode::OK);
    let renewed = format!("alice:read:new-{ALICE}");
    let renewed = TestApp::with([("API_TOKENS", renewed.as_str()), ("SIGNING_SECRET", SECRET)]).await;
    let unrelated = guarded(&[]).await;
    for app in [renewed, unrelated] {
        expect_error(with_cookie(&app, pair(&cookie), "/api/capabilities").await, 401, "token_missing").await;
    }
}

/// The cookie is sent along with what a page of another origin asks for, where a browser does not keep it back.
#[tokio::test]
async fn other_pages_cannot_use_a_session() {
    let app = guarded(&[]).await;
    let cookie = set_cookie(&sign_in(&app, ALICE, &[]).await);
    let job = finished_job(&app).await;
    let request = app.client.delete(app.url(&format!("/api/jobs/{job}"))).header(header::COOKIE, pair(&cookie));
    let request = request.header("Origin", "https://evil.example").header("Sec-Fetch-Site", "cross-site");
    expect_error(request.send().await.unwrap(), 403, "cross_origin").await;
    let request = app.client.get(app.url(&format!("/api/status/{job}"))).header(header::COOKIE, pair(&cookie));
    let socket = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    let request = socket.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request =
        request.header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==").header("Origin", "https://evil.example");
    expect_error(request.send().await.unwrap(), 403, "cross_origin").await;
}

async fn share(app: &TestApp, job: &str, body: &Value) -> Response {
    app.client.post(app.url(&format!("/api/jobs/{job}/share"))).bearer_auth(ALICE).json(body).send().await.unwrap()
}

#[tokio::test]
async fn a_link_opens_one_job_to_everybody() {
    let app = guarded(&[]).await;
    let (job, other) = (finished_job(&app).await, finished_job(&app).await);
    let shared: Value = share(&app, &job, &json!({ "expires_in": 600 })).await.json().await.unwrap();
    assert!(shared["expires_at"].is_string());
    let links = shared["links"].as_object().unwrap();
    assert_eq!(links.len(), 8);
    for (name, link) in links {
        let link = link.as_str().unwrap().replace("{n}", "1");
        assert_eq!(app.get(&link).await.status(), StatusCode::OK, "{name} {link}");
        if link.contains(&job) {
            expect_error(app.get(&link.replace(&job, &other)).await, 401, "link_invalid").await;
        }
    }
    let preview = links["preview"].as_str().unwrap();
    let query = preview.split_once('?').unwrap().1;
    assert_eq!(app.get(&format!("{}&format=psd", links["download"].as_str().unwrap())).await.status(), StatusCode::OK);
    // It reads, and nothing else.
    for (method, path) in [
        (Method::DELETE, format!("/api/jobs/{job}?{query}")),
        (Method::PATCH, format!("/api/jobs/{job}/layers/0?{query}")),
        (Method::POST, format!("/api/jobs/{job}/compose?{query}")),
        (Method::POST, format!("/api/jobs/{job}/share?{query}")),
    ] {
        let response = app.client.request(method, app.url(&path)).json(&json!({})).send().await.unwrap();
        expect_error(response, 401, "token_missing").await;
    }
    for path in ["/metrics", "/api/capabilities", &format!("/api/jobs?ids={job}")] {
        let mark = if path.contains('?') { '&' } else { '?' };
        expect_error(app.get(&format!("{path}{mark}{query}")).await, 401, "link_invalid").await;
    }
}

#[tokio::test]
async fn links_have_the_public_address_and_an_end() {
    let app = guarded(&[("PUBLIC_URL", "https://poster.example/layers")]).await;
    let job = finished_job(&app).await;
    let shared: Value = share(&app, &job, &json!({})).await.json().await.unwrap();
    let preview = shared["links"]["preview"].as_str().unwrap();
    assert!(
        preview.starts_with(&format!("https://poster.example/layers/api/jobs/{job}/preview.jpg?share=")),
        "{preview}"
    );
    for seconds in [0, 59, 604_801, -5] {
        expect_error(share(&app, &job, &json!({ "expires_in": seconds })).await, 422, "invalid_parameter").await;
    }
    let unknown = uuid::Uuid::new_v4().to_string();
    expect_error(share(&app, &unknown, &json!({})).await, 404, "job_not_found").await;
}
