//! Pictures that belong to a document: stored beside its result.

use std::io::BufReader;

use image::RgbaImage;
use jobs::document::PictureId;
use jobs::store::PictureStored;
use jobs::{JobId, Store};
use layers::Limits;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use super::upload_form::PictureFile;
use crate::auth::caller::Caller;
use crate::http::error::Error;
use crate::state::App;

/// A PNG that is ready to be stored.
pub(crate) struct WrittenPicture {
    id: PictureId,
    file: NamedTempFile,
    bytes: u64,
}

/// Decodes a picture and stores it beside the result of `job_id`.
pub(crate) async fn store(app: &App, caller: &Caller, job_id: JobId, picture: PictureFile) -> Result<PictureId, Error> {
    app.auth.quotas.check_room(&app.store, caller).await?;
    let permit = app.decodes.acquire(caller.client()).await?;
    let scratch = app.store.make_picture_scratch().await?;
    let limits = Limits { max_pixels: app.config.defaults.max_pixels };
    // Cancelled when this future is dropped, because the client has left.
    let cancelled = CancellationToken::new();
    let _cancel = cancelled.clone().drop_guard();
    let span = tracing::Span::current();
    let in_flight = app.broker.in_flight();
    let work = move || {
        let _permit = permit;
        let _in_flight = in_flight;
        let _span = span.enter();
        let check = || if cancelled.is_cancelled() { Err(Error::internal("the client has left")) } else { Ok(()) };
        check()?;
        let file = picture.file.reopen().map_err(Error::storage)?;
        let mut decoded = layers::decode(BufReader::with_capacity(256 << 10, file), &limits)?;
        check()?;
        write(scratch, &mut decoded.pixels)
    };
    let written = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    keep(app, caller, job_id, written).await
}

/// Writes a picture as a PNG to `scratch`, which is from [`Store::make_picture_scratch`]. Blocks.
pub(crate) fn write(scratch: NamedTempFile, pixels: &mut RgbaImage) -> Result<WrittenPicture, Error> {
    let size = pixels.dimensions();
    layers::write_layer_png(scratch.as_file(), pixels, (0, 0), size, None)?;
    let png = std::fs::read(scratch.path()).map_err(Error::storage)?;
    Ok(WrittenPicture { id: PictureId::of(&png, size), file: scratch, bytes: png.len() as u64 })
}

/// Stores a picture beside the result of `job_id`.
pub(crate) async fn keep(
    app: &App,
    caller: &Caller,
    job_id: JobId,
    WrittenPicture { id, file, bytes }: WrittenPicture,
) -> Result<PictureId, Error> {
    match app.store.put_picture(job_id, id, file).await? {
        PictureStored::Now => {
            app.auth.quotas.add_bytes(bytes, caller).await;
            Ok(id)
        }
        PictureStored::NoResult => Err(Error::job_not_found()),
        PictureStored::TooMany => {
            let message = format!(
                "the document and its history have {} pictures, which is the limit; delete versions, or wait an hour until \
                 those that are not used are removed",
                Store::MAX_PICTURES
            );
            Err(Error::unprocessable("too_many_pictures", message))
        }
    }
}
