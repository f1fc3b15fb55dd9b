//! Qwen-Image-Layered on an endpoint of Vertex AI that runs our container.
//!
//! A run there costs money: once a container may work on the job, the endpoint is asked for it, and the picture is sent
//! again only when none of its containers has answered for the job for a while.

use std::time::Duration;

use engine::{
    Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer, FailureCode, LayerCount, MAX_LAYERS,
    Message, MessageCode, Missing, Output, Params, ProgressSink,
};
use google::{Endpoint, Error, ObjectUri, Predictor, Storage};
use layers::LayerStack;
use tokio::time::timeout;
use uuid::Uuid;

use crate::CloudConfig;
use crate::advice::advised;
use crate::call::Call;
use crate::clients::runtime;

/// How long removing a job's files from Cloud Storage may take.
const TIDY_PATIENCE: Duration = Duration::from_secs(30);

/// Makes the engine where an endpoint is configured, without calling it.
pub struct VertexFactory {
    config: CloudConfig,
}

impl VertexFactory {
    /// The engine of the endpoint that `config` names.
    pub fn new(config: CloudConfig) -> Self {
        Self { config }
    }

    fn engine(&self) -> Result<Vertex, Missing> {
        let endpoint = self.config.endpoint().ok_or_else(|| Missing {
            why: "no endpoint of Vertex AI is configured".to_owned(),
            fix: "set GOOGLE_CLOUD_PROJECT and VERTEX_ENDPOINT_ID; docs/vertex.md says how to deploy one".to_owned(),
        })?;
        Ok(Vertex { config: self.config.clone(), endpoint, clients: None, model: None, revision: None })
    }
}

impl EngineFactory for VertexFactory {
    fn name(&self) -> EngineName {
        EngineName::Vertex
    }

    fn probe(&self) -> Result<EngineOffer, Missing> {
        self.engine().map(|engine| engine.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, Missing> {
        Ok(Box::new(self.engine()?))
    }
}

/// The engine; connections and credentials are made by its first job.
struct Vertex {
    config: CloudConfig,
    endpoint: Endpoint,
    clients: Option<Clients>,
    /// The model that the container said it has.
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
            max_layers: MAX_LAYERS,
            uses_prompt: true,
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => n,
            LayerCount::Auto => MAX_LAYERS,
        };
        // The layers as pixels, lifted, and on their way.
        3 * 4 * u64::from(width) * u64::from(height) * u64::from(layers + 1)
    }

    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let no_runtime =
            |error| EngineError::Environment { message: format!("no runtime for calls to Google: {error}") };
        let runtime = runtime().map_err(no_runtime)?;
        runtime.block_on(async {
            if self.clients.is_none() {
                self.clients = Some(self.connect().map_err(|error| failed(advised(&error)))?);
            }
            let Some(clients) = &self.clients else { return Err(failed("there are no connections".to_owned())) };
            let id = job.origin.job_id.unwrap_or_else(Uuid::new_v4);
            let folder = self.staging()?.map(|staging| staging.join(&id.to_string()));
            let call = Call { clients, config: &self.config, id, job: *job, folder: folder.clone() };
            let made = call.run(progress).await;
            // What is left for the next attempt finds its files there.
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
            Ok(Output { stack, rendering: None, analysis: result.analysis, notes })
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

/// Removes a job's files from Cloud Storage. What stays costs a little money and no job.
async fn remove_files(storage: &Storage, folder: &ObjectUri) {
    // Otherwise it would be the beginning of other names too.
    let inside = ObjectUri { name: format!("{}/", folder.name), ..folder.clone() };
    let removing = async {
        for object in storage.list(&inside).await? {
            storage.delete(&object.uri).await?;
        }
        Ok::<_, Error>(())
    };
    match timeout(TIDY_PATIENCE, removing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%folder, %error, "files in Cloud Storage could not be removed"),
        Err(_) => tracing::warn!(%folder, "files in Cloud Storage could not be removed in time"),
    }
}

pub(crate) fn failed(message: String) -> EngineError {
    EngineError::failed(FailureCode::EngineFailed, message)
}
