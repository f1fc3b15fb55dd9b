//! The document: the layers of a result as people arranged them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::document::{Document, Element};
use jobs::edits::Edits;
use jobs::store::StoredDocument;
use jobs::tree::Tree;
use jobs::{JobId, Metadata};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::keep::kept_until;
use super::pictures::check_pictures;
use super::versions::VersionInfo;
use crate::handlers::finished::FinishedJob;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, ResultFaults, StorageFaults};
use crate::state::App;

/// Room for the words of [`Document::MAX_ELEMENTS`] elements.
pub(super) const MAX_DOCUMENT: usize = 4 << 20;

/// A document, and all that is needed to show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentInfo {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// Size of the canvas in pixels.
    width: u32,
    height: u32,
    /// Incremented by every change; the `ETag` too.
    revision: u64,
    /// How many changes can be taken back.
    undo: usize,
    /// How many that were taken back can be made again.
    redo: usize,
    /// When the result will be removed; absent where it is kept until somebody deletes it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    kept_until: Option<OffsetDateTime>,
    /// The oldest first.
    versions: Vec<VersionInfo>,
    /// Layers and groups: those side by side from the lowest to the highest, each group before what is in it.
    elements: Vec<Element>,
    /// Ids of layers with words that stay pixels in every format: no font at hand draws them closely enough, or they are
    /// stretched.
    pixel_text: Vec<u64>,
    /// The result, then those that its layers were split into.
    results: Vec<ResultInfo>,
}

/// A result whose layers are in a document.
#[derive(Debug, Serialize, ToSchema)]
struct ResultInfo {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    /// Where its canvas lies on the document's.
    x: u32,
    y: u32,
    metadata: Metadata,
}

/// A document with its revision.
pub(crate) struct DocumentAnswer(pub Box<DocumentInfo>);

impl IntoResponse for DocumentAnswer {
    fn into_response(self) -> Response {
        (document_headers(self.0.revision), Json(self.0)).into_response()
    }
}

impl DocumentInfo {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }
}

/// The headers of an answer with a document.
pub(super) fn document_headers(revision: u64) -> [(HeaderName, HeaderValue); 2] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (header::ETAG, tag(revision))]
}

fn tag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// What a document is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDocument {
    #[schema(max_items = 2000)]
    elements: Vec<Element>,
    /// The change belongs to the one before it: both are taken back as one.
    #[serde(default)]
    amend: bool,
}

/// The document
///
/// The layers as people arranged them, in groups and with their edits, and what is known of the results that they are
/// of: the job's own, and those that layers of it were split into. The document belongs to the outermost result; that of
/// a job which split a layer is the part which stands for the layer.
#[utoipa::path(
    get, path = "/api/jobs/{id}/document", operation_id = "get_document", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The document", body = DocumentInfo, headers(("ETag" = String, description = "Its revision"))),
        ResultFaults,
    )
)]
pub(crate) async fn document(State(app): State<App>, finished: FinishedJob) -> Result<DocumentAnswer, Error> {
    let stored = document_of(&app, &finished).await?;
    document_answer(&app, &stored)
}

