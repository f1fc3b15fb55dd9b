//! Qwen-Image-Layered on an endpoint of Vertex AI that runs our container.
//!
//! A run there costs money, so a job never has two: once a container may work on it, the container is asked, and the
//! picture is sent again only where that cannot start a second run.

mod call;

use std::time::Duration;

use google::{Endpoint, Error, ObjectUri, Predictor, Storage};
use jobs::broker::EngineOffer;
use jobs::{EngineChoice, FailureCode, JobId, Params};
use layers::LayerStack;
use tokio::time::timeout;
use uuid::Uuid;

use self::call::Call;
use super::Missing;
use crate::cloud::CloudConfig;
use crate::cloud::advice::advised;
use crate::cloud::clients::runtime;
use crate::config::Config;
use crate::engine::{Decomposition, Engine, EngineError, EngineJob, ProgressSink};

/// How long removing a job's files from Cloud Storage may take.
const TIDY_PATIENCE: Duration = Duration::from_secs(30);

/// The engine; connections and credentials are made by its first job.
pub(super) struct Vertex {
    config: CloudConfig,
    endpoint: Endpoint,
    clients: Option<Clients>,
    /// The latest job, whose files may lie in Cloud Storage.
    latest: Option<JobId>,
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
        Ok(Self { config, endpoint, clients: None, latest: None, model: None, revision: None })
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
        let no_runtime =
            |error| EngineError::Environment { message: format!("no runtime for calls to Google: {error}") };
        let runtime = runtime().map_err(no_runtime)?;
        runtime.block_on(async {
            if self.clients.is_none() {
                self.clients = Some(self.connect().map_err(|error| failed(advised(&error)))?);
            }
            let Some(clients) = &self.clients else { return Err(failed("there are no connections".to_owned())) };
            let id = job.id.unwrap_or_else(Uuid::new_v4);
            self.latest = Some(id);
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

    fn settled(&mut self, job: Option<JobId>) {
        let Some(id) = self.latest.filter(|id| job.is_none_or(|job| job == *id)) else { return };
        let (Some(clients), Ok(Some(staging)), Ok(runtime)) = (&self.clients, self.staging(), runtime()) else {
            return;
        };
        self.latest = None;
        let folder = staging.join(&id.to_string());
        let tidying = async { timeout(TIDY_PATIENCE, tidy(&clients.storage, &folder)).await };
        match runtime.block_on(tidying) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job_id = %id, error = advised(&error), "files in Cloud Storage could not be removed");
            }
            Err(_) => tracing::warn!(job_id = %id, "files in Cloud Storage could not be removed in time"),
        }
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

/// Removes a job's files from Cloud Storage.
async fn tidy(storage: &Storage, folder: &ObjectUri) -> Result<(), Error> {
    // Otherwise it would be the beginning of other names too.
    let inside = ObjectUri { name: format!("{}/", folder.name), ..folder.clone() };
    for object in storage.list(&inside).await? {
        storage.delete(&object.uri).await?;
    }
    Ok(())
}

fn failed(message: String) -> EngineError {
    EngineError::Failed { code: FailureCode::EngineFailed, message }
}
