//! Pictures that belong to a document.

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use jobs::document::{DocumentError, Element, PictureId};
use jobs::store::StoredDocument;
use serde::Serialize;
use utoipa::ToSchema;

use super::document::whole_document_of;
use crate::auth::caller::Caller;
use crate::handlers::finished::FinishedJob;
use crate::handlers::uploads::UploadForm;
use crate::http::answers::Created;
use crate::http::blocks::FileName;
use crate::http::caching::IMMUTABLE;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::Segments;
use crate::http::files::{FileAnswer, FileHeaders};
use crate::http::prefix;
use crate::http::responses::{FileAnswers, LayerFaults, ResultFaults, StorageFaults};
use crate::intake::{own_picture, upload_form};
use crate::state::App;

/// A picture that an element can show.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredPicture)]
pub(crate) struct PictureView {
    /// Goes into `picture.id` of an element. The same pixels have the same id.
    #[schema(value_type = String)]
    id: PictureId,
    width: u32,
    height: u32,
    links: PictureLinks,
}

#[derive(Serialize, ToSchema)]
struct PictureLinks {
    /// The picture as PNG: upright, sRGB, 8 bit.
    image: String,
}

/// Add a picture
///
/// Stores a picture of any size with the job, so that an element of its document can show it, in place of its layer's
/// pixels or without a layer: `{"id": 7, "picture": {"id": "...", "x": 40, "y": 60}, "edit": {"name": "Logo"}}`. It is read
/// as an upload is, is deleted with the job, and counts for the storage that a client may use. At most 500 are kept; those
/// that neither the document nor its history needs are removed when there are many.
#[utoipa::path(
    post, path = "/api/jobs/{id}/pictures", operation_id = "add_picture", tag = "results",
    params(("id" = Uuid, Path, description = "The job")),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Stored", body = PictureView, headers(("Location" = String, description = "The picture"))),
        (status = 400, description = "No picture in the form, or a broken form", body = ErrorBody),
        ResultFaults,
        (status = 408, description = "The body stopped arriving or arrives too slowly", body = ErrorBody),
        (status = 413, description = "More bytes or pixels than allowed", body = ErrorBody),
        (status = 415, description = "Not a picture of a type that is read, or CMYK", body = ErrorBody),
        (status = 422, description = "Empty or damaged, or too many pictures", body = ErrorBody),
        (status = 429, description = "This client has stored too much", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn add(
    State(app): State<App>,
    finished: FinishedJob,
    caller: Caller,
    request: Request,
) -> Result<Created<PictureView>, Error> {
    if let Err(error) = whole_document_of(&app, &finished).await {
        upload_form::discard(&app, request).await;
        return Err(error);
    }
    let form = upload_form::receive(&app, request).await?;
    if let Some((name, _)) = form.fields.first() {
        let message = format!("a picture has no parameters such as \"{name}\"; leave the field out");
        return Err(Error::bad_request("unknown_field", message));
    }
    let id = own_picture::store(&app, &caller, finished.id, form.picture).await?;
    let ((width, height), prefix) = (id.size(), prefix::current());
    let image = format!("{prefix}/api/jobs/{}/pictures/{id}.png", finished.id);
    let body = PictureView { id, width, height, links: PictureLinks { image: image.clone() } };
    Ok(Created { location: image, body })
}

/// A picture of a document
#[utoipa::path(
    get, path = "/api/jobs/{id}/pictures/{file}", operation_id = "get_picture", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("file" = String, Path, description = "`{picture_id}.png`"),
    ),
    responses(
        (status = 200, description = "The picture: sRGB, 8 bit, straight alpha", body = Vec<u8>, content_type = "image/png"),
        FileAnswers,
        LayerFaults,
    )
)]
pub(crate) async fn picture(
    State(app): State<App>,
    finished: FinishedJob,
    Segments(path): Segments<(String, String)>,
    headers: HeaderMap,
) -> Result<FileAnswer, Error> {
    let none = || {
        let message = "the job has no such picture; GET /api/jobs/{id}/document has the ids of those that are shown";
        Error::not_found("picture_not_found", message)
    };
    let id: PictureId = path.1.strip_suffix(".png").and_then(|id| id.parse().ok()).ok_or_else(none)?;
    // The document of a result that a layer was split into belongs to the outermost one.
    let owner = app.store.outermost(&finished.result).await?;
    let name = FileName::Picture(owner, id);
    let file = name.open().await?.ok_or_else(none)?;
    let about = FileHeaders { content_type: "image/png", etag: format!("\"{id}\""), cache_control: IMMUTABLE };
    FileAnswer::from_file(name, file, about, &headers).await
}

/// Whether the pictures that elements show are there.
pub(super) async fn check_pictures(app: &App, shown: &StoredDocument, elements: &[Element]) -> Result<(), Error> {
    let wanted: HashSet<PictureId> = elements.iter().filter_map(|element| Some(element.picture.as_ref()?.id)).collect();
    if wanted.is_empty() || wanted.is_subset(&shown.stored.edits.pictures()) {
        return Ok(());
    }
    let stored = app.store.pictures(shown.stored.tree.job_id).await?;
    match wanted.iter().find(|id| !stored.contains(id)) {
        Some(missing) => Err(DocumentError::UnknownPicture(*missing).into()),
        None => Ok(()),
    }
}
