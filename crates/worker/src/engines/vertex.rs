//! Qwen-Image-Layered on an endpoint of Vertex AI that runs our container.

use std::time::Duration;

use google::{Endpoint, Error, Kind, ObjectUri, Predictor, Storage};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::broker::EngineOffer;
use jobs::{EngineChoice, FailureCode, JobId, Params};
use layers::{Layer, LayerStack};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::Missing;
use crate::cloud::CloudConfig;
use crate::cloud::clients::runtime;
use crate::cloud::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};
use crate::config::Config;
use crate::engine::{Decomposition, Engine, EngineError, EngineJob, ProgressSink, Step, Stopped};
use crate::stop::StopReason;

/// How often it looks whether to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How long telling the container to stop may take.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// How often a call may end without an answer in its time before the job fails.
const MOST_TIMEOUTS: u32 = 3;

/// How often a job that was begun is looked for among the endpoint's replicas before it counts as lost.
const MOST_MISSES: u32 = 6;

/// Room in a request for everything but the picture, in bytes.
const MARGIN: usize = 64 << 10;

/// Share of the bar that the container has; the rest is for fetching the layers.
const REMOTE_SHARE: f32 = 0.95;

/// The engine; connections and credentials are made by its first job.
pub(super) struct Vertex {
    config: CloudConfig,
    endpoint: Endpoint,
    clients: Option<Clients>,
    /// The model that the container said it has.
    model: Option<String>,
    revision: Option<String>,
}

struct Clients {
    predictor: Predictor,
    storage: Storage,
}

/// Looks whether an endpoint is configured, without calling it.
pub(super) fn probe(config: &Config) -> Result<EngineOffer, Missing> {
    Vertex::new(config).map(|engine| engine.offer())
}

impl Vertex {
    /// # Errors
    /// When no endpoint is configured.
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        let config = config.cloud.clone();
        let endpoint = config.endpoint().ok_or_else(|| Missing {
            why: "no endpoint of Vertex AI is configured".to_owned(),
            fix: "set GOOGLE_CLOUD_PROJECT and VERTEX_ENDPOINT_ID; docs/vertex.md says how to deploy one".to_owned(),
        })?;
        Ok(Self { config, endpoint, clients: None, model: None, revision: None })
    }
}

impl Engine for Vertex {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: EngineChoice::Vertex,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.model.clone(),
            device: format!("vertex-ai:{}", self.endpoint.location),
            max_layers: jobs::MAX_LAYERS,
            uses_prompt: true,
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = match params.num_layers {
            jobs::LayerCount::Exactly(n) => n,
            jobs::LayerCount::Auto => jobs::MAX_LAYERS,
        };
        // The layers as pixels, lifted, and on their way.
        3 * 4 * u64::from(width) * u64::from(height) * u64::from(layers + 1)
    }

    fn decompose(
        &mut self,
        job: &EngineJob<'_>,
        progress: &mut dyn ProgressSink,
    ) -> Result<Decomposition, EngineError> {
        let runtime = runtime().map_err(|error| failed(format!("no runtime for calls to Google: {error}")))?;
        runtime.block_on(async {
            if self.clients.is_none() {
                self.clients = Some(self.connect().map_err(|error| failed(error.to_string()))?);
            }
            let Some(clients) = &self.clients else { return Err(failed("there are no connections".to_owned())) };
            let id = job.id.unwrap_or_else(Uuid::new_v4);
            let staging = self.staging()?;
            let call = Call { clients, config: &self.config, id, job: *job, staging };
            let (result, layers) = call.run(progress).await?;
            self.model = result.model.or(Some(result.engine.to_string()));
            self.revision = result.model_revision;
            let stack = LayerStack::new(result.width, result.height, layers).map_err(|e| failed(e.to_string()))?;
            let mut notes = result.notes;
            notes.push(format!("The layers were made on Vertex AI in {}.", self.endpoint.location));
            Ok(Decomposition { stack, rendering: None, analysis: result.analysis, notes })
        })
    }
}

impl Vertex {
    fn connect(&self) -> Result<Clients, Error> {
        let auth = self.config.auth()?;
        let predictor = self.config.predictor(self.endpoint.clone(), auth.clone())?;
        Ok(Clients { predictor, storage: self.config.storage(auth)? })
    }

