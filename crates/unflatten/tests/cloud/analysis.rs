//! Layers that a model describes after the engine is done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router};
use engine::{
    Availability, Engine, EngineError, EngineJob, EngineName, EngineOffer, EngineSet, Output, ProgressSink, Quality,
    Stage,
};
use image::RgbaImage;
use jobs::{EventKind, LayerCount, Metadata, Params, Resolution, State};
use layers::{Kind, Layer, LayerStack};
use qwen_image_layered::testing::whole_checkpoint;
use serde_json::{Value, json};

use crate::bench::{Bench, OwnedSettings, poster};
use crate::google::listen;

/// A fake Gemini that gives one answer to every request, after a delay.
struct FakeGemini {
    address: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl FakeGemini {
    async fn start(status: u16, body: Value, after: Duration) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let answer = move |Json(question): Json<Value>| {
            kept.lock().expect("no panic").push(question);
            let body = body.clone();
            async move {
                tokio::time::sleep(after).await;
                (StatusCode::from_u16(status).expect("a status"), Json(body))
            }
        };
        // Pictures make a question large.
        let app = Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable());
        Self { address: listen(app).await, asked }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no panic").clone()
    }

    async fn bench(&self, more: &[(&str, &str)]) -> Bench {
        let own = [("ANALYZER", "gemini"), ("GEMINI_API_KEY", "test-key"), ("GEMINI_ENDPOINT", self.address.as_str())];
        Bench::start_with(&owned(&[&own[..], more].concat()), Some(Arc::new(Plain))).await
    }
}

/// An engine that costs nothing: these tests are about what follows it.
struct Plain;

impl EngineSet for Plain {
    fn available(&self) -> Vec<Availability> {
        vec![Availability { name: EngineName::Draft, state: Ok(self.offer()) }]
    }

    fn make(&self, _: EngineName) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(Self))
    }
}

impl Engine for Plain {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: EngineName::Draft,
            version: "test".to_owned(),
            model: None,
            device: "cpu".to_owned(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        }
    }

    fn memory_bytes(&self, _: u32, _: u32, _: &Params) -> u64 {
        1 << 20
    }

    fn decompose(&mut self, job: &EngineJob<'_>, _: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let (width, height) = job.input.dimensions();
        let layer = |name: &str, pixels| Layer::new(name, Kind::Unknown, pixels);
        let nothing = RgbaImage::new(width, height);
        let layers =
            vec![layer("Background", job.input.clone()), layer("Layer 1", nothing.clone()), layer("Layer 2", nothing)];
        let stack = LayerStack::new(width, height, layers).expect("layers of one size");
        Ok(Output::new(stack))
    }
}

fn owned(pairs: &[(&str, &str)]) -> OwnedSettings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn texts(metadata: &Metadata) -> String {
    metadata.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn said(text: &str) -> Value {
    json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] }, "finishReason": "STOP" }] })
}

fn draft() -> Params {
    Params { engine: EngineName::Draft.into(), num_layers: LayerCount::Exactly(3), seed: Some(1), ..Params::default() }
}

