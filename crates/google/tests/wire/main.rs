//! The clients against a local server that speaks Google's documented REST formats.

mod server;
mod storage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use google::{Access, Auth, Endpoint, Gemini, Kind, Method, Part, Predictor, Repeat, Retry, Service};
use serde_json::{Value, json};
use server::{Reply, Server, claims, verify};

const PATIENCE: Duration = Duration::from_secs(20);
const QUICK: Retry = Retry { times: 3, first: Duration::from_millis(10), longest: Duration::from_millis(50) };

/// A key that was made for these tests and opens nothing.
const PRIVATE_KEY: &str = include_str!("../data/private_key.pem");

fn service_account(dir: &Path) -> PathBuf {
    let key = json!({
        "type": "service_account",
        "project_id": "posters",
        "private_key_id": "test-key",
        "private_key": PRIVATE_KEY,
        "client_email": "unflatten@posters.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token"
    });
    write(dir, "key.json", &key.to_string())
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint {
        project: "posters".to_owned(),
        location: "us-central1".to_owned(),
        id: "42".to_owned(),
        domain: Some(address.to_owned()),
        method: Method::Predict,
    }
}

fn predictor(server: &Server, auth: Auth) -> Predictor {
    Predictor::new(endpoint(&server.address), auth, QUICK).expect("a client")
}

async fn predict(client: &Predictor) -> Result<Value, google::Error> {
    client.predict(&json!({}), PATIENCE, Repeat::Harmless).await
}

fn predictions() -> Reply {
    Reply::json(200, json!({ "predictions": [{ "layers": 3 }], "deployedModelId": "7", "model": "m" }))
}

