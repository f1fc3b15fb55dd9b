//! Whether the service lives, and whether it is ready.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::{Error, ErrorBody};
use crate::state::App;

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
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
pub(crate) async fn health(State(app): State<App>) -> Result<Json<Health>, Error> {
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
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Health>, Error> {
    app.health.check_ready(&app.broker, &app.store).await?;
    Ok(Json(Health { status: "ok" }))
}
