//! How long a result is kept.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use jobs::Metadata;
use jobs::edits::{Edits, whole};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::document::whole_document_of;
use crate::config::Config;
use crate::handlers::finished::FinishedJob;
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, ResultFaults, StorageFaults};
use crate::state::App;

/// For how long from now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeepRequest {
    /// At most `limits.max_keep_hours` in the answer of `/api/capabilities`.
    #[serde(deserialize_with = "whole::number")]
    #[schema(minimum = 1)]
    hours: u32,
}

/// Until when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Kept {
    /// When the result will be removed; absent where it is kept until somebody deletes it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    kept_until: Option<OffsetDateTime>,
}

/// When a result will be removed; `None` where it is kept until it is deleted.
pub(super) fn kept_until(config: &Config, metadata: &Metadata, edits: &Edits) -> Option<OffsetDateTime> {
    let usual = metadata.created_at + config.cleanup_after?;
    Some(edits.keep_until.map_or(usual, |until| until.max(usual)))
}

/// Keep a result longer
///
/// The job, its picture, its result and what its layers were split into stay for so many hours from now, if they would not
/// stay longer anyway.
#[utoipa::path(
    post, path = "/api/jobs/{id}/keep", operation_id = "keep_result", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    request_body = KeepRequest,
    responses(
        (status = 200, description = "Until when it is kept now", body = Kept),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        ResultFaults,
        JsonFaults,
        StorageFaults,
        (status = 422, description = "More hours than this service allows", body = ErrorBody),
    )
)]
pub(crate) async fn keep(
    State(app): State<App>,
    finished: FinishedJob,
    request: Request,
) -> Result<NoStore<Json<Kept>>, Error> {
    let KeepRequest { hours } = extract::json(request).await?;
    let most = app.config.max_keep_hours;
    if !(1..=most).contains(&hours) {
        let message = match most {
            0 => "this service keeps no result longer than others (MAX_KEEP_HOURS is 0)".to_owned(),
            _ => format!("hours must be a whole number from 1 to {most}, not {hours}"),
        };
        return Err(Error::unprocessable("invalid_parameter", message).about("hours"));
    }
    let id = whole_document_of(&app, &finished).await?.job_id;
    let until = OffsetDateTime::now_utc() + Duration::from_secs(u64::from(hours) * 3600);
    let change = move |edits: &mut Edits| {
        edits.keep_until = edits.keep_until.max(Some(until));
    };
    let edits = app.store.change_edits(id, change).await?.ok_or_else(Error::job_not_found)?;
    let kept_until = kept_until(&app.config, &finished.metadata().await?, &edits);
    Ok(NoStore(Json(Kept { kept_until })))
}
