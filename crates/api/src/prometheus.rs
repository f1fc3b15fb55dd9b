//! The recorder of metrics, and the metrics of requests.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Counts connections that the service ended, by reason: `header_timeout`, `idle_timeout`, `transfer_timeout`,
/// `place_needed`.
pub(crate) const CONNECTIONS_CLOSED: &str = "unflatten_connections_closed_total";

const REQUESTS: &str = "unflatten_http_requests_total";
const DURATION: &str = "unflatten_http_request_duration_seconds";

/// From answers out of memory (1 ms) to uploads over slow lines (30 s).
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The recorder of this process, which also has the metrics of a worker in it. `None` when another part of the process
/// has installed a recorder of its own.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
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
        metrics::describe_counter!(CONNECTIONS_CLOSED, "Connections that were ended by the service, by reason");
        Some(handle)
    };
    HANDLE.get_or_init(install).as_ref()
}

/// A method's name, or `other`: clients could otherwise invent any number of labels.
pub(crate) fn method_name(method: &Method) -> &'static str {
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

/// Counts requests by route template, so that ids do not make new series.
pub(crate) async fn count_requests(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!(DURATION, "method" => method, "route" => route).record(start.elapsed());
    response
}