/// Change the document
///
/// Takes the place of the elements that are there: what is left out is deleted from the document, and comes back by
/// undoing. The result's own files stay as they are. Layers may be named more than once.
#[utoipa::path(
    put, path = "/api/jobs/{id}/document", operation_id = "put_document", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("If-Match" = String, Header, description = "The revision that was changed, as the ETag has it; * for any"),
    ),
    request_body = NewDocument,
    responses(
        (status = 200, description = "The document after the change", body = DocumentInfo),
        (status = 400, description = "The body is not a JSON object, or If-Match is not a revision", body = ErrorBody),
        ResultFaults,
        (status = 412, description = "Others changed the document since; its revision is in the ETag", body = ErrorBody),
        JsonFaults,
        StorageFaults,
        (status = 422, description = "The document cannot be: an unknown layer, a group in itself, a field out of its range, a picture that is not there", body = ErrorBody),
        (status = 428, description = "If-Match is missing", body = ErrorBody),
    )
)]
pub(crate) async fn put(
    State(app): State<App>,
    finished: FinishedJob,
    request: Request,
) -> Result<DocumentAnswer, Error> {
    let expected = expected_revision(request.headers())?;
    let NewDocument { elements, amend } = extract::json_up_to(request, MAX_DOCUMENT).await?;
    let stored = whole_document_of(&app, &finished).await?;
    check_pictures(&app, &stored, &elements).await?;
    let change = move |edits: &mut Edits, tree: &Tree| {
        let document = Document { elements: elements.clone() }.checked(tree)?;
        // Who does not know of parts yet has not decided against them.
        let knows = document.elements.iter().any(|one| one.child.is_some_and(|child| !edits.splits.contains(&child)));
        let shown = if knows { edits.take_splits(tree) } else { edits.shown_before_splits(tree) };
        edits.put(&shown, document, amend);
        Ok(())
    };
    change_document(&app, stored, expected, change).await
}

/// Take all edits back
///
/// Every layer is shown as the engine made it. Layers that were split again stay split. This can be undone.
#[utoipa::path(
    delete, path = "/api/jobs/{id}/document", operation_id = "reset_document", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 204, description = "Done"),
        ResultFaults,
        StorageFaults,
    )
)]
pub(crate) async fn reset(State(app): State<App>, finished: FinishedJob) -> Result<StatusCode, Error> {
    let stored = whole_document_of(&app, &finished).await?;
    let change = |edits: &mut Edits, tree: &Tree| {
        let shown = edits.take_splits(tree);
        edits.put(&shown, Document::unedited(tree), false);
        Ok(())
    };
    change_document(&app, stored, None, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Undo
///
/// Takes the latest change of the document back. Steps are kept with the result: the last hundred, or a megabyte of them.
#[utoipa::path(
    post, path = "/api/jobs/{id}/document/undo", operation_id = "undo", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("If-Match" = Option<String>, Header, description = "As for PUT; absent for any revision"),
    ),
    responses(
        (status = 200, description = "The document after it", body = DocumentInfo),
        ResultFaults,
        (status = 412, description = "Others changed the document since", body = ErrorBody),
        StorageFaults,
        (status = 422, description = "There is nothing to undo", body = ErrorBody),
    )
)]
pub(crate) async fn undo(
    State(app): State<App>,
    finished: FinishedJob,
    headers: HeaderMap,
) -> Result<DocumentAnswer, Error> {
    walk(&app, &finished, &headers, true).await
}

/// Redo
///
/// Makes the change again that was taken back last.
#[utoipa::path(
    post, path = "/api/jobs/{id}/document/redo", operation_id = "redo", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("If-Match" = Option<String>, Header, description = "As for PUT; absent for any revision"),
    ),
    responses(
        (status = 200, description = "The document after it", body = DocumentInfo),
        ResultFaults,
        (status = 412, description = "Others changed the document since", body = ErrorBody),
        StorageFaults,
        (status = 422, description = "There is nothing to redo", body = ErrorBody),
    )
)]
pub(crate) async fn redo(
    State(app): State<App>,
    finished: FinishedJob,
    headers: HeaderMap,
) -> Result<DocumentAnswer, Error> {
    walk(&app, &finished, &headers, false).await
}

async fn walk(app: &App, finished: &FinishedJob, headers: &HeaderMap, back: bool) -> Result<DocumentAnswer, Error> {
    let expected = expected_or_any(headers)?;
    let stored = whole_document_of(app, finished).await?;
    let change = move |edits: &mut Edits, tree: &Tree| {
        let shown = edits.take_splits(tree);
        if edits.walk(&shown, back) {
            return Ok(());
        }
        let (code, what) = if back { ("nothing_to_undo", "undo") } else { ("nothing_to_redo", "redo") };
        Err(Error::unprocessable(code, format!("there is nothing to {what}")))
    };
    change_document(app, stored, expected, change).await
}

/// The revision that a change starts from; `None` for any, also if the client does not say.
pub(super) fn expected_or_any(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    if headers.contains_key(header::IF_MATCH) { expected_revision(headers) } else { Ok(None) }
}

