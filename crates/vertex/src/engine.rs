//! Qwen-Image-Layered on an endpoint of Vertex AI that runs our container.
//!
//! Runs cost money: once a container may have started the job, the engine asks for it, and sends the picture again only
//! after none of the containers has known the job for a while.

use std::time::Duration;

use engine::{
    Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer, FailureCode, LayerCount, MODEL_LAYERS,
    Message, MessageCode, MissingEngine, Output, Params, ProgressSink,
};
use google::{Endpoint, Error, ObjectUri, Predictor, Storage};
use layers::LayerStack;
use tokio::time::timeout;
use uuid::Uuid;

use crate::CloudConfig;
use crate::advice::with_advice;
use crate::call::Call;
use crate::clients::runtime;

/// Timeout of removing a job's files from Cloud Storage.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the engine if an endpoint is configured, without calling it.
pub struct VertexFactory {
    config: CloudConfig,
}

impl VertexFactory {
    /// A factory for the endpoint in `config`.
    pub fn new(config: CloudConfig) -> Self {
        Self { config }
    }

    fn engine(&self) -> Result<Vertex, MissingEngine> {
        let endpoint = self.config.endpoint().ok_or_else(|| MissingEngine {
            why: "no Vertex AI endpoint is configured".to_owned(),
            fix: "set GOOGLE_CLOUD_PROJECT and VERTEX_ENDPOINT_ID; see docs/vertex.md for how to deploy one".to_owned(),
        })?;
        Ok(Vertex { config: self.config.clone(), endpoint, clients: None, model: None, revision: None })
    }
}

impl EngineFactory for VertexFactory {
    fn name(&self) -> EngineName {
        EngineName::Vertex
    }

    fn probe(&self) -> Result<EngineOffer, MissingEngine> {
        self.engine().map(|engine| engine.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
        Ok(Box::new(self.engine()?))
    }
}

/// The engine. Its first job creates connections and credentials.
struct Vertex {
    config: CloudConfig,
    endpoint: Endpoint,
    clients: Option<Clients>,
    /// The model that the container reported.
    model: Option<String>,
    revision: Option<String>,
}

pub(crate) struct Clients {
    pub(crate) predictor: Predictor,
    pub(crate) storage: Storage,
}

impl Engine for Vertex {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: EngineName::Vertex,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.model.clone(),
            device: format!("vertex-ai:{}", self.endpoint.location),
            max_layers: MODEL_LAYERS,
            uses_prompt: true,
            samplers: Vec::new(),
            loras: Vec::new(),
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => n.min(MODEL_LAYERS),
            LayerCount::Auto => MODEL_LAYERS,
        };
        // Each layer exists three times: as decoded, scaled up, and while it is transferred.
        3 * 4 * u64::from(width) * u64::from(height) * u64::from(layers + 1)
    }

    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let no_runtime = |error| EngineError::Environment {
            message: format!("the runtime for calls to Google cannot be started: {error}"),
        };
        let runtime = runtime().map_err(no_runtime)?;
        runtime.block_on(async {
            if self.clients.is_none() {
                self.clients = Some(self.connect().map_err(|error| failed(with_advice(&error)))?);
            }
            let Some(clients) = &self.clients else {
                return Err(failed("there are no connections; please report this bug".to_owned()));
            };
            let id = job.origin.job_id.unwrap_or_else(Uuid::new_v4);
            let folder = self.staging()?.map(|staging| staging.join(&id.to_string()));
            let call = Call { clients, config: &self.config, id, job: *job, folder: folder.clone() };
            let made = call.run(progress).await;
            // A run that is left to the next attempt still needs its files.
            if let (Some(folder), false) = (&folder, call.is_left_running(&made, progress)) {
                remove_files(&clients.storage, folder).await;
            }
            let (result, layers) = made?;
            self.model = result.model.or(Some(result.engine.to_string()));
            self.revision = result.model_revision;
            let stack = LayerStack::new(result.width, result.height, layers).map_err(|e| failed(e.to_string()))?;
            let location = self.endpoint.location.as_str();
            let text = format!("The layers were made on Vertex AI in {location}.");
            let mut notes = result.notes;
            notes.push(Message::new(MessageCode::MadeElsewhere, text).with("location", location));
            Ok(Output { analysis: result.analysis, background: result.background, notes, ..Output::new(stack) })
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

/// Removes a job's files from Cloud Storage. A failure is logged and does not fail the job.
async fn remove_files(storage: &Storage, folder: &ObjectUri) {
    // Without the slash, the prefix would match other names too.
    let inside = ObjectUri { name: format!("{}/", folder.name), ..folder.clone() };
    let removing = async {
        for object in storage.list(&inside).await? {
            storage.delete(&object.uri).await?;
        }
        Ok::<_, Error>(())
    };
    match timeout(CLEANUP_TIMEOUT, removing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%folder, %error, "files in Cloud Storage could not be removed"),
        Err(_) => tracing::warn!(%folder, "files in Cloud Storage could not be removed in time"),
    }
}

pub(crate) fn failed(message: String) -> EngineError {
    EngineError::failed(FailureCode::EngineFailed, message)
}
