//! Metrics for Prometheus.

use axum::extract::State;
use axum::http::{HeaderName, header};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::prometheus::recorder;
use crate::state::App;

/// Numbers for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "service",
    responses((status = 200, description = "Text exposition format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    // Read for each request: with Redis, other processes change these numbers too.
    let reachable = match app.health.queue_numbers(&app.broker).await {
        Some((stats, workers)) => {
            metrics::gauge!("unflatten_queue_jobs").set(stats.queued as f64);
            metrics::gauge!("unflatten_running_jobs").set(stats.running as f64);
            metrics::gauge!("unflatten_workers").set(workers.len() as f64);
            1.0
        }
        // The other metrics matter most when the queue is down.
        None => 0.0,
    };
    metrics::gauge!("unflatten_queue_reachable").set(reachable);
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