/// The revision that a change starts from; `None` for any.
fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let message = "say which revision was changed: If-Match with the ETag of the document, or * for any";
        return Err(Error::new(StatusCode::PRECONDITION_REQUIRED, "revision_missing", message));
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let wrong =
        || Error::bad_request("invalid_revision", "If-Match is not a revision: send the ETag of the document, or *");
    text.parse().map(Some).map_err(|_| wrong())
}

/// What is shown of a result.
pub(crate) async fn document_of(app: &App, finished: &FinishedJob) -> Result<StoredDocument, Error> {
    app.store.document_of(&finished.result).await?.ok_or_else(Error::job_not_found)
}

/// The document of a result that is not part of another one's.
pub(super) async fn whole_document_of(app: &App, finished: &FinishedJob) -> Result<StoredDocument, Error> {
    let stored = document_of(app, finished).await?;
    if stored.is_part() {
        let message = format!(
            "this result is of a layer of job {}, and part of its document; change that one",
            stored.stored.tree.job_id
        );
        return Err(Error::new(StatusCode::CONFLICT, "part_of_document", message));
    }
    Ok(stored)
}

/// Changes the document of the outermost result, if it still has the `expected` revision. `change` may be asked more than
/// once.
pub(super) async fn change_document(
    app: &App,
    stored: StoredDocument,
    expected: Option<u64>,
    change: impl Fn(&mut Edits, &Tree) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<DocumentAnswer, Error> {
    let refused = Arc::new(Mutex::new(None));
    let told = Arc::clone(&refused);
    let tree = stored.stored.tree.clone();
    let edit = move |edits: &mut Edits| {
        let outcome = match expected {
            Some(expected) if expected != edits.revision => Err(changed_meanwhile(edits.revision)),
            _ => change(edits, &tree),
        };
        let is_made = outcome.is_ok();
        *told.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
        is_made
    };
    let edits = app.store.try_change_edits(stored.stored.tree.job_id, edit).await?.ok_or_else(Error::job_not_found)?;
    if let Some(error) = refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    document_answer(app, &stored.with(edits))
}

pub(super) fn changed_meanwhile(revision: u64) -> Error {
    let message = format!(
        "others changed the document, which is at revision {revision} now; get it, make the change again and send it with \
         that revision"
    );
    Error::new(StatusCode::PRECONDITION_FAILED, "document_changed", message).with_header(header::ETAG, tag(revision))
}

/// What is said of a document.
pub(super) fn document_answer(app: &App, shown: &StoredDocument) -> Result<DocumentAnswer, Error> {
    let tree = shown.tree();
    let mut results = Vec::new();
    let mut left = vec![tree];
    while let Some(one) = left.pop() {
        let metadata = shown.stored.metadata.get(&one.job_id).cloned().ok_or_else(Error::job_not_found)?;
        let (x, y) = tree.find(one.job_id).map(|(_, origin)| origin).unwrap_or_default();
        results.push(ResultInfo { job_id: one.job_id, x, y, metadata });
        left.extend(one.layers.iter().rev().filter_map(|layer| layer.child.as_ref()?.tree.as_ref()));
    }
    let edits = &shown.stored.edits;
    let Edits { revision, past, future, versions, .. } = edits;
    let is_split = edits.has_new_splits(&shown.stored.tree);
    let metadata = shown.stored.metadata.get(&shown.stored.tree.job_id);
    Ok(DocumentAnswer(Box::new(DocumentInfo {
        job_id: tree.job_id,
        width: tree.width,
        height: tree.height,
        revision: *revision,
        undo: past.len() + usize::from(is_split),
        redo: if is_split { 0 } else { future.len() },
        kept_until: metadata.and_then(|metadata| kept_until(&app.config, metadata, &shown.stored.edits)),
        versions: versions.iter().map(VersionInfo::from).collect(),
        elements: shown.document.elements.clone(),
        pixel_text: shown.document.pixel_words(tree),
        results,
    })))
}
