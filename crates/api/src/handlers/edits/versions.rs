//! Versions of a document that have a name.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use jobs::document::Version;
use jobs::edits::Edits;
use jobs::tree::Tree;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::document::{DocumentAnswer, DocumentInfo, change_document, whole_document_of};
use crate::handlers::finished::FinishedJob;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::{self, Segments};
use crate::http::responses::{JsonFaults, ResultFaults, StorageFaults};
use crate::state::App;

const MAX_NAME: usize = 200;

/// A version of a document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionInfo {
    /// In addresses.
    number: u32,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
}

impl From<&Version> for VersionInfo {
    fn from(version: &Version) -> Self {
        Self { number: version.number, name: version.name.clone(), created_at: version.created_at }
    }
}

/// A name for the document as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewVersion {
    /// Without control characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// Name a version
///
/// Keeps the document as it is now under a name, so that it can be brought back. At most 20 are kept.
#[utoipa::path(
    post, path = "/api/jobs/{id}/versions", operation_id = "name_version", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    request_body = NewVersion,
    responses(
        (status = 200, description = "The document with its versions; the last is the new one", body = DocumentInfo),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        ResultFaults,
        JsonFaults,
        StorageFaults,
        (status = 422, description = "The name cannot be used, or there are 20 versions", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    finished: FinishedJob,
    request: Request,
) -> Result<DocumentAnswer, Error> {
    let NewVersion { name } = extract::json(request).await?;
    let name = name.trim().to_owned();
    if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let message =
            format!("name must have 1 to {MAX_NAME} characters without control characters such as line breaks");
        return Err(Error::unprocessable("invalid_parameter", message).about("name"));
    }
    let stored = whole_document_of(&app, &finished).await?;
    let change = move |edits: &mut Edits, tree: &Tree| {
        let shown = edits.take_splits(tree);
        let now = OffsetDateTime::now_utc();
        edits.name_version(&shown, name.clone(), now).map(|_| ()).ok_or_else(|| {
            let message = format!("there are {} versions, which is the limit; delete one", Edits::MAX_VERSIONS);
            Error::unprocessable("too_many_versions", message)
        })
    };
    change_document(&app, stored, None, change).await
}

/// Bring a version back
///
/// The document is what it was under that name. This can be undone.
#[utoipa::path(
    post, path = "/api/jobs/{id}/versions/{n}/restore", operation_id = "restore_version", tag = "results",
    params(("id" = Uuid, Path, description = "The job"), ("n" = String, Path, description = "The version's number")),
    responses(
        (status = 200, description = "The document after it", body = DocumentInfo),
        ResultFaults,
        StorageFaults,
    )
)]
pub(crate) async fn restore(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
) -> Result<DocumentAnswer, Error> {
    let stored = whole_document_of(&app, &finished).await?;
    let change = move |edits: &mut Edits, tree: &Tree| {
        let shown = edits.take_splits(tree);
        let version = edits.versions.iter().find(|version| version.number.to_string() == path.1);
        let document = version.ok_or_else(unknown)?.document.settled(tree, &edits.splits);
        edits.put(&shown, document, false);
        Ok(())
    };
    change_document(&app, stored, None, change).await
}

/// Delete a version
///
/// The document stays as it is.
#[utoipa::path(
    delete, path = "/api/jobs/{id}/versions/{n}", operation_id = "delete_version", tag = "results",
    params(("id" = Uuid, Path, description = "The job"), ("n" = String, Path, description = "The version's number")),
    responses(
        (status = 204, description = "Done"),
        ResultFaults,
        StorageFaults,
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
) -> Result<StatusCode, Error> {
    let stored = whole_document_of(&app, &finished).await?;
    let change = move |edits: &mut Edits, _: &Tree| {
        let at = edits.versions.iter().position(|version| version.number.to_string() == path.1);
        edits.versions.remove(at.ok_or_else(unknown)?);
        Ok(())
    };
    change_document(&app, stored, None, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown() -> Error {
    Error::not_found("version_not_found", "no version has this number; GET /api/jobs/{id}/document lists the versions")
}
