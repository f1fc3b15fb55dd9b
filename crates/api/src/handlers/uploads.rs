//! Uploaded pictures.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use jobs::InputInfo;
use jobs::store::Upload;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::http::answers::Created;
use crate::http::blocks::FileName;
use crate::http::caching::IMMUTABLE;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::Segments;
use crate::http::files::{FileAnswer, FileHeaders, may_redirect};
use crate::http::prefix;
use crate::http::responses::{FileAnswers, StorageFaults};
use crate::intake::{picture, upload_form};
use crate::state::App;

/// A form with a picture.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body, which is read as a stream")]
pub(crate) struct UploadForm {
    /// PNG, JPEG, WebP, GIF (its first frame), BMP, TIFF or AVIF. The field may also be called `file`.
    #[schema(content_media_type = "application/octet-stream")]
    image: String,
}

/// A picture that is ready to be decomposed.
#[derive(Serialize, ToSchema)]
#[schema(as = Uploaded)]
pub(crate) struct UploadView {
    /// Goes into `POST /api/decompose`.
    upload_id: Uuid,
    #[serde(flatten)]
    input: InputInfo,
    links: UploadLinks,
}

#[derive(Serialize, ToSchema)]
struct UploadLinks {
    /// The picture as PNG: upright, sRGB, 8 bit.
    image: String,
    decompose: String,
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        let prefix = prefix::current();
        let image = format!("{prefix}/api/uploads/{}.png", upload.id);
        let links = UploadLinks { image, decompose: format!("{prefix}/api/decompose") };
        Self { upload_id: upload.id, input: upload.input, links }
    }
}

/// Upload a picture
///
/// The type is told from the bytes. EXIF orientation is applied, colours are brought to sRGB
/// with 8 bits, alpha is kept. Uploads are removed after `CLEANUP_AFTER_HOURS`.
#[utoipa::path(
    post, path = "/api/upload", operation_id = "upload_picture", tag = "decompose",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Stored", body = UploadView, headers(("Location" = String, description = "The picture"))),
        (status = 400, description = "No picture in the form, or a broken form", body = ErrorBody),
        (status = 408, description = "The body stopped arriving or arrives too slowly", body = ErrorBody),
        (status = 413, description = "More bytes or pixels than allowed", body = ErrorBody),
        (status = 415, description = "Not a picture of a type that is read, or CMYK", body = ErrorBody),
        (status = 422, description = "Empty or damaged", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn upload(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Created<UploadView>, Error> {
    let form = upload_form::receive(&app, request).await?;
    if let Some((name, _)) = form.fields.first() {
        let message = format!("an upload has no parameters such as \"{name}\"; send them to /api/decompose");
        return Err(Error::bad_request("unknown_field", message));
    }
    let body = UploadView::from(picture::store(&app, &caller, form.picture).await?);
    Ok(Created { location: body.links.image.clone(), body })
}

/// The uploaded picture
///
/// As every engine sees it: PNG, upright, sRGB, 8 bit.
#[utoipa::path(
    get, path = "/api/uploads/{file}", operation_id = "get_upload", tag = "decompose",
    params(("file" = String, Path, description = "`{upload_id}.png`")),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"),
        FileAnswers,
        (status = 404, description = "No such upload", body = ErrorBody),
        (status = 503, description = "The storage cannot be used at the moment", body = ErrorBody,
            headers(("Retry-After" = u32, description = "Seconds"))),
    )
)]
pub(crate) async fn image(
    State(app): State<App>,
    Segments(file): Segments<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<FileAnswer, Error> {
    let id = file.strip_suffix(".png").and_then(|id| id.parse().ok()).filter(|id| caller.may_see(*id));
    let id: Uuid = id.ok_or_else(Error::upload_not_found)?;
    if may_redirect(&app.config, &headers)
        && let Some(redirect) = FileAnswer::redirect(|valid| app.store.upload_url(id, valid)).await
    {
        return Ok(redirect);
    }
    let name = FileName::Upload(app.store.clone(), id);
    let file = name.open().await?.ok_or_else(Error::upload_not_found)?;
    let about = FileHeaders { content_type: "image/png", etag: format!("\"{id}\""), cache_control: IMMUTABLE };
    FileAnswer::from_file(name, file, about, &headers).await
}
