//! A worker with engines that do what the prompt of a job says, on a real queue and a real store.

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
use jobs::{Broker, Event, FailureCode, InputInfo, Job, JobId, LayerCount, Params, Store};
use layers::{Kind, Layer, LayerStack};
use service::Settings;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Config, Context, Equipment, Retry};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
            samplers: Vec::new(),
            loras: Vec::new(),
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
    let layer = Layer::new("all", Kind::Background, pixels);
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

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) store: Store,
    pub(crate) shutdown: CancellationToken,
    pub(crate) worker: JoinHandle<anyhow::Result<()>>,
}

pub(crate) fn equipment(config: &Config, engines: &[EngineName]) -> Equipment {
    Equipment::new(config, ScriptedEngines::new(engines), None).expect("good settings")
}

fn rules(settings: &Settings) -> Rules {
    let rules = BrokerConfig::from_settings(settings).expect("good settings").rules;
    Rules { gpu_patience: Duration::from_secs(1), ..rules }
}

impl Bench {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings, &[EngineName::Draft]).await
    }

    pub(crate) async fn start_with(settings: &[(&str, &str)], engines: &[EngineName]) -> Self {
        let settings = Settings::from_pairs(settings.iter().copied());
        Self::start_config(Config::from_settings(&settings).expect("good settings"), rules(&settings), engines).await
    }

    /// A worker that checks the storage after `first`, then at least every `longest`.
    pub(crate) async fn start_retrying(first: Duration, longest: Duration, tries: u32) -> Self {
        let settings = Settings::from_pairs([("JOB_LEASE_S", "1"), ("SHUTDOWN_GRACE_S", "0")]);
        let config = Config::from_settings(&settings).expect("good settings");
        let config = Config { retry: Retry { first, longest, tries }, ..config };
        Self::start_config(config, rules(&settings), &[EngineName::Draft]).await
    }

    pub(crate) async fn start_config(config: Config, rules: Rules, engines: &[EngineName]) -> Self {
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

    pub(crate) async fn submit(&self, prompt: &str) -> JobId {
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

    pub(crate) async fn upload(&self) -> Uuid {
        let picture = RgbaImage::from_pixel(8, 6, Rgba([200, 100, 50, 255]));
        let file = self.store.scratch().expect("a scratch file");
        layers::write_png(file.as_file(), &picture).expect("written");
        let input = InputInfo {
            filename: None,
            format: "png".to_owned(),
            width: 8,
            height: 6,
            has_alpha: false,
            density: None,
            notes: Vec::new(),
            sha256: "0".repeat(64),
            parent: None,
        };
        let upload = Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() };
        self.store.put_upload(&upload, file).await.expect("stored");
        upload.id
    }

    pub(crate) async fn wait(&self, id: JobId, is: impl Fn(&Job) -> bool) -> Job {
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

    pub(crate) async fn finished(&self, id: JobId) -> Job {
        self.wait(id, |job| job.state.is_terminal()).await
    }

    pub(crate) async fn failure(&self, id: JobId) -> (FailureCode, String) {
        let error = self.finished(id).await.error.expect("it failed");
        (error.code, error.message)
    }

    /// Waits until `is` holds for the reason why the worker is paused.
    pub(crate) async fn paused(&self, is: impl Fn(&Option<String>) -> bool) -> Option<String> {
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

    pub(crate) async fn ended(self) -> Arc<dyn Broker> {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.worker).await.expect("it ends").expect("no panic");
        ended.expect("an orderly end");
        self.broker
    }

    /// Makes the picture of a job unreadable, and nothing else.
    pub(crate) async fn break_upload(&self, id: JobId) {
        let job = self.broker.job(id).await.expect("the queue answers").expect("there");
        let picture = self.dir.path().join("uploads").join(job.upload_id.to_string()).join("image.png");
        std::fs::remove_file(&picture).expect("removed");
        std::fs::create_dir(&picture).expect("made");
    }

    pub(crate) async fn events(&self, id: JobId) -> Vec<Event> {
        self.broker.events_after(id, 0, 10_000).await.expect("the queue answers")
    }
}

pub(crate) async fn open_queue(dir: &Path) -> Arc<dyn Broker> {
    Arc::new(EmbeddedBroker::open(&dir.join("queue.sqlite"), Rules::default()).await.expect("a queue"))
}
