//! `POST /v1/images/edits`, asked by a plain HTTP client and by OpenAI's own.

use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jobs::broker::Outcome;
use jobs::{Failure, FailureCode, State};
use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::app::{TestApp, Worker};
use crate::pictures;

fn form(fields: &[(&str, &str)]) -> Form {
    let image = Part::bytes(pictures::png()).file_name("poster.png");
    fields
        .iter()
        .fold(Form::new().part("image", image), |form, (name, text)| form.text((*name).to_owned(), (*text).to_owned()))
}

async fn edit(app: &TestApp, form: Form) -> Response {
    app.client.post(app.url("/v1/images/edits")).multipart(form).send().await.unwrap()
}

/// Does the next job as `outcome` says, or well.
async fn work(app: &TestApp, outcome: Option<Outcome>) -> jobs::JobId {
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    match outcome {
        Some(outcome) => worker.finish(&lease, outcome).await,
        None => worker.succeed(&lease).await,
    }
    lease.job_id
}

/// Checks an error's status and OpenAI's shape; gives its message.
async fn expect_openai_error(response: Response, status: u16, code: &str, param: Option<&str>) -> String {
    let found = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let error = &body["error"];
    assert_eq!((found, error["code"].as_str(), error["param"].as_str()), (status, Some(code), param), "{body}");
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    assert_eq!(error["type"], kind, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1);
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn layers_come_as_images() {
    let app = TestApp::start().await;
    let fields = [
        ("prompt", "a poster"),
        ("layers", "3"),
        ("resolution", "1024"),
        ("seed", "7"),
        ("model", "unflatten"),
        ("n", "1"),
        ("size", "auto"),
        ("response_format", "b64_json"),
        ("user", "me"),
        ("quality", "high"),
    ];
    let (response, id) = tokio::join!(edit(&app, form(&fields)), work(&app, None));
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!((body["output_format"].as_str(), body["size"].as_str()), (Some("png"), Some("24x16")));
    assert_eq!(body["job_id"], id.to_string());
    let data = body["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    for (n, layer) in data.iter().enumerate() {
        let bytes = BASE64.decode(layer["b64_json"].as_str().unwrap()).unwrap();
        let stored = app.get(&format!("/api/jobs/{id}/layers/{n}.png")).await.bytes().await.unwrap();
        assert_eq!(bytes, stored);
        assert_eq!(layer["z_index"], n);
    }
    let params = app.broker.job(id).await.unwrap().unwrap().params;
    assert_eq!((params.prompt.as_str(), params.seed), ("a poster", Some(7)));
    assert_eq!((params.num_layers, params.resolution), (jobs::LayerCount::Exactly(3), Some(jobs::Resolution(1024))));
}

#[tokio::test]
async fn wishes_and_the_fields_of_other_servers_are_taken() {
    let app = TestApp::start().await;
    let fields = [
        ("prompt", "a poster"),
        ("model", "gpt-image-1"),
        ("size", "1024x1024"),
        ("quality", "high"),
        ("background", "opaque"),
        ("output_format", "webp"),
        ("output_compression", "90"),
        ("input_fidelity", "high"),
        ("moderation", "low"),
        ("user", "me"),
        ("safety_identifier", "me"),
        ("num_layers", "3"),
        ("num_inference_steps", "30"),
        ("negative_prompt", "blur"),
        ("true_cfg_scale", "2.5"),
        ("guidance_scale", "1"),
        ("generator_device", "cpu"),
    ];
    let (response, id) = tokio::join!(edit(&app, form(&fields)), work(&app, None));
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    let told = ["output_format", "size", "background"].map(|name| body[name].as_str().unwrap());
    assert_eq!(told, ["png", "24x16", "transparent"]);
    let params = app.broker.job(id).await.unwrap().unwrap().params;
    assert_eq!((params.steps, params.guidance, params.negative_prompt.as_str()), (Some(30), 2.5, "blur"));
    assert_eq!((params.num_layers, params.engine), (jobs::LayerCount::Exactly(3), jobs::EngineChoice::Auto));
}

#[tokio::test]
async fn models_are_listed_and_have_other_names() {
    let app = TestApp::with([("OPENAI_MODEL_ALIASES", "gpt-image-1, my/model=draft")]).await;
    let list: Value = app.get("/v1/models").await.json().await.unwrap();
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().unwrap();
    let names: Vec<_> = models.iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(["unflatten", "draft", "gpt-image-1", "my/model"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(models.iter().all(|model| model["object"] == "model" && model["created"].is_u64()));
    let one: Value = app.get("/v1/models/my%2Fmodel").await.json().await.unwrap();
    assert_eq!((one["id"].as_str(), one["engine"].as_str()), (Some("my/model"), Some("draft")));
    expect_openai_error(app.get("/v1/models/dall-e-9").await, 404, "model_not_found", Some("model")).await;
    let (response, id) = tokio::join!(edit(&app, form(&[("model", "MY/model")])), work(&app, None));
    assert_eq!(response.status(), 200);
    assert_eq!(app.broker.job(id).await.unwrap().unwrap().params.engine.as_str(), "draft");
}

/// A body with the picture as a `data:` URL.
fn json_body(more: Value) -> Value {
    let url = format!("data:image/png;base64,{}", BASE64.encode(pictures::png()));
    let mut body = serde_json::json!({ "images": [{ "image_url": url }], "prompt": "x" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn edit_json(app: &TestApp, body: &Value) -> Response {
    app.client.post(app.url("/v1/images/edits")).json(body).send().await.unwrap()
}

#[tokio::test]
async fn json_with_a_picture_in_it_is_taken() {
    let app = TestApp::start().await;
    let body = json_body(serde_json::json!({ "layers": 3, "seed": 7, "stream": false, "user": null, "size": "auto" }));
    let (response, id) = tokio::join!(edit_json(&app, &body), work(&app, None));
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["data"].as_array().unwrap().len(), 2);
    let job = app.broker.job(id).await.unwrap().unwrap();
    assert_eq!((job.params.num_layers, job.params.seed), (jobs::LayerCount::Exactly(3), Some(7)));
    let stored = app.get(&format!("/api/uploads/{}.png", job.upload_id)).await.bytes().await.unwrap();
    assert_eq!(&stored[1..4], b"PNG");
}

#[tokio::test]
async fn json_without_a_picture_is_told_in_words() {
    let app = TestApp::start().await;
    let elsewhere = serde_json::json!({ "images": [{ "image_url": "https://example.org/a.png" }] });
    let response = edit_json(&app, &elsewhere).await;
    let message = expect_openai_error(response, 400, "invalid_parameter", Some("images")).await;
    assert!(message.contains("data: URL"), "{message}");
    let response = edit_json(&app, &serde_json::json!({ "prompt": "x" })).await;
    expect_openai_error(response, 400, "image_missing", None).await;
    let two = serde_json::json!({ "images": ["data:;base64,AA", "data:;base64,AA"] });
    expect_openai_error(edit_json(&app, &two).await, 400, "image_repeated", None).await;
    let response = edit_json(&app, &json_body(serde_json::json!({ "layers": [1] }))).await;
    expect_openai_error(response, 400, "invalid_parameter", Some("layers")).await;
    expect_openai_error(edit_json(&app, &serde_json::json!([1])).await, 400, "invalid_json", None).await;
    let broken = app.client.post(app.url("/v1/images/edits")).header("content-type", "application/json");
    expect_openai_error(broken.body("{\"images\": [").send().await.unwrap(), 400, "invalid_json", None).await;
    let small = TestApp::with([("MAX_FILE_SIZE", "100")]).await;
    let response = edit_json(&small, &json_body(serde_json::json!({}))).await;
    expect_openai_error(response, 413, "file_too_large", None).await;
}

/// The events of a stream, each with its name and its data; comments have no name.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    blocks
        .map(|block| match block.strip_prefix(": ") {
            Some(_) => (String::new(), Value::Null),
            None => {
                let (name, data) = block.split_once("\ndata: ").unwrap();
                (name.strip_prefix("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap())
            }
        })
        .collect()
}

#[tokio::test]
async fn layers_come_as_events() {
    let app = TestApp::start().await;
    for partial in [0, 2] {
        let fields = [("stream", "true"), ("partial_images", if partial > 0 { "2" } else { "0" })];
        let (response, id) = tokio::join!(edit(&app, form(&fields)), work(&app, None));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let all = events(&response.text().await.unwrap());
        assert_eq!(all[0].0, "", "a comment comes at once");
        let pictures: Vec<_> = all.iter().filter(|(name, _)| !name.is_empty()).collect();
        assert_eq!(pictures.len(), if partial > 0 { 3 } else { 2 });
        if partial > 0 {
            let (name, data) = pictures[0];
            assert_eq!((name.as_str(), data["partial_image_index"].as_u64()), ("image_edit.partial_image", Some(0)));
            assert_eq!(data["output_format"], "jpeg");
            assert_eq!(BASE64.decode(data["b64_json"].as_str().unwrap()).unwrap()[..2], [0xFF, 0xD8]);
        }
        for (n, (name, data)) in pictures.iter().rev().take(2).rev().enumerate() {
            assert_eq!((name.as_str(), data["type"].as_str()), ("image_edit.completed", Some("image_edit.completed")));
            let stored = app.get(&format!("/api/jobs/{id}/layers/{n}.png")).await.bytes().await.unwrap();
            assert_eq!(BASE64.decode(data["b64_json"].as_str().unwrap()).unwrap(), stored);
            assert_eq!((data["size"].as_str(), data["z_index"].as_u64()), (Some("24x16"), Some(n as u64)));
            assert!(data["usage"]["total_tokens"].is_u64() && data["created_at"].is_i64(), "{data}");
        }
    }
}

#[tokio::test]
async fn a_stream_tells_of_a_job_that_fails_and_of_one_that_takes_too_long() {
    let app = TestApp::with([("OPENAI_WAIT_S", "1")]).await;
    let failure = Failure { code: FailureCode::OutOfMemory, message: "needs 9 GB: try fewer layers".to_owned() };
    let failed = Some(Outcome::Failed(failure));
    let (response, _) = tokio::join!(edit(&app, form(&[("stream", "True")])), work(&app, failed));
    let text = response.text().await.unwrap();
    let (name, data) = events(&text).pop().unwrap();
    assert_eq!((name.as_str(), data["error"]["code"].as_str()), ("error", Some("job_failed")));
    assert!(data["error"]["message"].as_str().unwrap().contains("fewer layers"), "{data}");

    let response = edit(&app, form(&[("stream", "true")])).await;
    let (name, data) = events(&response.text().await.unwrap()).pop().unwrap();
    assert_eq!((name.as_str(), data["error"]["code"].as_str()), ("error", Some("job_too_slow")));
    until(|| async { app.broker.stats().await.unwrap().queued == 0 }).await;
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_cancels_its_job() {
    let app = TestApp::start().await;
    let response = edit(&app, form(&[("stream", "true")])).await;
    assert_eq!(app.broker.stats().await.unwrap().queued, 1);
    drop(response);
    until(|| async { app.broker.stats().await.unwrap().queued == 0 }).await;
}

#[tokio::test]
async fn layers_larger_than_a_block_arrive_whole() {
    let app = TestApp::start().await;
    let image = Part::bytes(pictures::noise_png(300)).file_name("noise.png");
    let (response, id) = tokio::join!(edit(&app, Form::new().part("image[]", image)), work(&app, None));
    let body: Value = response.json().await.unwrap();
    let bytes = BASE64.decode(body["data"][1]["b64_json"].as_str().unwrap()).unwrap();
    assert!(bytes.len() > 100 << 10, "{}", bytes.len());
    assert_eq!(bytes, app.get(&format!("/api/jobs/{id}/layers/1.png")).await.bytes().await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_openais_words() {
    let app = TestApp::start().await;
    for (field, value, status) in [
        ("layers", "65", 422),
        ("resolution", "641", 422),
        ("seed", "many", 422),
        ("num_layers", "65", 422),
        ("num_inference_steps", "201", 422),
        ("true_cfg_scale", "0.5", 422),
        ("n", "2", 400),
        ("response_format", "url", 400),
        ("stream", "perhaps", 400),
        ("model", "dall-e-9", 400),
        ("layer_count", "4", 400),
    ] {
        let response = edit(&app, form(&[("prompt", "x"), (field, value)])).await;
        let message = expect_openai_error(response, status, "invalid_parameter", Some(field)).await;
        assert!(message.contains(field), "{message}");
    }
    let with_mask = form(&[]).part("mask", Part::bytes(pictures::png()).file_name("mask.png"));
    expect_openai_error(edit(&app, with_mask).await, 400, "unexpected_file", Some("mask")).await;
    expect_openai_error(edit(&app, Form::new().text("prompt", "x")).await, 400, "image_missing", None).await;
    let no_picture = Form::new().part("image", Part::bytes(b"GIF87a".to_vec()).file_name("a.gif"));
    expect_openai_error(edit(&app, no_picture).await, 422, "image_damaged", None).await;
    let text = app.client.post(app.url("/v1/images/edits")).body("picture").send().await.unwrap();
    expect_openai_error(text, 415, "unsupported_media_type", None).await;
    expect_openai_error(app.get("/v1/images/edits").await, 405, "method_not_allowed", None).await;
}

#[tokio::test]
async fn a_job_that_fails_is_an_error_that_is_not_repeated() {
    let app = TestApp::start().await;
    let failure = Failure { code: FailureCode::OutOfMemory, message: "needs 9 GB: try fewer layers".to_owned() };
    let (response, _) = tokio::join!(edit(&app, form(&[])), work(&app, Some(Outcome::Failed(failure))));
    assert_eq!(response.headers()["x-should-retry"], "false");
    assert!(expect_openai_error(response, 422, "job_failed", None).await.contains("fewer layers"));
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_cancelled() {
    let app = TestApp::with([("OPENAI_WAIT_S", "1")]).await;
    let response = edit(&app, form(&[])).await;
    assert!(expect_openai_error(response, 504, "job_too_slow", None).await.contains("1 s"));
    let cancelled = || async { app.broker.stats().await.unwrap().queued == 0 };
    until(cancelled).await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_job() {
    let app = TestApp::start().await;
    let request = app.client.post(app.url("/v1/images/edits")).multipart(form(&[])).timeout(Duration::from_secs(1));
    assert!(request.send().await.unwrap_err().is_timeout());
    until(|| async { app.broker.stats().await.unwrap().queued == 0 }).await;
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not come true");
}

const PYTHON: &str = r#"
import base64, io, sys
import openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
image = ("poster.png", sys.stdin.buffer.read(), "image/png")
result = client.images.edit(image=image, prompt="a poster", model="unflatten", response_format="b64_json",
                            extra_body={"layers": 4, "resolution": 640, "seed": 7})
print(len(result.data), all(base64.b64decode(layer.b64_json)[:4] == b"\x89PNG" for layer in result.data))
stream = client.images.edit(image=image, prompt="a poster", model="gpt-image-1", stream=True, partial_images=1,
                            size="1024x1024", quality="high", background="opaque", output_format="webp", user="me")
print([event.type for event in stream])
print("unflatten" in [model.id for model in client.models.list()])
try:
    client.images.edit(image=image, prompt="a poster", n=3)
except openai.BadRequestError as error:
    print(error.code, error.param, error.type)
"#;

/// The Python that has the `openai` package: `UNFLATTEN_PYTHON`, or the system's.
fn python() -> Option<String> {
    let python = std::env::var("UNFLATTEN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import openai"]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openais_python_client_gets_its_layers() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: no Python with the package openai; `pip install openai` and UNFLATTEN_PYTHON=... run it");
        return;
    };
    let app = TestApp::start().await;
    let picture = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(picture.path(), pictures::png()).unwrap();
    let mut command = Command::new(python);
    command.args(["-c", PYTHON, &app.url("/v1")]).stdin(picture.reopen().unwrap());
    let client = tokio::task::spawn_blocking(move || command.output().unwrap());
    let id = work_patiently(&app).await;
    work_patiently(&app).await;
    let output = client.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = told.lines().collect();
    let events = "['image_edit.partial_image', 'image_edit.completed', 'image_edit.completed']";
    assert_eq!(lines, ["2 True", events, "True", "invalid_parameter n invalid_request_error"]);
    let job = app.broker.job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.params.num_layers), (State::Succeeded, jobs::LayerCount::Exactly(4)));
}

/// Python takes its time to start.
async fn work_patiently(app: &TestApp) -> jobs::JobId {
    for _ in 0..3000 {
        if app.broker.stats().await.unwrap().queued > 0 {
            return work(app, None).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("Python's request did not come");
}
