//! `unflatten-worker --vertex`: the HTTP server that Vertex AI expects of a container with a model.
//!
//! One job at a time. A call for another one meanwhile is answered with 429, one for the same job with how far it is
//! or with its layers, also when it was sent before: see [`crate::protocol`].

mod jobs;
mod run;
mod weights;

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use engine::{Availability, Choice, EngineName, EngineSet, LayerCount, Message, Params, Resolution, Stop};
use image::RgbaImage;
use serde_json::json;
use service::{SettingError, Settings};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use worker::Config;
use worker::Equipment;
use worker::model::MODEL_NAME;
use worker::run::{Reporter, RunError, RunJob, Runner};

use self::jobs::{JobTable, Refusal};
use self::run::choice;
use crate::advice::advised;
use crate::protocol::{PredictRequest, PredictResponse};
use crate::{CloudConfig, ContainerConfig};

/// The largest request that dedicated endpoints pass on, with room to spare.
const MAX_BODY_BYTES: usize = 32 << 20;

/// Why a container does not start.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error("the weights cannot be fetched: {0}")]
    Weights(String),
    #[error("no engine can work here: {0}")]
    NoEngine(String),
    #[error("the model does not work: {0}")]
    Warming(String),
    #[error("cannot listen on port {port}: {source}; set AIP_HTTP_PORT to a free one")]
    Listen { port: u16, source: io::Error },
    #[error("the engine thread cannot be started: {0}")]
    Thread(io::Error),
    #[error("the server broke: {0}")]
    Server(io::Error),
    #[error("the engine does not react to being stopped; this process ends so that Vertex AI starts a new one")]
    Stuck,
    #[error(transparent)]
    Setting(#[from] SettingError),
}

struct App {
    /// Set once the model is warm.
    jobs: OnceCell<JobTable>,
}

/// Serves predictions until `shutdown`. It listens at once and is healthy when the model is loaded and has worked.
///
/// # Errors
/// See [`ContainerError`].
pub async fn serve(settings: &Settings, shutdown: CancellationToken) -> Result<(), ContainerError> {
    let container = ContainerConfig::from_settings(settings)?;
    let cloud = CloudConfig::from_settings(settings)?;
    let port = container.port;
    let listen_error = |source| ContainerError::Listen { port, source };
    let listener = TcpListener::bind(("0.0.0.0", port)).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    tracing::info!(%address, health = container.health_route, predict = container.predict_route, "listening");
    let app = Arc::new(App { jobs: OnceCell::new() });
    let router = Router::new()
        .route(&container.health_route, get(health))
        .route(&container.predict_route, post(predict))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::clone(&app));
    let ended = shutdown.child_token();
    let serving = axum::serve(listener, router).with_graceful_shutdown(ended.clone().cancelled_owned());
    let mut serving = tokio::spawn(async move { serving.await });
    let worked = tokio::select! {
        worked = warm_and_watch(&app, settings, &cloud, &container) => worked,
        () = shutdown.cancelled() => Ok(()),
        served = &mut serving => {
            return served.map_err(io::Error::other).flatten().map_err(ContainerError::Server);
        }
    };
    ended.cancel();
    // Whoever waits for layers is answered when the process ends: Vertex AI has taken it out of service by then.
    serving.abort();
    worked
}

/// Makes the engine ready; then returns only when it is broken.
async fn warm_and_watch(
    app: &App,
    settings: &Settings,
    cloud: &CloudConfig,
    container: &ContainerConfig,
) -> Result<(), ContainerError> {
    let storage = OnceCell::new();
    let mut settings = settings.clone();
    if let Some(uri) = &container.storage_uri {
        let store = cloud.storage_in(&storage).await.map_err(|error| ContainerError::Weights(advised(&error)))?;
        let folder = weights::fetch(store, uri, &settings).await.map_err(ContainerError::Weights)?;
        settings.set(&MODEL_NAME, folder.display());
    }
    let config = Config::from_settings(&settings)?;
    let engines = worker::engines::built_in(&config);
    let (engine, available) = own_engine(&engines)?;
    let equipment = Equipment::new(&config, Arc::new(engines), None)?;
    let runner = Runner::start(&equipment, available, &config).map_err(ContainerError::Thread)?;
    tracing::info!(%engine, "warming the model");
    warm(&runner, engine).await?;
    let jobs = JobTable::new(runner, engine, cloud.clone(), storage);
    let stuck = jobs.stuck();
    // Only here is it set.
    let _ = app.jobs.set(jobs);
    tracing::info!(%engine, "ready");
    stuck.cancelled().await;
    Err(ContainerError::Stuck)
}