    fn staging(&self) -> Result<Option<ObjectUri>, EngineError> {
        let uri = self.config.staging_uri.as_deref().map(str::parse).transpose();
        uri.map_err(|problem| failed(format!("VERTEX_STAGING_URI: {problem}")))
    }
}

/// One job on its way.
struct Call<'a> {
    clients: &'a Clients,
    config: &'a CloudConfig,
    id: JobId,
    job: EngineJob<'a>,
    staging: Option<ObjectUri>,
}

impl Call<'_> {
    /// Sends the picture, follows the work, fetches the layers.
    async fn run(&self, progress: &mut dyn ProgressSink) -> Result<(RemoteResult, Vec<Layer>), EngineError> {
        let begin = Step { stage: "send", step: 0, total: 1, fraction: 0.0 };
        progress.step(begin)?;
        let mut last = begin;
        let image = unless_stopped(self.image(), &last, progress).await?.map_err(|e| failed(e.to_string()))?;
        let mut send_image = true;
        let (mut first_replica, mut misses, mut timeouts) = (None, 0, 0);
        loop {
            let instance = self.instance(send_image.then(|| image.clone()));
            let answer = match unless_stopped(self.predict(&instance), &last, progress).await {
                Ok(answer) => answer,
                Err(stopped) => {
                    // Whoever takes the job next finds what a lost, released or broken attempt has begun.
                    use StopReason::{Cancelled, OutOfMemory, TimedOut};
                    if let Some(Cancelled | TimedOut { .. } | OutOfMemory { .. }) = self.job.stop.reason() {
                        self.cancel().await;
                    }
                    return Err(stopped.into());
                }
            };
            let prediction = match answer {
                Ok(prediction) => prediction,
                // The container goes on; the next call finds its run by the job's id.
                Err(error) if error.kind == Kind::Timeout && timeouts < MOST_TIMEOUTS => {
                    timeouts += 1;
                    continue;
                }
                Err(error) => return Err(failed(error.to_string())),
            };
            timeouts = 0;
            let replica = prediction.replica;
            match prediction.outcome {
                Outcome::Running { progress: step } => {
                    first_replica.get_or_insert(replica);
                    (send_image, misses) = (false, 0);
                    if let Some(step) = step {
                        last = shown(&step);
                        progress.step(last)?;
                    }
                }
                Outcome::Succeeded(result) => {
                    last = Step { stage: "fetch", step: 0, total: 1, fraction: REMOTE_SHARE };
                    progress.step(last)?;
                    let layers = unless_stopped(self.layers(&result), &last, progress).await??;
                    return Ok((*result, layers));
                }
                Outcome::Failed { error } => return Err(error.into()),
                Outcome::Cancelled => return Err(failed("the job was ended on Vertex AI by someone else".to_owned())),
                // Another replica answers than the one that works on it: it is asked again.
                Outcome::Unknown if first_replica.is_some_and(|first| first != replica) && misses < MOST_MISSES => {
                    misses += 1;
                    unless_stopped(sleep(Duration::from_secs(1)), &last, progress).await?;
                }
                // It was restarted and lost what it had.
                Outcome::Unknown if !send_image => {
                    tracing::warn!(job_id = %self.id, "the container no longer has the job; sending it again");
                    (send_image, first_replica, misses) = (true, None, 0);
                }
                Outcome::Unknown => return Err(failed("the container did not take the job".to_owned())),
            }
        }
    }

    fn instance(&self, image: Option<Blob>) -> Instance {
        Instance {
            job_id: self.id,
            image,
            params: self.job.params.clone(),
            describe: self.job.describe,
            wait_s: self.config.wait.as_secs(),
            max_answer_bytes: self.clients.predictor.endpoint().size_limit(),
            output_uri: self.folder().map(|folder| folder.to_string()),
            cancel: false,
        }
    }

    async fn predict(&self, instance: &Instance) -> Result<Prediction, Error> {
        let time_limit = self.clients.predictor.endpoint().time_limit().max(self.config.wait * 2);
        self.clients.predictor.predict(instance, time_limit).await
    }

    /// Best effort: a container that does not hear of it finishes its work, and nobody fetches it.
    async fn cancel(&self) {
        let instance = Instance { cancel: true, wait_s: 0, ..self.instance(None) };
        match timeout(CANCEL_PATIENCE, self.predict(&instance)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "Vertex AI could not be told to stop"),
            Err(_) => tracing::warn!("Vertex AI could not be told to stop in time"),
        }
    }

    /// Where the job's files are in Cloud Storage.
    fn folder(&self) -> Option<ObjectUri> {
        self.staging.as_ref().map(|staging| staging.join(&self.id.to_string()))
    }

    /// The picture inside the request, or, where it is too large for that, in Cloud Storage.
    async fn image(&self) -> Result<Blob, Error> {
        let mut png = Vec::new();
        if let Err(error) = layers::write_png(&mut png, self.job.input) {
            tracing::error!(%error, "the picture could not be encoded");
        }
        let inline = encoded_len(png.len()) + MARGIN <= self.clients.predictor.endpoint().size_limit();
        // Without a folder the request is refused for its size, with a word on what to do.
        let Some(folder) = self.folder().filter(|_| !inline) else { return Ok(Blob::Inline(png)) };
        let uri = folder.join("input.png");
        self.clients.storage.put(&uri, "image/png", png).await?;
        Ok(Blob::Uri(uri.to_string()))
    }

    async fn layers(&self, result: &RemoteResult) -> Result<Vec<Layer>, EngineError> {
        let mut layers = Vec::new();
        let mut stored = Vec::new();
        for RemoteLayer { name, kind, text, png } in &result.layers {
            let pixels = match png {
                Blob::Inline(png) => decode(png)?,
                Blob::Uri(uri) => {
                    let uri = self.own(uri)?;
                    let png = self.clients.storage.get(&uri).await.map_err(|error| failed(error.to_string()))?;
                    stored.push(uri);
                    decode(&png)?
                }
            };
            layers.push(Layer { name: name.clone(), kind: *kind, text: text.clone(), pixels });
        }
        self.tidy(stored).await;
        Ok(layers)
    }

    /// An address in the job's own folder: an answer must not make us read anything else.
    fn own(&self, uri: &str) -> Result<ObjectUri, EngineError> {
        let parsed: ObjectUri = uri.parse().map_err(failed)?;
        let expected = self.folder().is_some_and(|folder| {
            parsed.bucket == folder.bucket && parsed.name.strip_prefix(&folder.name).is_some_and(|r| r.starts_with('/'))
        });
        if expected { Ok(parsed) } else { Err(failed(format!("the container named {uri}, which is not the job's"))) }
    }

    /// Removes the job's files from Cloud Storage; what remains is a matter of the bucket's lifecycle rule.
    async fn tidy(&self, stored: Vec<ObjectUri>) {
        let input = self.folder().map(|folder| folder.join("input.png"));
        for uri in stored.iter().chain(&input) {
            if let Err(error) = self.clients.storage.delete(uri).await {
                tracing::debug!(%error, %uri, "a file in Cloud Storage could not be removed");
            }
        }
    }
}

/// Waits for `work`; drops it when the job is to end.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    last: &Step,
    progress: &mut dyn ProgressSink,
) -> Result<T, Stopped> {
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = ticks.tick() => progress.step(*last)?,
        }
    }
}

/// A step of the container as one of ours. Stages that the page has no word for are shown as one.
fn shown(step: &RemoteStep) -> Step {
    const STAGES: [&str; 11] = [
        "read",
        "text",
        "ground",
        "objects",
        "write",
        "load",
        "caption",
        "encode_text",
        "encode_image",
        "denoise",
        "decode",
    ];
    let stage = STAGES.into_iter().find(|stage| *stage == step.stage).unwrap_or("remote");
    Step { stage, step: step.step, total: step.total, fraction: REMOTE_SHARE * step.fraction.clamp(0.0, 1.0) }
}

fn decode(png: &[u8]) -> Result<RgbaImage, EngineError> {
    let decoded = ImageReader::with_format(std::io::Cursor::new(png), ImageFormat::Png).decode();
    decoded.map(image::DynamicImage::into_rgba8).map_err(|e| failed(format!("a layer from Vertex AI is damaged: {e}")))
}

fn failed(message: String) -> EngineError {
    EngineError::Failed { code: FailureCode::EngineFailed, message }
}
