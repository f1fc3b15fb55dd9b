//! For those who run the service: health, readiness, metrics.

use std::sync::OnceLock;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, ErrorBody};
use crate::server::CLOSED;

const REQUESTS: &str = "unflatten_http_requests_total";
const DURATION: &str = "unflatten_http_request_duration_seconds";

/// From what answers from memory (1 ms) to uploads over slow lines (30 s).
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    status: &'static str,
}

/// Whether the process lives
///
/// It does not when it has had no free thread for half a minute: then it has to be started again. A queue or a storage
/// that fails is told by `/readyz`.
#[utoipa::path(
    get, path = "/healthz", operation_id = "get_health", tag = "service",
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It hangs and has to be started again", body = ErrorBody),
    )
)]
pub async fn health(State(app): State<App>) -> Result<Json<Health>, Error> {
    app.health.check_alive()?;
    Ok(Json(Health { status: "ok" }))
}

/// Whether requests can be served
///
/// The queue answers and the storage can be written to. Otherwise `error.code` says why not: `queue_unavailable`,
/// `storage_full`, `storage_unavailable`, `threads_exhausted` or `workers_paused`.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "service",
    responses(
        (status = 200, description = "They can", body = Health),
        (status = 503, description = "They cannot; the message says why", body = ErrorBody),
    )
)]
pub async fn ready(State(app): State<App>) -> Result<Json<Health>, Error> {
    app.health.check_ready(&app.broker, &app.store).await?;
    Ok(Json(Health { status: "ok" }))
}

/// Numbers for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "service",
    responses((status = 200, description = "Text exposition format", body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(app): State<App>) -> Response {
    // Asked when somebody wants to know: with Redis, other processes change these too.
    let reachable = match app.health.queue_numbers(&app.broker).await {
        Some((stats, workers)) => {
            metrics::gauge!("unflatten_queue_jobs").set(stats.queued as f64);
            metrics::gauge!("unflatten_running_jobs").set(stats.running as f64);
            metrics::gauge!("unflatten_workers").set(workers.len() as f64);
            1.0
        }
        // The other numbers matter most when the queue is down.
        None => 0.0,
    };
    metrics::gauge!("unflatten_queue_reachable").set(reachable);
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The process's one recorder: what a worker in the same process counts shows up too.
/// `None` when some other part of the process has installed one of its own.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let builder =
            PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS).ok()?;
        let handle = builder.install_recorder().ok()?;
        metrics::describe_counter!(REQUESTS, "HTTP requests by method, route and status");
        metrics::describe_histogram!(DURATION, "Time to the start of the answer");
        metrics::describe_gauge!("unflatten_queue_jobs", "Jobs that wait");
        metrics::describe_gauge!("unflatten_running_jobs", "Jobs that a worker has");
        metrics::describe_gauge!("unflatten_workers", "Workers that are alive");
        metrics::describe_gauge!("unflatten_queue_reachable", "1 when the queue answers, else 0");
        metrics::describe_gauge!("unflatten_live_streams", "Open live streams");
        metrics::describe_gauge!("unflatten_connections", "Open connections");
        metrics::describe_counter!(CLOSED, "Connections that were ended by the service, by reason");
        Some(handle)
    };
    HANDLE.get_or_init(install).as_ref()
}

/// A method's name, or `other`: clients can make up as many as they like.
pub fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}

/// Counts requests by route template, so that ids make no new series.
pub async fn count(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!(DURATION, "method" => method, "route" => route).record(start.elapsed());
    response
}
