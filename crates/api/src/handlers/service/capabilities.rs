//! Capabilities: engines, limits, defaults and formats.

use axum::Json;
use axum::extract::State;
use jobs::EngineOffer;
use jobs::broker::{Stats, WorkerInfo};
use jobs::{MAX_LAYERS, Params};
use layers::Format;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answers::NoStore;
use crate::http::error::Error;
use crate::state::App;

/// The capabilities of this service at the moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct Capabilities {
    version: &'static str,
    /// Engines of the workers that are alive, the best first. `auto` uses the first that fits.
    engines: Vec<Engine>,
    /// Workers that are alive.
    workers: usize,
    /// The reason of each worker that is paused.
    paused: Vec<String>,
    queue: Queue,
    limits: Limits,
    /// The parameters of jobs that leave them out.
    defaults: Params,
    /// Formats of pictures that can be uploaded.
    formats: [&'static str; 7],
    /// Formats that results can be downloaded in.
    download_formats: [Format; 5],
}

#[derive(Serialize, ToSchema)]
struct Engine {
    #[serde(flatten)]
    offer: EngineOffer,
    /// How many workers have it.
    workers: usize,
}

#[derive(Serialize, ToSchema)]
struct Queue {
    /// `embedded` or `redis`.
    kind: &'static str,
    #[serde(flatten)]
    stats: Stats,
}

#[derive(Serialize, ToSchema)]
struct Limits {
    max_file_size_bytes: u64,
    /// Width times height.
    max_pixels: u64,
    max_layers: u8,
    max_prompt_chars: usize,
    /// Seconds for which a job and its result are kept once it is over; null where they are kept until they are deleted.
    kept_for_s: Option<u64>,
    /// For how many hours from now a result may be kept longer than that.
    max_keep_hours: u32,
}

/// What this service can do
///
/// Engines of the workers that are alive, limits, defaults, formats, and how full the queue is.
#[utoipa::path(
    get, path = "/api/capabilities", operation_id = "get_capabilities", tag = "service",
    responses((status = 200, description = "What it can do now", body = Capabilities))
)]
pub(crate) async fn capabilities(State(app): State<App>) -> Result<NoStore<Json<Capabilities>>, Error> {
    let workers = app.broker.workers().await?;
    let config = &app.config;
    let answer = Capabilities {
        version: env!("CARGO_PKG_VERSION"),
        engines: engines(&workers),
        workers: workers.len(),
        paused: workers.iter().filter_map(|worker| worker.paused.clone()).collect(),
        queue: Queue { kind: app.broker.name(), stats: app.broker.stats().await? },
        limits: Limits {
            max_file_size_bytes: config.max_file_size,
            max_pixels: config.defaults.max_pixels,
            max_layers: MAX_LAYERS,
            max_prompt_chars: 4000,
            kept_for_s: config.cleanup_after.map(|age| age.as_secs()),
            max_keep_hours: config.max_keep_hours,
        },
        defaults: Params {
            num_layers: config.defaults.num_layers,
            steps: Some(config.defaults.steps),
            resolution: Some(config.defaults.resolution),
            ..Params::default()
        },
        formats: ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"],
        download_formats: Format::ALL,
    };
    Ok(NoStore(Json(answer)))
}

/// Each engine once, in the order in which workers prefer them.
fn engines(workers: &[WorkerInfo]) -> Vec<Engine> {
    let mut ranked: Vec<(usize, Engine)> = Vec::new();
    for worker in workers {
        for (rank, offer) in worker.engines.iter().enumerate() {
            match ranked.iter_mut().find(|(_, engine)| engine.offer.name == offer.name) {
                Some((best, engine)) => {
                    *best = rank.min(*best);
                    engine.workers += 1;
                }
                None => ranked.push((rank, Engine { offer: offer.clone(), workers: 1 })),
            }
        }
    }
    // On one rank, an engine with a model comes before one without.
    ranked.sort_by_key(|(rank, engine)| (*rank, engine.offer.model.is_none()));
    ranked.into_iter().map(|(_, engine)| engine).collect()
}
