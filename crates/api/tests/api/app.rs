use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{BrokerConfig, Lease, Outcome, Standing, WorkerInfo};
use jobs::{
    Broker, Data, EngineInfo, EngineName, EngineOffer, EventKind, Job, JobId, LayerFlags, LayerInfo, MessageCode,
    Metadata, Progress, Recomposition, SCHEMA_VERSION, Stage, Store,
};
use layers::{Kind, Layer, LayerStack};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use service::Settings;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::pictures;

/// The API on a port of its own. Stops when dropped.
pub(crate) struct TestApp {
    pub address: String,
    pub broker: Arc<dyn Broker>,
    pub store: Store,
    pub client: Client,
    pub server: JoinHandle<std::io::Result<()>>,
    pub shutdown: CancellationToken,
    _stop: DropGuard,
    pub dir: TempDir,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with([]).await
    }

    /// An API with settings other than the defaults.
    pub(crate) async fn with<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::within(TempDir::new().unwrap(), pairs).await
    }

    /// An API on the queue and storage that another one has left in `dir`.
    pub(crate) async fn within<'a>(dir: TempDir, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::launch(dir, pairs, |_| {}).await
    }

    /// An API with what no setting says as finely.
    pub(crate) async fn configured(change: impl FnOnce(&mut api::Config)) -> Self {
        Self::launch(TempDir::new().unwrap(), [], change).await
    }

    async fn launch<'a>(
        dir: TempDir,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        change: impl FnOnce(&mut api::Config),
    ) -> Self {
        let queue = dir.path().join("queue.sqlite").into_os_string().into_string().unwrap();
        let pairs = pairs.into_iter().map(|(name, value)| -> (&str, &str) { (name, value) });
        let settings = Settings::from_pairs(pairs.chain([("EMBEDDED_QUEUE_FILE", &*queue)]));
        let broker = jobs::broker::connect(&BrokerConfig::from_settings(&settings).unwrap()).await.unwrap();
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.unwrap();
        Self::serve(dir, broker, store, &settings, change).await
    }

    /// An API whose storage is a bucket.
    #[cfg(feature = "testing-bucket")]
    pub(crate) async fn in_bucket(bucket: &jobs::testing::BucketServer) -> Self {
        let dir = TempDir::new().unwrap();
        let queue = dir.path().join("queue.sqlite").into_os_string().into_string().unwrap();
        let named = bucket.settings();
        let pairs = named.iter().map(|(name, value)| (*name, value.as_str()));
        let settings = Settings::from_pairs(pairs.chain([("EMBEDDED_QUEUE_FILE", &*queue)]));
        let broker = jobs::broker::connect(&BrokerConfig::from_settings(&settings).unwrap()).await.unwrap();
        let store = jobs::store::StoreConfig::from_settings(&settings).unwrap().open().await.unwrap();
        Self::serve(dir, broker, store, &settings, |_| {}).await
    }

    /// An API on a queue of the test's own.
    pub(crate) async fn on(dir: TempDir, broker: Arc<dyn Broker>, settings: &Settings) -> Self {
        let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.unwrap();
        Self::serve(dir, broker, store, settings, |_| {}).await
    }

    async fn serve(
        dir: TempDir,
        broker: Arc<dyn Broker>,
        store: Store,
        settings: &Settings,
        change: impl FnOnce(&mut api::Config),
    ) -> Self {
        let mut config = api::Config::from_settings(settings).unwrap();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shutdown = CancellationToken::new();
        let context = api::Context { broker: broker.clone(), store: store.clone(), config };
        let server = tokio::spawn(api::run(listener, context, shutdown.clone()));
        jobs::testing::choose_tls();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let stop = shutdown.clone().drop_guard();
        Self { address, broker, store, client, server, shutdown, _stop: stop, dir }
    }

    /// Stops the service; gives its queue and storage back.
    pub(crate) async fn stop(self) -> TempDir {
        let Self { broker, server, shutdown, dir, .. } = self;
        shutdown.cancel();
        server.await.unwrap().unwrap();
        // The queue's file is free when its last user is gone.
        drop(broker);
        dir
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.client.delete(self.url(path)).send().await.unwrap()
    }

    /// Uploads bytes in the field `image`.
    pub(crate) async fn upload(&self, name: &str, bytes: Vec<u8>) -> Response {
        let form = Form::new().part("image", Part::bytes(bytes).file_name(name.to_owned()));
        self.client.post(self.url("/api/upload")).multipart(form).send().await.unwrap()
    }

    pub(crate) async fn upload_id(&self) -> String {
        let response = self.upload("poster.png", pictures::png()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["upload_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn decompose(&self, body: &Value) -> Response {
        self.client.post(self.url("/api/decompose")).json(body).send().await.unwrap()
    }

    /// A job on a fresh upload.
    pub(crate) async fn job(&self) -> JobId {
        let upload_id = self.upload_id().await;
        let response = self.decompose(&serde_json::json!({ "upload_id": upload_id })).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().parse().unwrap()
    }

    /// A job that has gone through.
    pub(crate) async fn finished_job(&self) -> JobId {
        let id = self.job().await;
        let worker = Worker::start(self).await;
        let lease = worker.claim().await;
        worker.begin(&lease).await;
        worker.succeed(&lease).await;
        id
    }

    pub(crate) async fn state(&self, id: JobId) -> String {
        self.json(&format!("/api/status/{id}")).await["state"].as_str().unwrap().to_owned()
    }
}

/// Checks status, code and shape of an error; gives its message.
pub(crate) async fn expect_error(response: Response, status: u16, code: &str) -> String {
    let found = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{found} without JSON: {text}"));
    assert_eq!((found, body["error"]["code"].as_str()), (status, Some(code)), "{text}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty(), "{code} says nothing");
    message.to_owned()
}

/// A worker that does what a test says, through the same calls as a real one.
pub(crate) struct Worker {
    broker: Arc<dyn Broker>,
    store: Store,
    pub info: WorkerInfo,
}

impl Worker {
    pub(crate) async fn start(app: &TestApp) -> Self {
        let offer = EngineOffer {
            name: EngineName::Draft,
            version: "1".to_owned(),
            model: None,
            device: "cpu".to_owned(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        };
        let info = WorkerInfo {
            id: format!("test-{}", uuid::Uuid::new_v4()),
            engines: vec![offer],
            job: None,
            seen_at: OffsetDateTime::now_utc(),
            paused: None,
        };
        app.broker.announce(&info).await.unwrap();
        Self { broker: app.broker.clone(), store: app.store.clone(), info }
    }

    pub(crate) async fn claim(&self) -> Lease {
        let claimed = self.broker.claim(&self.info, Duration::from_secs(5)).await.unwrap();
        claimed.expect("a job waits").0
    }

    pub(crate) async fn begin(&self, lease: &Lease) {
        let kind = EventKind::Started {
            worker: self.info.id.clone(),
            attempt: lease.attempt,
            engine: EngineName::Draft,
            reason: "the test says so".to_owned(),
            reason_code: MessageCode::Other,
            reason_data: Data::new(),
        };
        self.record(lease, kind).await;
    }

    pub(crate) async fn progress(&self, lease: &Lease, percent: f32) {
        let progress = Progress { stage: Stage::Objects, step: 1, total: 2, percent, eta_ms: Some(1000) };
        self.record(lease, EventKind::Progress(progress)).await;
    }

    async fn record(&self, lease: &Lease, kind: EventKind) {
        let standing = self.broker.record(lease, kind).await.unwrap();
        assert!(matches!(standing, Standing::Held { .. }), "{standing:?}");
    }

    pub(crate) async fn finish(&self, lease: &Lease, outcome: Outcome) {
        let standing = self.broker.finish(lease, outcome).await.unwrap();
        assert!(matches!(standing, Standing::Held { .. }), "{standing:?}");
    }

    /// Publishes a real result of two layers and ends the job.
    pub(crate) async fn succeed(&self, lease: &Lease) {
        self.succeed_with(lease, |_| {}).await;
    }

    /// The same with metadata of the test's own.
    pub(crate) async fn succeed_with(&self, lease: &Lease, change: impl FnOnce(&mut Metadata)) {
        let job = self.broker.job(lease.job_id).await.unwrap().unwrap();
        let input = self.store.upload(job.upload_id).await.unwrap().unwrap().input;
        let staging = self.store.stage(lease.job_id).unwrap();
        let stack = stack(input.width, input.height);
        for (n, layer) in stack.layers().iter().enumerate() {
            let file = std::fs::File::create(staging.dir().join(format!("layer_{n}.png"))).unwrap();
            layers::write_png(file, &layer.pixels).unwrap();
        }
        let preview = std::fs::File::create(staging.dir().join("preview.jpg")).unwrap();
        layers::preview_jpeg(preview, &layers::flatten(&stack)).unwrap();
        let mut metadata = metadata(&job, input, &stack);
        change(&mut metadata);
        std::fs::write(staging.dir().join("metadata.json"), serde_json::to_vec(&metadata).unwrap()).unwrap();
        self.store.publish(staging).await.unwrap();
        self.finish(lease, Outcome::Succeeded { layers: 2 }).await;
    }
}

fn stack(width: u32, height: u32) -> LayerStack {
    let layer = |name: &str, kind, pixels| Layer::new(name, kind, pixels);
    let background = image::RgbaImage::from_pixel(width, height, image::Rgba([250, 240, 230, 255]));
    let mut random = pictures::Random(3);
    let object = image::RgbaImage::from_fn(width, height, |x, y| {
        image::Rgba([random.byte(), random.byte(), random.byte(), if x > y { 255 } else { 0 }])
    });
    let layers = vec![layer("background", Kind::Background, background), layer("triangle", Kind::Object, object)];
    LayerStack::new(width, height, layers).unwrap()
}

fn metadata(job: &Job, input: jobs::InputInfo, stack: &LayerStack) -> Metadata {
    let info = |(n, layer): (usize, &Layer)| LayerInfo {
        file: format!("layer_{n}.png"),
        z_index: n as u32,
        name: layer.name.clone(),
        kind: layer.kind,
        text: None,
        live_text: None,
        group: layer.group,
        label: layer.label.clone(),
        bounding_box: layer.bounding_box(),
        coverage: layer.coverage(stack.width(), stack.height()),
        visible_share: 1.0,
        flags: LayerFlags::default(),
    };
    Metadata {
        schema_version: SCHEMA_VERSION,
        job_id: Some(job.id),
        input,
        params: job.params.clone(),
        seed: job.params.seed.unwrap(),
        engine: EngineInfo {
            name: EngineName::Draft,
            version: "1".to_owned(),
            model: None,
            model_revision: None,
            device: "cpu".to_owned(),
            reason: "the test says so".to_owned(),
            reason_code: MessageCode::Other,
            reason_data: Data::new(),
        },
        created_at: OffsetDateTime::now_utc(),
        duration_ms: 5,
        layers: stack.layers().iter().enumerate().map(info).collect(),
        recomposition: Recomposition { max_error: 0, mean_error: 0.0, psnr_db: None, worst: None },
        canvas: None,
        model_layers: None,
        children: Vec::new(),
        analysis: None,
        rendering: None,
        background: None,
        loras: Vec::new(),
        notes: Vec::new(),
    }
}
