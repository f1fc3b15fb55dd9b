//! A queue, a store and a worker in this process.

use std::sync::Arc;
use std::time::Duration;

use engine::EngineSet;
use image::{Rgba, RgbaImage};
use jobs::broker::{BrokerConfig, EmbeddedBroker, NewJob};
use jobs::store::Upload;
use jobs::{Broker, Event, InputInfo, Job, JobId, Metadata, Params, Store};
use service::Settings;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use unflatten::equip;
use uuid::Uuid;
use worker::{Config, Context, Equipment};

const PATIENCE: Duration = Duration::from_secs(300);

/// Two discs on a plain ground.
pub(crate) fn poster(side: u32, variant: u32) -> RgbaImage {
    let shift = (variant * 7 % 20) as f32 / 100.0;
    RgbaImage::from_fn(side, side, |x, y| {
        let (u, v) = (x as f32 / side as f32, y as f32 / side as f32);
        let inside = |cx: f32, cy: f32, r: f32| (u - cx).powi(2) + (v - cy).powi(2) < r * r;
        if inside(0.3 + shift, 0.35, 0.2) {
            Rgba([200, 40, 30, 255])
        } else if inside(0.7, 0.7 - shift, 0.15) {
            Rgba([20, 90, 200, 255])
        } else {
            Rgba([240, 230, 200, 255])
        }
    })
}

/// A picture that PNG cannot compress.
pub(crate) fn noise(width: u32, height: u32) -> RgbaImage {
    let mut state = 1_u32;
    RgbaImage::from_fn(width, height, |_, _| {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        };
        Rgba([next(), next(), next(), 255])
    })
}

pub(crate) type OwnedSettings = Vec<(String, String)>;

pub(crate) struct Bench {
    _dir: TempDir,
    pub broker: Arc<dyn Broker>,
    store: Store,
    config: Config,
    equipment: Equipment,
    shutdown: CancellationToken,
    worker: JoinHandle<anyhow::Result<()>>,
}

impl Bench {
    pub(crate) async fn start(settings: &OwnedSettings) -> Self {
        Self::start_with(settings, None).await
    }

    pub(crate) async fn start_with(settings: &OwnedSettings, engines: Option<Arc<dyn EngineSet>>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = Settings::from_pairs(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let rules = BrokerConfig::from_settings(&settings).expect("good settings").rules;
        let queue = dir.path().join("queue.sqlite");
        let broker: Arc<dyn Broker> = Arc::new(EmbeddedBroker::open(&queue, rules).await.expect("a queue"));
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.expect("a store");
        let config = Config::from_settings(&settings).expect("good settings");
        let shutdown = CancellationToken::new();
        let mut equipment = equip(&settings, &config).expect("good settings");
        // The engines of this build, unless the test brings its own.
        equipment.engines = engines.unwrap_or(equipment.engines);
        let worker = spawn(&broker, &store, &config, &equipment, &shutdown);
        Self { _dir: dir, broker, store, config, equipment, shutdown, worker }
    }

    /// Kills the worker: the queue is not notified.
    pub(crate) fn kill_worker(&self) {
        self.worker.abort();
    }

    /// Ends the worker as a SIGTERM does.
    pub(crate) async fn stop_worker(&mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, &mut self.worker).await.expect("it ends");
        ended.expect("no panic").expect("an orderly end");
        self.shutdown = CancellationToken::new();
    }

    pub(crate) fn start_worker(&mut self) {
        self.worker = spawn(&self.broker, &self.store, &self.config, &self.equipment, &self.shutdown);
    }

    pub(crate) async fn submit(&self, picture: &RgbaImage, params: Params) -> JobId {
        let file = self.store.scratch().expect("a scratch file");
        layers::write_png(file.as_file(), picture).expect("written");
        let input = InputInfo {
            filename: None,
            format: "png".to_owned(),
            width: picture.width(),
            height: picture.height(),
            has_alpha: false,
            density: None,
            notes: Vec::new(),
            sha256: "0".repeat(64),
            parent: None,
        };
        let upload = Upload { id: Uuid::new_v4(), input, created_at: OffsetDateTime::now_utc() };
        self.store.put_upload(&upload, file).await.expect("stored");
        let new = NewJob::new(upload.id, params);
        let id = new.id;
        self.broker.submit(new).await.expect("submitted");
        id
    }

    pub(crate) async fn wait(&self, id: JobId, is: impl Fn(&Job) -> bool) -> Job {
        let look = async {
            loop {
                let job = self.broker.job(id).await.expect("the queue answers").expect("the job is there");
                if is(&job) {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the job reaches that state")
    }

    pub(crate) async fn finished(&self, id: JobId) -> Job {
        self.wait(id, |job| job.state.is_terminal()).await
    }

    pub(crate) async fn events(&self, id: JobId) -> Vec<Event> {
        self.broker.events_after(id, 0, 10_000).await.expect("the queue answers")
    }

    pub(crate) async fn metadata(&self, id: JobId) -> Metadata {
        self.store.metadata(id).await.expect("readable").expect("published")
    }

    /// Reads the layers back and stacks them.
    pub(crate) async fn check_layers(&self, id: JobId, metadata: &Metadata, picture: &RgbaImage) {
        let mut pictures = Vec::new();
        for layer in &metadata.layers {
            let file = self.store.result_file(id, &layer.file).await.expect("readable").expect("there");
            let mut png = Vec::new();
            file.read().await.expect("readable").read_to_end(&mut png).await.expect("read");
            pictures.push(image::load_from_memory(&png).expect("a PNG").into_rgba8());
        }
        let stacked: Vec<&RgbaImage> = pictures.iter().collect();
        let flat =
            layers::flatten_pictures(picture.width(), picture.height(), &stacked).expect("all of the picture's size");
        let worst = flat.as_raw().iter().zip(picture.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "the layers give the picture back within {worst:?}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

fn spawn(
    broker: &Arc<dyn Broker>,
    store: &Store,
    config: &Config,
    equipment: &Equipment,
    shutdown: &CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    let context = Context { broker: Arc::clone(broker), store: store.clone(), config: config.clone() };
    tokio::spawn(worker::run(context, equipment.clone(), shutdown.clone()))
}
