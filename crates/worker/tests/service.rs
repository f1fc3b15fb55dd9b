//! The worker with engines that misbehave, on a real queue and a real store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::{
    Availability, Engine, EngineError, EngineJob, EngineName, EngineOffer, EngineSet, Message, MessageCode, Output,
    ProgressSink, Stage, Step,
};
use image::{Rgba, RgbaImage};
use jobs::broker::{BrokerConfig, EmbeddedBroker, NewJob, Rules};
use jobs::store::Upload;
use jobs::{Broker, Event, EventKind, FailureCode, InputInfo, Job, JobId, LayerCount, Params, State, Store};
use layers::{Kind, Layer, LayerStack};
use service::Settings;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Config, Context, Equipment, Retry};

const PATIENCE: Duration = Duration::from_secs(60);

/// How often the engine ran while the machine was short of threads or files.
static SHORTAGES: AtomicU32 = AtomicU32::new(0);

/// An engine whose behaviour the prompt of the job selects.
struct ScriptedEngine {
    name: EngineName,
    made: u32,
}

impl Engine for ScriptedEngine {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: self.name,
            version: "test".to_owned(),
            model: None,
            device: if self.name == EngineName::Draft { "cpu" } else { "cuda:0" }.to_owned(),
            max_layers: 10,
            uses_prompt: true,
        }
    }

    fn memory_bytes(&self, _width: u32, _height: u32, params: &Params) -> u64 {
        if params.prompt == "huge" { 1 << 50 } else { 1 << 10 }
    }

    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let EngineJob { input, params, .. } = *job;
        let (width, height) = input.dimensions();
        let step = |step: u32| Step { stage: Stage::Denoise, step, total: 1000, fraction: step as f32 / 1000.0 };
        match params.prompt.as_str() {
            "no quota" if self.name != EngineName::Vertex => {}
            "no quota" => {
                let message = "the quota is used up".to_owned();
                return Err(EngineError::failed(FailureCode::EngineFailed, message));
            }
            "panic" => panic!("a test of panics"),
            // At first, the machine has no threads or descriptors left.
            "short" => match SHORTAGES.fetch_add(1, Ordering::SeqCst) {
                // In the words of `std::thread::spawn`.
                0 => panic!("failed to spawn thread: {:?}", std::io::Error::from_raw_os_error(11)),
                1 => return Err(EngineError::Environment { message: "too many open files".to_owned() }),
                2 => {
                    let (code, message) = (FailureCode::EngineUnavailable, "the weights are not there".to_owned());
                    return Err(EngineError::failed(code, message));
                }
                _ => {}
            },
            "fail" => {
                let message = "the test said so".to_owned();
                return Err(EngineError::failed(FailureCode::EngineFailed, message));
            }
            "endless" => {
                for i in 0.. {
                    progress.step(step(i % 1000))?;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            // Alive, but it makes no progress.
            "stalled" => loop {
                progress.step(step(3))?;
                std::thread::sleep(Duration::from_millis(20));
            },
            "deaf" => loop {
                std::thread::sleep(Duration::from_millis(20));
            },
            "own size" => {
                let stack = stack(RgbaImage::from_pixel(width / 2, height / 2, *input.get_pixel(0, 0)));
                return Ok(Output::new(stack));
            }
            _ => {}
        }
        progress.step(step(1000))?;
        let notes = vec![Message::new(MessageCode::Other, format!("engine {}", self.made))];
        Ok(Output { notes, ..Output::new(stack(input.clone())) })
    }
}

fn stack(pixels: RgbaImage) -> LayerStack {
    let layer = Layer { name: "all".to_owned(), kind: Kind::Background, text: None, pixels };
    LayerStack::new(layer.pixels.width(), layer.pixels.height(), vec![layer]).expect("one layer fits")
}

/// Engines of these names, the best first.
struct ScriptedEngines {
    names: Vec<EngineName>,
    made: AtomicU32,
}

impl ScriptedEngines {
    fn new(names: &[EngineName]) -> Arc<Self> {
        Arc::new(Self { names: names.to_vec(), made: AtomicU32::new(0) })
    }
}

impl EngineSet for ScriptedEngines {
    fn available(&self) -> Vec<Availability> {
        let entry = |name: &EngineName| Availability {
            name: *name,
            state: Ok(ScriptedEngine { name: *name, made: 0 }.offer()),
        };
        self.names.iter().map(entry).collect()
    }

