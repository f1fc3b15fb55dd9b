//! A worker and the container that answers it on Vertex AI.

use engine::{EngineChoice, EngineName, Stage};
use jobs::{EventKind, FailureCode, LayerCount, Params, Resolution, State};
use qwen_image_layered::testing::whole_checkpoint;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, noise, poster};
use crate::google::{Container, FakeEndpoint, b64};
use crate::storage::FakeStorage;

pub(crate) fn params(engine: impl Into<EngineChoice>, layers: u8) -> Params {
    Params { engine: engine.into(), num_layers: LayerCount::Exactly(layers), seed: Some(1), ..Params::default() }
}

/// A run of the tiny model that is long enough, on any machine, to be interrupted.
pub(crate) fn long_params(engine: impl Into<EngineChoice>) -> Params {
    let prompt = "two discs".to_owned();
    Params { steps: Some(200), resolution: Some(Resolution(320)), prompt, ..params(engine, 2) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_answers_as_vertex_ai_expects() {
    let container = Container::start(&[("ENGINES", "draft")]).await;
    let id = Uuid::new_v4();
    let instance =
        json!({ "job_id": id, "image": { "b64": b64(&poster(96, 0)) }, "params": { "num_layers": 3 }, "wait_s": 60 });
    let (status, first) = container.predict(&json!({ "instances": [instance] })).await;
    assert_eq!(status, 200, "{first}");
    let prediction = &first["predictions"][0];
    assert_eq!((prediction["state"].as_str(), prediction["width"].as_u64()), (Some("succeeded"), Some(96)), "{first}");
    assert!(prediction["layers"].as_array().is_some_and(|layers| layers.len() >= 2), "{first}");

    // The same job again, with and without its picture, is answered from the result.
    let bare = json!({ "job_id": id, "wait_s": 60 });
    for again in [instance.clone(), bare] {
        let (_, again) = container.predict(&json!({ "instances": [again] })).await;
        assert_eq!(again, first);
    }
    assert_eq!(container.count("job started"), 1);
    let (_, unknown) = container.predict(&json!({ "instances": [{ "job_id": Uuid::new_v4() }] })).await;
    assert_eq!(unknown["predictions"][0]["state"], "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_are_refused_with_advice() {
    let container = Container::start(&[("ENGINES", "draft")]).await;
    let id = Uuid::new_v4();
    let good = json!({ "job_id": id, "image": { "b64": b64(&poster(32, 0)) } });
    let with = |key: &str, value: Value| {
        let mut instance = good.clone();
        instance[key] = value;
        json!({ "instances": [instance] })
    };
    let cases = [
        (json!({}), "instances"),
        (json!({ "instances": [] }), "one instance"),
        (json!({ "instances": [good, good] }), "one instance"),
        (with("job_id", json!("x")), "UUID"),
        (with("image", json!({ "b64": "!" })), "instances"),
        (with("image", json!({ "b64": "AAAA" })), "PNG"),
        (with("image", json!({ "uri": "/etc/passwd" })), "gs://"),
        (with("params", json!({ "steps": 0 })), "steps"),
        (with("params", json!({ "layers": 3 })), "layers"),
    ];
    for (body, word) in cases {
        let (status, answer) = container.predict(&body).await;
        assert_eq!((status, answer["error"]["status"].as_str()), (400, Some("INVALID_ARGUMENT")), "{body}: {answer}");
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert_eq!(container.count("job started"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_works_on_one_job_at_a_time() {
    let model = whole_checkpoint();
    let container = Container::with_model(model.path()).await;
    let image = json!({ "b64": b64(&poster(64, 0)) });
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let params = json!({ "num_layers": 2, "steps": 200, "resolution": 320, "prompt": "discs" });
    let begin = json!({ "instances": [{ "job_id": first, "image": image, "params": params, "wait_s": 1 }] });
    let (_, running) = container.predict(&begin).await;
    assert_eq!(running["predictions"][0]["state"], "running", "{running}");
    let other = json!({ "instances": [{ "job_id": second, "image": image, "params": { "num_layers": 1, "steps": 1,
        "resolution": 64, "prompt": "discs" }, "wait_s": 60 }] });
    let (status, busy) = container.predict(&other).await;
    assert_eq!((status, busy["error"]["status"].as_str()), (429, Some("RESOURCE_EXHAUSTED")), "{busy}");
    // A call for the running job is accepted and gets the progress.
    let (_, more) = container.predict(&json!({ "instances": [{ "job_id": first, "wait_s": 1 }] })).await;
    assert_eq!(more["predictions"][0]["progress"]["stage"], "denoise", "{more}");
    let (_, ended) = container.predict(&json!({ "instances": [{ "job_id": first, "cancel": true }] })).await;
    assert_eq!(ended["predictions"][0]["state"], "cancelled", "{ended}");
    container.wait_for("outcome=\"cancelled\"").await;
    let (status, done) = container.predict(&other).await;
    assert_eq!((status, done["predictions"][0]["state"].as_str()), (200, Some("succeeded")));
    assert_eq!(done["predictions"][0]["engine"], "qwen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_its_job_done_by_the_container() {
    let container = Container::start(&[("ENGINES", "draft")]).await;
    let bench = Bench::start(&container.settings(&[])).await;
    let id = bench.submit(&poster(160, 1), params(EngineName::Vertex, 3)).await;
    let job = bench.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    let metadata = bench.metadata(id).await;
    assert_eq!((metadata.engine.name, metadata.recomposition.max_error <= 1), (EngineName::Vertex, true));
    assert!(metadata.engine.device.contains("us-central1") && metadata.layers.len() >= 2);
    bench.check_layers(id, &metadata, &poster(160, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_predict_carries_the_same_json() {
    let container = Container::start_at(":rawPredict", &[("ENGINES", "draft")]).await;
    let bench = Bench::start(&container.settings(&[("VERTEX_PREDICT_METHOD", "rawPredict")])).await;
    let id = bench.submit(&poster(64, 1), params(EngineName::Vertex, 2)).await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_runs_on_the_other_side_and_auto_goes_there() {
    let model = whole_checkpoint();
    let container = Container::with_model(model.path()).await;
    let bench = Bench::start(&container.settings(&[("VERTEX_WAIT_S", "1")])).await;
    let picture = poster(90, 2);
    let id = bench.submit(&picture, long_params(EngineChoice::Auto)).await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    let metadata = bench.metadata(id).await;
    assert_eq!((metadata.engine.name, metadata.engine.model.is_some()), (EngineName::Vertex, true));
    assert!(metadata.engine.reason.contains("no worker has the model on a GPU"), "{}", metadata.engine.reason);
    assert!(metadata.notes.iter().any(|note| note.text.contains("scaled up")), "{:?}", metadata.notes);
    bench.check_layers(id, &metadata, &picture).await;
    let events = bench.events(id).await;
    let started = events.iter().find_map(|e| match &e.kind {
        EventKind::Started { engine, reason, .. } => Some((*engine, reason.clone())),
        _ => None,
    });
    let (engine, reason) = started.expect("it started");
    assert!(engine == EngineName::Vertex && reason == metadata.engine.reason, "{reason}");
    let stages: Vec<_> =
        events.iter().filter_map(|e| if let EventKind::Progress(p) = &e.kind { Some(p.stage) } else { None }).collect();
    assert!(stages.contains(&Stage::Denoise), "the container's steps are shown: {stages:?}");
    assert_eq!(container.count("job started"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_finds_the_run_of_one_that_died() {
    let model = whole_checkpoint();
    let container = Container::with_model(model.path()).await;
    let settings = container.settings(&[("JOB_LEASE_S", "1"), ("VERTEX_WAIT_S", "1")]);
    let mut bench = Bench::start(&settings).await;
    let id = bench.submit(&poster(64, 3), long_params(EngineName::Vertex)).await;
    bench.wait(id, |job| job.progress.as_ref().is_some_and(|p| p.stage == Stage::Denoise)).await;
    bench.kill_worker();
    bench.start_worker();
    let job = bench.finished(id).await;
    assert_eq!((job.state, job.attempt), (State::Succeeded, 2), "{:?}", job.error);
    assert_eq!(container.count("job started"), 1, "the job was computed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shuts_down_leaves_its_run_to_the_next() {
    let model = whole_checkpoint();
    let container = Container::with_model(model.path()).await;
    let settings = container.settings(&[("SHUTDOWN_GRACE_S", "0"), ("VERTEX_WAIT_S", "1")]);
    let mut bench = Bench::start(&settings).await;
    let id = bench.submit(&poster(64, 6), long_params(EngineChoice::Auto)).await;
    bench.wait(id, |job| job.progress.as_ref().is_some_and(|p| p.stage == Stage::Denoise)).await;
    bench.stop_worker().await;
    assert_eq!(bench.wait(id, |_| true).await.state, State::Queued);
    bench.start_worker();
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    assert_eq!(container.count("job started"), 1, "the job was computed twice");
    assert_eq!(bench.metadata(id).await.engine.name, EngineName::Vertex);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_reaches_the_container() {
    let model = whole_checkpoint();
    let container = Container::with_model(model.path()).await;
    let bench = Bench::start(&container.settings(&[])).await;
    let id = bench.submit(&poster(64, 4), long_params(EngineName::Vertex)).await;
    container.wait_for("job started").await;
    bench.broker.cancel(id).await.expect("the queue answers");
    assert_eq!(bench.finished(id).await.state, State::Cancelled);
    container.wait_for("outcome=\"cancelled\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_vertex_fails_an_open_job_is_done_by_draft_and_a_named_one_says_why() {
    let quota = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED",
        "message": "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model" } });
    let endpoint = FakeEndpoint::start(429, quota).await;
    let bench = Bench::start(&endpoint.settings(&[("VERTEX_RETRIES", "1")])).await;
    let id = bench.submit(&poster(64, 0), params(EngineChoice::Auto, 2)).await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    let metadata = bench.metadata(id).await;
    assert_eq!(metadata.engine.name, EngineName::Draft);
    assert!(metadata.engine.reason.contains("Quota exceeded"), "{}", metadata.engine.reason);
    let engines: Vec<_> = bench
        .events(id)
        .await
        .into_iter()
        .filter_map(|e| if let EventKind::Started { engine, .. } = e.kind { Some(engine) } else { None })
        .collect();
    assert_eq!(engines, [EngineName::Vertex, EngineName::Draft]);
    assert_eq!(endpoint.calls(), 2, "one try and one retry");

    let id = bench.submit(&poster(64, 0), params(EngineName::Vertex, 2)).await;
    let error = bench.finished(id).await.error.expect("it failed");
    assert_eq!(error.code, FailureCode::EngineFailed);
    for word in ["Vertex AI prediction", "Quota exceeded", "replicas"] {
        assert!(error.message.contains(word), "{word} is not in {}", error.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_loses_no_job() {
    let model = whole_checkpoint();
    let mut container = Container::with_model(model.path()).await;
    let bench = Bench::start(&container.settings(&[("VERTEX_RETRIES", "1"), ("VERTEX_WAIT_S", "1")])).await;
    let id = bench.submit(&poster(64, 5), long_params(EngineChoice::Auto)).await;
    container.wait_for("job started").await;
    container.kill();
    let job = bench.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    assert_eq!(bench.metadata(id).await.engine.name, EngineName::Draft);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_beyond_the_limit_travel_through_cloud_storage() {
    let storage = FakeStorage::start().await;
    let container = Container::start(&[("ENGINES", "draft"), ("GOOGLE_STORAGE_ENDPOINT", &storage.address)]).await;
    let staging = [("VERTEX_STAGING_URI", "gs://posters/work"), ("GOOGLE_STORAGE_ENDPOINT", storage.address.as_str())];
    let picture = noise(1700, 1600);
    let with = Bench::start(&container.settings(&staging)).await;
    let id = with.submit(&picture, params(EngineName::Vertex, 1)).await;
    let job = with.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    let written = storage.written();
    assert!(written.contains(&format!("work/{id}/input.png")), "{written:?}");
    assert!(written.contains(&format!("work/{id}/layer_0.png")), "{written:?}");
    storage.wait_until_empty().await;
    assert!(storage.all_signed(), "a call came without a token");

    let without = Bench::start(&container.settings(&[])).await;
    let id = without.submit(&picture, params(EngineName::Vertex, 1)).await;
    let error = without.finished(id).await.error.expect("too large");
    assert!(error.message.contains("VERTEX_STAGING_URI"), "{}", error.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_come_from_cloud_storage() {
    let storage = FakeStorage::start().await;
    let model = whole_checkpoint();
    storage.put_folder(model.path(), "weights/v1");
    storage.put("weights/v10/other.txt", b"of another version");
    let settings = [
        ("ENGINES", "qwen"),
        ("DEVICE", "cpu"),
        ("AIP_STORAGE_URI", "gs://posters/weights/v1"),
        ("GOOGLE_STORAGE_ENDPOINT", storage.address.as_str()),
    ];
    let container = Container::start(&settings).await;
    assert!(container.dir().join("storage/models/vertex/vae/config.json").is_file());
    assert!(!container.dir().join("storage/models/vertex/other.txt").exists());
    let instance = json!({ "job_id": Uuid::new_v4(), "image": { "b64": b64(&poster(64, 0)) }, "wait_s": 60,
        "params": { "num_layers": 1, "steps": 1, "resolution": 64, "prompt": "discs" } });
    let (status, answer) = container.predict(&json!({ "instances": [instance] })).await;
    assert_eq!((status, answer["predictions"][0]["engine"].as_str()), (200, Some("qwen")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_weights_says_what_to_do() {
    for (settings, words) in [
        (vec![("ENGINES", "qwen")], vec!["qwen", "pull"]),
        (vec![("AIP_STORAGE_URI", "weights")], vec!["AIP_STORAGE_URI", "gs://"]),
        (vec![("AIP_PREDICT_ROUTE", "predict")], vec!["AIP_PREDICT_ROUTE", "path"]),
    ] {
        let text = Container::fails(&settings).await;
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not in {text}");
    }
}