#[tokio::test]
async fn a_service_account_signs_what_its_public_key_verifies() {
    let dir = tempfile::tempdir().expect("a folder");
    let auth = Auth::google(Some(&service_account(dir.path()))).expect("credentials");
    let server = Server::start(vec![predictions(), predictions()]).await;
    let client = predictor(&server, auth);
    let answer: Value =
        client.predict(&json!({ "job_id": "a" }), PATIENCE, Repeat::Harmless).await.expect("a prediction");
    assert_eq!(answer["layers"], 3);
    client.predict::<_, Value>(&json!({ "job_id": "b" }), PATIENCE, Repeat::Harmless).await.expect("a prediction");

    let seen = server.seen();
    assert_eq!(seen[0].target, "/v1/projects/posters/locations/us-central1/endpoints/42:predict");
    assert_eq!(seen[0].json(), json!({ "instances": [{ "job_id": "a" }] }));
    let token = seen[0].bearer();
    assert!(verify(&token), "the signature is not of the service account's key");
    let claims = claims(&token);
    assert_eq!(claims["iss"], "unflatten@posters.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert!(claims["exp"].as_i64() > claims["iat"].as_i64());
    assert_eq!(seen[1].bearer(), token, "a token is used as long as it is good");
    // The check can fail: a changed claim is noticed.
    let (head, rest) = token.split_once('.').expect("three parts");
    let forged = format!("{head}.{}{rest}", if rest.starts_with('e') { "f" } else { "e" });
    assert!(!verify(&forged));
}

#[tokio::test]
async fn workload_identity_exchanges_its_token() {
    let dir = tempfile::tempdir().expect("a folder");
    let tokens = Server::start(vec![Reply::json(
        200,
        json!({
            "access_token": "federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer", "expires_in": 3600
        }),
    )])
    .await;
    let subject = write(dir.path(), "subject.txt", "token-of-the-cluster");
    let config = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", tokens.address),
        "credential_source": { "file": subject, "format": { "type": "text" } }
    });
    let auth = Auth::google(Some(&write(dir.path(), "identity.json", &config.to_string()))).expect("credentials");
    let server = Server::start(vec![predictions()]).await;
    predict(&predictor(&server, auth)).await.expect("a prediction");
    assert_eq!(server.seen()[0].bearer(), "federated");
    let asked = &tokens.seen()[0];
    assert_eq!(asked.target, "/v1/token");
    for part in ["subject_token=token-of-the-cluster", "grant_type=urn", "cloud-platform"] {
        assert!(asked.text().contains(part), "{part} is not in {}", asked.text());
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = [
        dir.path().join("missing.json"),
        write(dir.path(), "empty.json", ""),
        write(dir.path(), "other.json", r#"{"installed": {"client_id": "x"}}"#),
        write(dir.path(), "bare.json", r#"{"type": "service_account"}"#),
    ];
    for file in files {
        let error = match Auth::google(Some(&file)) {
            Err(error) => error,
            // A key file is looked at when it is first used.
            Ok(auth) => {
                let server = Server::start(vec![predictions()]).await;
                predict(&predictor(&server, auth)).await.expect_err("no credentials")
            }
        };
        assert_eq!((error.service, error.kind), (Service::Auth, Kind::Credentials), "{error}");
    }
    let bad_key = PRIVATE_KEY.replace("MII", "AAA");
    let text = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": bad_key,
        "client_email": "a@b", "client_id": "1"
    });
    let file = write(dir.path(), "broken.json", &text.to_string());
    let server = Server::start(vec![predictions()]).await;
    let failed = match Auth::google(Some(&file)) {
        Ok(auth) => predict(&predictor(&server, auth)).await.expect_err("no key"),
        Err(error) => error,
    };
    assert_eq!(failed.kind, Kind::Credentials, "{failed}");
    assert!(!failed.to_string().contains("AAA") && server.seen().is_empty(), "{failed}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told_at_once() {
    let busy =
        || Reply::json(429, json!({ "error": { "code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED" } }));
    let server = Server::start(vec![busy(), Reply::text(503, "upstream"), Reply::cut(), predictions()]).await;
    let client = predictor(&server, Auth::Anonymous);
    predict(&client).await.expect("the fourth try");
    assert_eq!(server.seen().len(), 4);

    let server = Server::start((0..9).map(|_| busy()).collect()).await;
    let error = predict(&predictor(&server, Auth::Anonymous)).await.expect_err("busy");
    assert_eq!((error.kind, server.seen().len()), (Kind::Quota, 4));

    let denied = json!({ "error": { "code": 403, "message": "no", "status": "PERMISSION_DENIED" } });
    let server = Server::start(vec![Reply::json(403, denied), predictions()]).await;
    let error = predict(&predictor(&server, Auth::Anonymous)).await.expect_err("denied");
    assert_eq!((error.kind, server.seen().len()), (Kind::PermissionDenied, 1));
}

#[tokio::test]
async fn what_may_have_begun_is_not_sent_again() {
    let busy =
        || Reply::json(429, json!({ "error": { "code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED" } }));
    for (reply, kind) in [
        (Reply::text(503, "upstream"), Kind::Unavailable),
        (Reply::text(504, "late"), Kind::Deadline),
        (Reply::text(500, "oops"), Kind::Internal),
        (Reply::cut(), Kind::Network),
    ] {
        let server = Server::start(vec![busy(), reply, predictions()]).await;
        let client = predictor(&server, Auth::Anonymous);
        let error = client.predict::<_, Value>(&json!({}), PATIENCE, Repeat::Costly).await.expect_err("it came once");
        assert_eq!((error.kind, error.may_have_begun(), server.seen().len()), (kind, true, 2), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_told_neither_the_key_nor_the_question() {
    let elsewhere = Server::start(vec![said("{}", "STOP"), predictions()]).await;
    let to = |status| Reply::redirect(status, &elsewhere.address);
    let server = Server::start(vec![to(307), to(308), to(302)]).await;
    let error = ask(&gemini(&server)).await.expect_err("no answer");
    assert!(error.kind == Kind::Unknown && error.to_string().contains("307"), "{error}");
    for status in ["308", "302"] {
        let client = predictor(&server, Auth::Anonymous);
        let error = predict(&client).await.expect_err("no answer");
        assert!(error.to_string().contains(status), "{error}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_not_sent_and_silence_has_an_end() {
    let server = Server::start(vec![Reply::silence()]).await;
    let client = predictor(&server, Auth::Anonymous);
    let error =
        client.predict::<_, Value>(&"x".repeat(10_000_001), PATIENCE, Repeat::Harmless).await.expect_err("too large");
    assert_eq!(error.kind, Kind::TooLarge);
    assert!(server.seen().is_empty());
    let error = client
        .predict::<_, Value>(&json!({}), Duration::from_millis(200), Repeat::Harmless)
        .await
        .expect_err("silence");
    assert_eq!(error.kind, Kind::Timeout);

    let closed = endpoint("http://127.0.0.1:9");
    let client = Predictor::new(closed, Auth::Anonymous, Retry::NONE).expect("a client");
    let error = predict(&client).await.expect_err("nobody there");
    assert_eq!(error.kind, Kind::Unreachable);
    let server = Server::start(vec![Reply::text(200, "hello"), Reply::json(200, json!({ "predictions": [] }))]).await;
    for _ in 0..2 {
        let client = predictor(&server, Auth::Anonymous);
        let error = predict(&client).await.expect_err("no prediction");
        assert_eq!(error.kind, Kind::Malformed);
    }
}

fn said(text: &str, reason: &str) -> Reply {
    Reply::json(
        200,
        json!({
            "candidates": [{
                "content": { "role": "model", "parts": [{ "text": "let me see", "thought": true }, { "text": text }] },
                "finishReason": reason, "index": 0
            }],
            "usageMetadata": { "promptTokenCount": 258, "candidatesTokenCount": 9, "totalTokenCount": 267 },
            "modelVersion": "gemini-2.5-flash", "responseId": "r"
        }),
    )
}

fn gemini(server: &Server) -> Gemini {
    let access = Access::ApiKey("test-key".to_owned());
    Gemini::new(access, "gemini-2.5-flash", Some(&server.address), QUICK).expect("a client")
}

async fn ask(gemini: &Gemini) -> Result<Value, google::Error> {
    let parts = [Part::Text("Layer 0".to_owned()), Part::Picture { mime_type: "image/png", bytes: vec![1, 2, 3] }];
    let schema = json!({ "type": "OBJECT", "properties": { "name": { "type": "STRING" } } });
    gemini.ask("Name the layers.", &parts, &schema, PATIENCE).await
}

#[tokio::test]
async fn gemini_is_asked_and_read_as_documented() {
    let server = Server::start(vec![said(r#"{"name": "Sun"}"#, "STOP")]).await;
    assert_eq!(ask(&gemini(&server)).await.expect("an answer"), json!({ "name": "Sun" }));
    let seen = &server.seen()[0];
    assert_eq!(seen.target, "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!(seen.header("x-goog-api-key"), "test-key");
    let body = seen.json();
    assert_eq!(body["contents"][0]["parts"][1]["inlineData"], json!({ "mimeType": "image/png", "data": "AQID" }));
    assert_eq!(body["generationConfig"]["responseMimeType"], "application/json");
    assert_eq!(body["generationConfig"]["responseSchema"]["type"], "OBJECT");
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Name the layers.");

    let dir = tempfile::tempdir().expect("a folder");
    let auth = Auth::google(Some(&service_account(dir.path()))).expect("credentials");
    let server = Server::start(vec![said("{}", "STOP")]).await;
    let access = Access::Vertex { project: "posters".to_owned(), location: "global".to_owned(), auth };
    let vertex = Gemini::new(access, "gemini-2.5-pro", Some(&server.address), QUICK).expect("a client");
    ask(&vertex).await.expect("an answer");
    let seen = &server.seen()[0];
    let path = "/v1/projects/posters/locations/global/publishers/google/models/gemini-2.5-pro:generateContent";
    assert_eq!(seen.target, path);
    assert!(verify(&seen.bearer()));
}

#[tokio::test]
async fn answers_without_the_json_say_why() {
    let no_answer = |body: Value| Reply::json(200, body);
    let cases = [
        (no_answer(json!({ "promptFeedback": { "blockReason": "SAFETY" } })), Kind::PromptBlocked),
        (no_answer(json!({ "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" } })), Kind::PromptBlocked),
        (no_answer(json!({ "candidates": [{ "finishReason": "SAFETY" }] })), Kind::AnswerBlocked),
        (no_answer(json!({ "candidates": [{ "finishReason": "RECITATION" }] })), Kind::AnswerBlocked),
        (said(r#"{"name": "Su"#, "MAX_TOKENS"), Kind::Truncated),
        // Cut, although it is said to be complete.
        (said(r#"{"name": "Su"#, "STOP"), Kind::Truncated),
        (said("The sun.", "STOP"), Kind::Malformed),
        (said("{}", "MALFORMED_FUNCTION_CALL"), Kind::Malformed),
        (no_answer(json!({ "candidates": [] })), Kind::Malformed),
        (no_answer(json!({ "candidates": [{ "finishReason": "STOP" }] })), Kind::Truncated),
        (Reply::text(200, "<html>"), Kind::Malformed),
    ];
    for (reply, kind) in cases {
        let shown = format!("{reply:?}");
        let server = Server::start(vec![reply]).await;
        let error = ask(&gemini(&server)).await.expect_err(&shown);
        assert_eq!(error.kind, kind, "{shown}: {error}");
    }
    let key = Access::ApiKey("line\nbreak".to_owned());
    let gemini = Gemini::new(key, "m", Some("http://127.0.0.1:9"), Retry::NONE).expect("a client");
    assert_eq!(ask(&gemini).await.expect_err("no key").kind, Kind::KeyInvalid);
}

/// Run by the test below in a process of its own, whose environment says where the metadata server is.
#[tokio::test]
#[ignore = "a helper of another test"]
async fn with_what_the_machine_has() {
    let auth = Auth::google(None).expect("credentials");
    let server = Server::start(vec![predictions()]).await;
    predict(&predictor(&server, auth)).await.expect("a prediction");
    assert_eq!(server.seen()[0].bearer(), "of-the-machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_server_gives_tokens() {
    let token = json!({ "access_token": "of-the-machine", "expires_in": 3600, "token_type": "Bearer" });
    let metadata = Server::start(vec![Reply::json(200, token)]).await;
    let dir = tempfile::tempdir().expect("a folder");
    let host = metadata.address.trim_start_matches("http://").to_owned();
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "with_what_the_machine_has", "--ignored", "--nocapture"]);
    child.env("GCE_METADATA_HOST", host).env("HOME", dir.path()).env_remove("GOOGLE_APPLICATION_CREDENTIALS");
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let asked = &metadata.seen()[0];
    assert!(
        asked.target.starts_with("/computeMetadata/v1/instance/service-accounts/default/token"),
        "{}",
        asked.target
    );
    assert_eq!(asked.header("metadata-flavor"), "Google");
}