/// The best engine of this machine, a model on a CPU included: a container is deployed for it.
fn own_engine(engines: &dyn EngineSet) -> Result<(EngineName, Vec<Availability>), ContainerError> {
    let available = engines.available();
    let best = available.iter().find(|entry| entry.state.is_ok()).map(|entry| entry.name);
    let best = best.ok_or_else(|| {
        let missing = available.iter().filter_map(|entry| Some((entry.name, entry.state.as_ref().err()?)));
        let reasons: Vec<_> =
            missing.map(|(name, missing)| format!("{name}: {}; {}", missing.why, missing.fix)).collect();
        ContainerError::NoEngine(reasons.join(". "))
    })?;
    Ok((best, available))
}

/// One small picture all the way through, so that the first job finds everything loaded and compiled.
async fn warm(runner: &Runner, engine: EngineName) -> Result<(), ContainerError> {
    let params = Params {
        num_layers: LayerCount::Exactly(1),
        prompt: "a grey square".to_owned(),
        seed: Some(0),
        steps: Some(1),
        guidance: 1.0,
        resolution: Some(Resolution(64)),
        engine: engine.into(),
        ..Params::default()
    };
    let input = Arc::new(RgbaImage::from_pixel(64, 64, image::Rgba([128, 128, 128, 255])));
    let job = RunJob { job_id: None, input, params, describe: false };
    match runner.begin(&Stop::default(), &Silent).compute(&job, choice(engine)).await {
        Ok(_) => Ok(()),
        Err(RunError::Failed(failure)) => Err(ContainerError::Warming(failure.message)),
        Err(RunError::Environment(fault)) => Err(ContainerError::Warming(fault.to_string())),
        Err(RunError::Stopped | RunError::Stuck) => Err(ContainerError::Warming("it made no progress".to_owned())),
    }
}

struct Silent;

impl Reporter for Silent {
    async fn progress(&self, _: ::jobs::Progress) {}

    async fn note(&self, _: Message) {}

    async fn engine_changed(&self, _: &Choice) {}
}

async fn health(State(app): State<Arc<App>>) -> Response {
    match app.jobs.get() {
        Some(_) => Json(json!({ "status": "ready" })).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "loading the model" }))).into_response(),
    }
}

async fn predict(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let Some(jobs) = app.jobs.get() else {
        // Not 503, which could mean that the job was begun and its answer lost.
        return busy("the model is still being loaded; try again later");
    };
    let instances = match serde_json::from_slice::<PredictRequest>(&body) {
        Ok(request) => request.instances,
        Err(error) => {
            let text = format!("the request is not {{\"instances\": [...]}} as crates/vertex describes it: {error}");
            return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &text);
        }
    };
    let [instance] = match <[_; 1]>::try_from(instances) {
        Ok(one) => one,
        Err(many) => {
            let text = format!("a request has one instance, this one has {}", many.len());
            return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &text);
        }
    };
    match jobs.answer(instance).await {
        Ok(prediction) => Json(PredictResponse { predictions: [prediction] }).into_response(),
        Err(Refusal::Busy) => busy("this container works on another job, one at a time; try again later"),
        Err(Refusal::Bad(text)) => refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &text),
    }
}

fn busy(message: &str) -> Response {
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message);
    response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("5"));
    response
}

/// An error in the form that Google's own services have, which the client reads.
fn refuse(code: StatusCode, status: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code.as_u16(), "message": message, "status": status } });
    (code, Json(body)).into_response()
}
