//! Links that can be used without a token.

use axum::Json;
use axum::extract::{Request, State};
use jobs::edits::whole;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::share;
use crate::config::Config;
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{self, JobId};
use crate::http::links::Links;
use crate::http::responses::JsonFaults;
use crate::state::App;

const HOUR_S: u32 = 3600;
const LONGEST_S: u32 = 7 * 24 * HOUR_S;

/// How long the links can be used.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareRequest {
    /// Seconds, 60 to 604800 (a week); absent: an hour.
    #[serde(default, deserialize_with = "whole::optional")]
    #[schema(minimum = 60, maximum = 604_800)]
    expires_in: Option<u32>,
}

/// Links that anybody can use until they end.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shared {
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    /// Whole addresses if the service knows its own (`PUBLIC_URL`), otherwise paths.
    links: SharedLinks,
}

#[derive(Serialize, ToSchema)]
struct SharedLinks {
    status: String,
    events: String,
    /// The result as a ZIP; `&format=psd` and the other parameters of `download` can be added.
    download: String,
    metadata: String,
    preview: String,
    /// One layer; put its number, 0 for the lowest, in place of `{n}`.
    layer: String,
    /// The document with its edits.
    document: String,
    /// The picture that the job works on; absent when the queue does not know the job any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

/// Share a job
///
/// Links to a job and its files that can be used without a token, for `<img>` on other pages and for people. They can read,
/// nothing else, and only this job: parts that its layers were split into are in `download`, not at addresses of their own.
/// They end at `expires_at`, when the job is deleted, or with `SIGNING_SECRET`.
#[utoipa::path(
    post, path = "/api/jobs/{id}/share", operation_id = "share_job", tag = "access",
    params(("id" = Uuid, Path, description = "The job")),
    request_body(content = Option<ShareRequest>, content_type = "application/json"),
    responses(
        (status = 200, description = "The links", body = Shared),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 404, description = "No such job", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "A field is unknown or out of its range", body = ErrorBody),
        (status = 503, description = "The queue or the storage cannot be used at the moment", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn share(
    State(app): State<App>,
    JobId(id): JobId,
    request: Request,
) -> Result<NoStore<Json<Shared>>, Error> {
    let asked: ShareRequest = extract::json_or_nothing(request).await?.unwrap_or_default();
    let lasts_s = asked.expires_in.unwrap_or(HOUR_S);
    if !(60..=LONGEST_S).contains(&lasts_s) {
        let message = format!("expires_in must be a number of seconds from 60 to {LONGEST_S}, not {lasts_s}");
        return Err(Error::unprocessable("invalid_parameter", message).about("expires_in"));
    }
    let upload = match app.broker.job(id).await? {
        Some(job) => Some(job.upload_id),
        // A result can outlive the queue's record of its job.
        None if app.store.result(id).await?.is_some() => None,
        None => return Err(Error::job_not_found()),
    };
    let ends_at = OffsetDateTime::now_utc().unix_timestamp() + i64::from(lasts_s);
    let expires_at = OffsetDateTime::from_unix_timestamp(ends_at).map_err(Error::internal)?;
    Ok(NoStore(Json(Shared { expires_at, links: links(&app, id, upload, ends_at) })))
}

fn links(app: &App, job: Uuid, upload: Option<Uuid>, ends_at: i64) -> SharedLinks {
    let origin = origin(&app.config);
    let signed = |id: Uuid, path: String| {
        format!("{origin}{path}?{}={}", share::PARAMETER, share::sign(&app.auth.key, id, ends_at))
    };
    let paths = Links::new(job, upload.unwrap_or_default());
    let document = format!("{}/document", paths.cancel);
    SharedLinks {
        status: signed(job, paths.status),
        events: signed(job, paths.events),
        download: signed(job, paths.download),
        metadata: signed(job, paths.metadata),
        preview: signed(job, paths.preview),
        layer: signed(job, paths.layer),
        document: signed(job, document),
        input: upload.map(|upload| signed(upload, paths.input)),
    }
}

/// The start of whole addresses; empty where the service does not know its own.
fn origin(config: &Config) -> String {
    config.public_origin().unwrap_or_default()
}
