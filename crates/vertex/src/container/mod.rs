//! `unflatten-worker --vertex`: the HTTP server that Vertex AI expects of a container with a model.
//!
//! It runs one job at a time. A call for another job meanwhile gets a 429; a call for the same job gets the progress or
//! the layers, however often it is repeated: see `protocol.rs`.

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
use crate::advice::with_advice;
use crate::protocol::{PredictRequest, PredictResponse};
use crate::{CloudConfig, ContainerConfig};

/// The largest request that dedicated endpoints forward, with some margin.
const MAX_BODY_BYTES: usize = 32 << 20;

/// Why a container does not start.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The weights of `AIP_STORAGE_URI` cannot be fetched.
    #[error("the weights cannot be fetched: {0}")]
    Weights(String),
    /// No engine can be used on this machine.
    #[error("no engine can be used on this machine: {0}")]
    NoEngine(String),
    /// The warm-up job failed.
    #[error("the warm-up of the model failed: {0}")]
    WarmUp(String),
    /// The port cannot be used.
    #[error("cannot listen on port {port}: {source}; set AIP_HTTP_PORT to a free one")]
    Listen {
        /// `AIP_HTTP_PORT`.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error("the engine thread cannot be started: {0}; check the limits of the process (ulimit -u)")]
    Thread(io::Error),
    /// The HTTP server ended with an error.
    #[error("the HTTP server failed: {0}")]
    Server(io::Error),
    /// The engine is stuck.
    #[error("the engine does not react to a stop; exiting so that Vertex AI restarts the container")]
    Stuck,
    /// A setting is not valid.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

struct App {
    /// Set once the model is warmed up.
    jobs: OnceCell<JobTable>,
}

/// Serves predictions until `shutdown`. It listens at once, and is healthy once the model is warmed up.
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
        worked = warm_up_and_watch(&app, settings, &cloud, &container) => worked,
        () = shutdown.cancelled() => Ok(()),
        served = &mut serving => {
            return served.map_err(io::Error::other).flatten().map_err(ContainerError::Server);
        }
    };
    ended.cancel();
    // Open calls end with the process: Vertex AI has taken the container out of service by then.
    serving.abort();
    worked
}

/// Warms up the engine, then returns only if it gets stuck.
async fn warm_up_and_watch(
    app: &App,
    settings: &Settings,
    cloud: &CloudConfig,
    container: &ContainerConfig,
) -> Result<(), ContainerError> {
    let storage = OnceCell::new();
    let mut settings = settings.clone();
    if let Some(uri) = &container.storage_uri {
        let store = cloud.storage_in(&storage).await.map_err(|error| ContainerError::Weights(with_advice(&error)))?;
        let folder = weights::fetch(store, uri, &settings).await.map_err(ContainerError::Weights)?;
        settings.set(&MODEL_NAME, folder.display());
    }
    let config = Config::from_settings(&settings)?;
    let engines = worker::engines::built_in(&config);
    let (engine, available) = own_engine(&engines)?;
    let equipment = Equipment::new(&config, Arc::new(engines), None)?;
    let runner = Runner::start(&equipment, available, &config).map_err(ContainerError::Thread)?;
    tracing::info!(%engine, "warming up the model");
    warm_up(&runner, engine).await?;
    let jobs = JobTable::new(runner, engine, cloud.clone(), storage);
    let stuck = jobs.stuck();
    // Set only here, so it cannot fail.
    let _ = app.jobs.set(jobs);
    tracing::info!(%engine, "ready");
    stuck.cancelled().await;
    Err(ContainerError::Stuck)
}

/// The best engine of this machine, even if it is a model on a CPU: a container is deployed for it.
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

/// Runs one small job, so that the first real one finds everything loaded and compiled.
async fn warm_up(runner: &Runner, engine: EngineName) -> Result<(), ContainerError> {
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
    let job = RunJob { job_id: None, input, of: None, params, describe: false };
    match runner.begin(&Stop::default(), &SilentReporter).compute(&job, choice(engine)).await {
        Ok(_) => Ok(()),
        Err(RunError::Failed(failure)) => Err(ContainerError::WarmUp(failure.message)),
        Err(RunError::Environment(fault)) => Err(ContainerError::WarmUp(fault.to_string())),
        Err(RunError::Stopped | RunError::Stuck) => Err(ContainerError::WarmUp("it made no progress".to_owned())),
    }
}

struct SilentReporter;

impl Reporter for SilentReporter {
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
        // Not 503, after which the client could not know whether the job was started.
        return busy("the model is still loading; try again later");
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
            let text = format!("a request must have one instance, but this one has {}", many.len());
            return refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &text);
        }
    };
    match jobs.answer(instance).await {
        Ok(prediction) => Json(PredictResponse { predictions: [prediction] }).into_response(),
        Err(Refusal::Busy) => busy("this container is running another job; try again later"),
        Err(Refusal::BadRequest(text)) => refuse(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", &text),
    }
}

fn busy(message: &str) -> Response {
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message);
    response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("5"));
    response
}

/// An error in the format of Google's services, which the client parses.
fn refuse(code: StatusCode, status: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code.as_u16(), "message": message, "status": status } });
    (code, Json(body)).into_response()
}