    fn make(&self, name: EngineName) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(ScriptedEngine { name, made: self.made.fetch_add(1, Ordering::SeqCst) + 1 }))
    }
}

struct Bench {
    dir: TempDir,
    broker: Arc<dyn Broker>,
    store: Store,
    shutdown: CancellationToken,
    worker: JoinHandle<anyhow::Result<()>>,
}

fn equipment(config: &Config, engines: &[EngineName]) -> Equipment {
    Equipment::new(config, ScriptedEngines::new(engines), None).expect("good settings")
}

fn rules(settings: &Settings) -> Rules {
    let rules = BrokerConfig::from_settings(settings).expect("good settings").rules;
    Rules { gpu_patience: Duration::from_secs(1), ..rules }
}

impl Bench {
    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, &[EngineName::Draft]).await
    }

    async fn start_with(settings: &[(&str, &str)], engines: &[EngineName]) -> Self {
        let settings = Settings::from_pairs(settings.iter().copied());
        Self::start_config(Config::from_settings(&settings).expect("good settings"), rules(&settings), engines).await
    }

    /// A worker that checks the storage after `first`, then at least every `longest`.
    async fn start_retrying(first: Duration, longest: Duration, tries: u32) -> Self {
        let settings = Settings::from_pairs([("JOB_LEASE_S", "1"), ("SHUTDOWN_GRACE_S", "0")]);
        let config = Config::from_settings(&settings).expect("good settings");
        let config = Config { retry: Retry { first, longest, tries }, ..config };
        Self::start_config(config, rules(&settings), &[EngineName::Draft]).await
    }

    async fn start_config(config: Config, rules: Rules, engines: &[EngineName]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let broker = EmbeddedBroker::open(&dir.path().join("queue.sqlite"), rules).await.expect("a queue");
        let broker: Arc<dyn Broker> = Arc::new(broker);
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.expect("a store");
        let equipment = equipment(&config, engines);
        let context = Context { broker: Arc::clone(&broker), store: store.clone(), config };
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(worker::run(context, equipment, shutdown.clone()));
        Self { dir, broker, store, shutdown, worker }
    }

    async fn submit(&self, prompt: &str) -> JobId {
        let upload = self.upload().await;
        let params = Params {
            prompt: prompt.to_owned(),
            num_layers: LayerCount::Exactly(1),
            seed: Some(1),
            ..Params::default()
        };
        let id = Uuid::new_v4();
        let new = NewJob { id, ..NewJob::new(upload, params) };
        self.broker.submit(new).await.expect("submitted");
        id
    }

    async fn upload(&self) -> Uuid {
        let picture = RgbaImage::from_pixel(8, 6, Rgba([200, 100, 50, 255]));
        let file = self.store.scratch().expect("a scratch file");
        layers::write_png(file.as_file(), &picture).expect("written");
        let input = InputInfo {
            filename: None,
            format: "png".to_owned(),
            width: 8,
            height: 6,
            has_alpha: false,
            sha256: "0".repeat(64),
            parent: None,
        };
        let upload = Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() };
        self.store.put_upload(&upload, file).await.expect("stored");
        upload.id
    }

    async fn wait(&self, id: JobId, is: impl Fn(&Job) -> bool) -> Job {
        let look = async {
            loop {
                let job = self.broker.job(id).await.expect("the queue answers").expect("the job is there");
                if is(&job) {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the job reaches that state")
    }

    async fn finished(&self, id: JobId) -> Job {
        self.wait(id, |job| job.state.is_terminal()).await
    }

    async fn failure(&self, id: JobId) -> (FailureCode, String) {
        let error = self.finished(id).await.error.expect("it failed");
        (error.code, error.message)
    }

    /// Waits until `is` holds for the reason why the worker is paused.
    async fn paused(&self, is: impl Fn(&Option<String>) -> bool) -> Option<String> {
        let look = async {
            loop {
                let workers = self.broker.workers().await.expect("the queue answers");
                if let Some(worker) = workers.into_iter().find(|worker| is(&worker.paused)) {
                    return worker.paused;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the worker reaches that state")
    }

    async fn ended(self) -> Arc<dyn Broker> {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.worker).await.expect("it ends").expect("no panic");
        ended.expect("an orderly end");
        self.broker
    }

    /// Makes the picture of a job unreadable, and nothing else.
    async fn break_upload(&self, id: JobId) {
        let job = self.broker.job(id).await.expect("the queue answers").expect("there");
        let picture = self.dir.path().join("uploads").join(job.upload_id.to_string()).join("image.png");
        std::fs::remove_file(&picture).expect("removed");
        std::fs::create_dir(&picture).expect("made");
    }

    async fn events(&self, id: JobId) -> Vec<Event> {
        self.broker.events_after(id, 0, 10_000).await.expect("the queue answers")
    }
}

async fn open_queue(dir: &Path) -> Arc<dyn Broker> {
    Arc::new(EmbeddedBroker::open(&dir.join("queue.sqlite"), Rules::default()).await.expect("a queue"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_job_and_the_engine_is_replaced() {
    let bench = Bench::start(&[]).await;
    let first = bench.submit("good").await;
    let bad = bench.submit("panic").await;
    let next = bench.submit("good").await;
    let (code, message) = bench.failure(bad).await;
    assert_eq!(code, FailureCode::EnginePanicked);
    assert!(message.contains("a test of panics") && message.contains("bug"), "{message}");
    for (id, note) in [(first, "engine 1"), (next, "engine 2")] {
        assert_eq!(bench.finished(id).await.state, State::Succeeded);
        let metadata = bench.store.metadata(id).await.expect("readable").expect("published");
        assert_eq!(metadata.notes.iter().map(ToString::to_string).collect::<Vec<_>>(), [note]);
        assert_eq!((metadata.recomposition.max_error, metadata.layers.len()), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_progress_fails_with_advice() {
    // The second one does not even react to a stop.
    let bench = Bench::start(&[("STALL_TIMEOUT_S", "1"), ("ENGINE_STOP_GRACE_S", "1")]).await;
    for (prompt, doing) in [("stalled", "in `denoise`, 3 of 1000 done"), ("deaf", "before its first step")] {
        let id = bench.submit(prompt).await;
        let (code, message) = bench.failure(id).await;
        assert_eq!(code, FailureCode::TimedOut, "{message}");
        for words in ["no progress", doing, "this process uses", "STALL_TIMEOUT_S"] {
            assert!(message.contains(words), "{words} in {message}");
        }
        let notes: Vec<_> = bench.events(id).await.into_iter().map(|event| event.kind).collect();
        let is_stall_note =
            |kind: &EventKind| matches!(kind, EventKind::Note { message, .. } if message.contains("no progress"));
        assert_eq!(notes.iter().filter(|kind| is_stall_note(kind)).count(), 1, "{notes:?}");
    }
    assert_eq!(bench.finished(bench.submit("good").await).await.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_carry_their_code_and_publish_nothing() {
    let bench = Bench::start(&[("JOB_MEMORY_LIMIT", "1GiB")]).await;
    for (prompt, code, word) in
        [("fail", FailureCode::EngineFailed, "the test said so"), ("huge", FailureCode::OutOfMemory, "1.0 GiB")]
    {
        let id = bench.submit(prompt).await;
        let (found, message) = bench.failure(id).await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(word), "{message}");
        assert!(bench.store.metadata(id).await.expect("readable").is_none());
    }
    let gone = bench.submit("good").await;
    let job = bench.finished(gone).await;
    assert_eq!(job.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_at_the_engines_own_size_are_scaled_up() {
    let bench = Bench::start(&[]).await;
    let id = bench.submit("own size").await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    let metadata = bench.store.metadata(id).await.expect("readable").expect("published");
    assert!(metadata.recomposition.max_error <= 1, "{:?}", metadata.recomposition);
    assert!(metadata.notes.iter().any(|note| note.text.contains("scaled up")), "{:?}", metadata.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_at_its_next_step() {
    let bench = Bench::start(&[]).await;
    let id = bench.submit("endless").await;
    bench.wait(id, |job| job.progress.is_some()).await;
    bench.broker.cancel(id).await.expect("the queue answers");
    assert_eq!(bench.finished(id).await.state, State::Cancelled);
    let next = bench.submit("good").await;
    assert_eq!(bench.finished(next).await.state, State::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_job_goes_to_the_gpu_then_to_vertex_then_to_draft() {
    let engines = [EngineName::Qwen, EngineName::Vertex, EngineName::Draft];
    let bench = Bench::start_with(&[], &engines).await;
    let of = async |id| {
        assert_eq!(bench.finished(id).await.state, State::Succeeded);
        let metadata = bench.store.metadata(id).await.expect("readable").expect("published");
        (metadata.engine.name, metadata.engine.reason)
    };
    // Both lanes have to be announced before the first job.
    while bench.broker.workers().await.expect("the queue answers").len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(of(bench.submit("good").await).await.0, EngineName::Qwen);

    let busy = bench.submit("endless").await;
    bench.wait(busy, |job| job.state == State::Running).await;
    let (engine, reason) = of(bench.submit("good").await).await;
    assert_eq!(engine, EngineName::Vertex);
    assert!(reason.contains("busy for 1 s"), "{reason}");

    let (engine, reason) = of(bench.submit("no quota").await).await;
    assert_eq!(engine, EngineName::Draft);
    assert!(reason.contains("Vertex AI failed") && reason.contains("quota is used up"), "{reason}");
    assert_eq!(bench.broker.job(busy).await.expect("the queue answers").expect("there").state, State::Running);
    bench.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_stops_a_job() {
    let bench = Bench::start(&[("JOB_TIMEOUT_S", "1")]).await;
    let id = bench.submit("endless").await;
    let (code, message) = bench.failure(id).await;
    assert_eq!(code, FailureCode::TimedOut);
    assert!(message.contains("1 s") && message.contains("JOB_TIMEOUT_S"), "{message}");
    let reports = bench.events(id).await.into_iter().filter(|e| matches!(e.kind, EventKind::Progress(_))).count();
    assert!((2..=12).contains(&reports), "{reports} reports in a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stuck_engine_is_replaced_and_a_second_ends_the_worker() {
    let bench = Bench::start(&[("JOB_TIMEOUT_S", "1"), ("ENGINE_STOP_GRACE_S", "1")]).await;
    let deaf = bench.submit("deaf").await;
    let good = bench.submit("good").await;
    assert_eq!(bench.failure(deaf).await.0, FailureCode::TimedOut);
    assert_eq!(bench.finished(good).await.state, State::Succeeded);
    let deaf = bench.submit("deaf").await;
    assert_eq!(bench.failure(deaf).await.0, FailureCode::TimedOut);
    let ended = tokio::time::timeout(PATIENCE, bench.worker).await.expect("it ends").expect("no panic");
    assert!(ended.expect_err("the process is to be restarted").is::<worker::EngineStuck>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_the_job_back_and_keeps_a_result_that_comes_in_time() {
    let bench = Bench::start(&[("SHUTDOWN_GRACE_S", "0")]).await;
    let id = bench.submit("endless").await;
    bench.wait(id, |job| job.progress.is_some()).await;
    bench.shutdown.cancel();
    let ended = tokio::time::timeout(PATIENCE, bench.worker).await.expect("it ends").expect("no panic");
    ended.expect("an orderly end");
    let job = bench.broker.job(id).await.expect("the queue answers").expect("the job is there");
    assert_eq!((job.state, job.position), (State::Queued, Some(0)));
    assert!(bench.broker.workers().await.expect("the queue answers").is_empty(), "the worker signed off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_result_is_not_computed_again() {
    let bench = Bench::start(&[]).await;
    let id = bench.submit("good").await;
    bench.finished(id).await;
    // The state after a worker died right after publishing.
    let dir = tempfile::tempdir().expect("a folder");
    let broker = open_queue(dir.path()).await;
    let new = NewJob { id, ..NewJob::new(Uuid::new_v4(), Params::default()) };
    broker.submit(new).await.expect("submitted");
    let config = Config::from_settings(&Settings::from_pairs([])).expect("defaults");
    let equipment = equipment(&config, &[EngineName::Draft]);
    let context = Context { broker: Arc::clone(&broker), store: bench.store.clone(), config };
    let worker = tokio::spawn(worker::run(context, equipment, CancellationToken::new()));
    let waited = tokio::time::timeout(PATIENCE, async {
        while !broker.job(id).await.expect("the queue answers").expect("the job is there").state.is_terminal() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("the job reaches that state");
    // The picture is missing: the job would fail if it ran again.
    assert_eq!(broker.job(id).await.expect("the queue answers").expect("there").state, State::Succeeded);
    worker.abort();
}

fn requeued(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.kind, EventKind::Requeued { .. })).count()
}

const MOMENT: Duration = Duration::from_millis(20);
const AGES: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_for_a_while_fails_no_job() {
    let bench = Bench::start_retrying(MOMENT, 5 * MOMENT, 2).await;
    for folder in ["results", "uploads"] {
        let (place, away) = (bench.dir.path().join(folder), bench.dir.path().join("away"));
        // The jobs are submitted before the folder is moved away, and run afterwards.
        let first = bench.submit("endless").await;
        bench.wait(first, |job| job.progress.is_some()).await;
        let mut jobs = Vec::new();
        for _ in 0..30 {
            jobs.push(bench.submit("good").await);
        }
        std::fs::rename(&place, &away).expect("moved");
        if folder == "results" {
            std::fs::write(&place, "no folder").expect("written");
        }
        bench.broker.cancel(first).await.expect("the queue answers");
        let reason = bench.paused(Option::is_some).await.expect("a reason");
        assert!(reason.contains("storage"), "{reason}");
        // Time for many checks.
        tokio::time::sleep(10 * MOMENT).await;
        for &id in &jobs {
            let job = bench.broker.job(id).await.expect("the queue answers").expect("there");
            assert_eq!((job.state, job.error), (State::Queued, None), "{folder}");
        }
        if folder == "results" {
            std::fs::remove_file(&place).expect("removed");
        }
        std::fs::rename(&away, &place).expect("moved");
        let mut given_back = 0;
        for id in jobs {
            assert_eq!(bench.finished(id).await.state, State::Succeeded, "{folder}");
            given_back += requeued(&bench.events(id).await);
        }
        assert_eq!(given_back, 1, "one pause gives one job back once ({folder})");
        bench.paused(Option::is_none).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_own_picture_cannot_be_read_fails_alone() {
    let bench = Bench::start_retrying(50 * MOMENT, 50 * MOMENT, 3).await;
    let first = bench.submit("endless").await;
    bench.wait(first, |job| job.progress.is_some()).await;
    let bad = bench.submit("good").await;
    let good = [bench.submit("good").await, bench.submit("good").await];
    bench.break_upload(bad).await;
    bench.broker.cancel(first).await.expect("the queue answers");
    let failed = bench.finished(bad).await;
    let error = failed.error.expect("it failed");
    assert_eq!(error.code, FailureCode::StorageFailed);
    assert!(error.message.contains("tried 3 times"), "{}", error.message);
    let events = bench.events(bad).await;
    let notes = events.iter().filter(|event| matches!(event.kind, EventKind::Note { .. })).count();
    assert_eq!((notes, requeued(&events)), (2, 2), "each retry is noted once");
    for id in good {
        let job = bench.finished(id).await;
        assert_eq!(job.state, State::Succeeded);
        assert!(job.timings.finished_at < failed.timings.finished_at, "it waited for the bad one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_can_be_cancelled_and_is_given_back_at_a_shutdown() {
    let bench = Bench::start_retrying(AGES, AGES, 3).await;
    let first = bench.submit("endless").await;
    bench.wait(first, |job| job.progress.is_some()).await;
    let (cancelled, kept) = (bench.submit("good").await, bench.submit("good").await);
    for id in [cancelled, kept] {
        bench.break_upload(id).await;
    }
    bench.broker.cancel(first).await.expect("the queue answers");
    for id in [cancelled, kept] {
        let noted = async {
            while !bench.events(id).await.iter().any(|event| matches!(event.kind, EventKind::Note { .. })) {
                tokio::time::sleep(MOMENT).await;
            }
        };
        tokio::time::timeout(PATIENCE, noted).await.expect("it is to be retried");
    }
    bench.broker.cancel(cancelled).await.expect("the queue answers");
    assert_eq!(bench.finished(cancelled).await.state, State::Cancelled);
    let job = bench.broker.job(kept).await.expect("the queue answers").expect("there");
    assert_eq!(job.state, State::Running, "it waits under its lease");
    let broker = bench.ended().await;
    assert_eq!(broker.job(kept).await.expect("the queue answers").expect("there").state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_a_pause_at_once() {
    let bench = Bench::start_retrying(AGES, AGES, 3).await;
    std::fs::rename(bench.dir.path().join("results"), bench.dir.path().join("away")).expect("moved");
    let id = bench.submit("good").await;
    bench.paused(Option::is_some).await;
    let broker = bench.ended().await;
    assert_eq!(broker.job(id).await.expect("the queue answers").expect("there").state, State::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_a_thread_is_retried() {
    let bench = Bench::start_retrying(MOMENT, MOMENT, 5).await;
    let id = bench.submit("short").await;
    assert_eq!(bench.finished(id).await.state, State::Succeeded);
    assert_eq!(requeued(&bench.events(id).await), 3);
}