async fn done(bench: &Bench) -> Metadata {
    let id = bench.submit(&poster(96, 0), draft()).await;
    let job = bench.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    let described = |kind: &EventKind| matches!(kind, EventKind::Progress(p) if p.stage == Stage::Describe);
    assert!(bench.events(id).await.iter().any(|event| described(&event.kind)), "the stage is shown");
    bench.metadata(id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_names_the_layers_and_judges_them() {
    let answer = json!({
        "layers": [
            { "index": 0, "name": "Cream ground", "description": "A plain cream ground.", "kind": "background",
              "language": null, "quality_notes": "" },
            { "index": 1, "name": "Red disc", "description": "A red disc.", "kind": "object", "language": null,
              "quality_notes": "A thin halo." }
        ],
        "quality": "fair", "reason": "One halo.", "num_layers": 3, "redo": [1], "recommendation": "Redo the disc."
    });
    let gemini = FakeGemini::start(200, said(&answer.to_string()), Duration::ZERO).await;
    let metadata = done(&gemini.bench(&[]).await).await;
    let names: Vec<_> = metadata.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(&names[..2], ["Cream ground", "Red disc"]);
    // Exports use these names.
    let document = serde_json::to_string(&format!("{:?}", metadata.document())).expect("JSON");
    assert!(document.contains("Red disc"), "{document}");
    let analysis = metadata.analysis.expect("an analysis");
    assert_eq!((analysis.analyzer.as_str(), analysis.model.as_str()), ("gemini", "gemini-2.5-flash"));
    assert_eq!(analysis.layers.len(), metadata.layers.len());
    assert_eq!(analysis.layers[1].quality_notes, "A thin halo.");
    assert!(!analysis.layers[1].engine_name.is_empty());
    assert_eq!(analysis.verdict.map(|verdict| verdict.quality), Some(Quality::Fair));
    assert_eq!(analysis.recommendation.map(|r| (r.num_layers, r.redo)), Some((Some(3), vec![1])));

    let asked = &gemini.asked()[0];
    let parts = asked["contents"][0]["parts"].as_array().expect("parts");
    let pictures = parts.iter().filter(|part| part["inlineData"]["mimeType"] == "image/jpeg").count();
    assert_eq!(pictures, 1 + metadata.layers.len(), "the picture and each layer");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_gemini_does_the_job_succeeds() {
    let quota = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down", "details": [
        { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{ "quotaId": "RequestsPerDay" }] } ] } });
    let denied = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid." } });
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" } });
    let now = Duration::ZERO;
    let cases = [
        (429, quota, now, "tomorrow"),
        (400, denied, now, "GEMINI_API_KEY"),
        (200, blocked, now, "SAFETY"),
        (200, said("{\"layers\": [{\"index\": 0, \"na"), now, "complete"),
        (200, said("[]"), now, "unreadable"),
        (200, said("{}"), Duration::from_secs(30), "ANALYZER_TIMEOUT_S"),
    ];
    for (status, body, after, word) in cases {
        let gemini = FakeGemini::start(status, body.clone(), after).await;
        let metadata = done(&gemini.bench(&[("ANALYZER_TIMEOUT_S", "1")]).await).await;
        assert!(metadata.analysis.is_none(), "{body}");
        let note = metadata.notes.iter().find(|note| note.text.contains("not described")).expect("a note");
        assert!(note.text.contains(word) && note.text.contains("engine's names"), "{word} is not in {note}");
        assert!(!metadata.layers.is_empty() && metadata.recomposition.max_error <= 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_does_not_wait_for_gemini() {
    let gemini = FakeGemini::start(200, said("{}"), Duration::from_secs(60)).await;
    let bench = gemini.bench(&[]).await;
    let id = bench.submit(&poster(96, 0), draft()).await;
    bench.wait(id, |job| job.progress.as_ref().is_some_and(|p| p.stage == Stage::Describe)).await;
    bench.broker.cancel(id).await.expect("the queue answers");
    let asked = std::time::Instant::now();
    assert_eq!(bench.finished(id).await.state, State::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(40), "the job waited for the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_own_encoder_is_asked_and_may_fail() {
    let model = whole_checkpoint();
    let name = model.path().to_string_lossy();
    let settings =
        owned(&[("ANALYZER", "local"), ("MODEL_NAME", &name), ("DEVICE", "cpu"), ("ANALYZER_TIMEOUT_S", "3000")]);
    let bench = Bench::start(&settings).await;
    let params = Params {
        engine: EngineName::Qwen.into(),
        num_layers: LayerCount::Exactly(2),
        steps: Some(1),
        resolution: Some(Resolution(64)),
        prompt: "two discs".to_owned(),
        seed: Some(1),
        ..Params::default()
    };
    let id = bench.submit(&poster(64, 0), params).await;
    let job = bench.finished(id).await;
    assert_eq!(job.state, State::Succeeded, "{:?}", job.error);
    // Random weights give no sensible answer, and the note says so.
    let metadata = bench.metadata(id).await;
    let notes = texts(&metadata);
    assert!(metadata.analysis.is_none() && notes.contains("not described") && notes.contains("JSON"), "{notes}");
    let stages: Vec<_> = bench.events(id).await.into_iter().map(|event| event.kind).collect();
    assert!(
        stages.iter().any(|kind| matches!(kind, EventKind::Progress(p) if p.stage == Stage::Describe)),
        "{stages:?}"
    );

    // For an engine without an encoder, the note names the one that has it.
    let bench = Bench::start_with(&settings, Some(Arc::new(Plain))).await;
    let id = bench.submit(&poster(64, 0), draft()).await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    let notes = texts(&bench.metadata(id).await);
    assert!(notes.contains("qwen engine"), "{notes}");
}
