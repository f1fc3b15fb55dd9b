//! Decoding a picture, and storing it as an upload.

use std::io::BufReader;

use jobs::InputInfo;
use jobs::store::Upload;
use layers::{DecodeError, EncodeError, Limits};
use tempfile::NamedTempFile;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::upload_form::PictureFile;
use crate::auth::caller::Caller;
use crate::http::error::Error;
use crate::state::App;

/// Decodes a picture and stores it as an upload.
pub(crate) async fn store(app: &App, caller: &Caller, picture: PictureFile) -> Result<Upload, Error> {
    app.auth.quotas.check_upload(&app.store, caller).await?;
    // Each decode may hold hundreds of megabytes, so few run at once.
    let permit = app.decodes.acquire(caller.client()).await?;
    let scratch = app.store.make_scratch().await?;
    let limits = Limits { max_pixels: app.config.defaults.max_pixels };
    // Cancelled when this future is dropped, because the client has left.
    let cancelled = CancellationToken::new();
    let _cancel = cancelled.clone().drop_guard();
    // A span of its own: blocking threads do not inherit the request's.
    let span = tracing::Span::current();
    let in_flight = app.broker.in_flight();
    let id = caller.create_id();
    let work = move || {
        let _permit = permit;
        let _in_flight = in_flight;
        let _span = span.enter();
        normalise(id, picture, scratch, &limits, &cancelled)
    };
    let (upload, png) = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    let bytes = png.as_file().metadata().map_err(Error::storage)?.len();
    app.store.put_upload(&upload, png).await?;
    app.auth.quotas.add_upload(upload.id, bytes, caller).await;
    tracing::info!(upload_id = %upload.id, format = %upload.input.format, width = upload.input.width, height = upload.input.height, "stored an upload");
    Ok(upload)
}

/// Writes the picture upright, as sRGB with 8 bits, to `scratch`.
fn normalise(
    id: Uuid,
    picture: PictureFile,
    scratch: NamedTempFile,
    limits: &Limits,
    cancelled: &CancellationToken,
) -> Result<(Upload, NamedTempFile), Error> {
    let file = picture.file.reopen().map_err(Error::storage)?;
    let check = || if cancelled.is_cancelled() { Err(Error::internal("the client has left")) } else { Ok(()) };
    check()?;
    let decoded = layers::decode(BufReader::with_capacity(256 << 10, file), limits)?;
    check()?;
    layers::write_dense_png(scratch.as_file(), &decoded.pixels, decoded.density)?;
    let input = InputInfo::of(&decoded, picture.filename, picture.sha256);
    Ok((Upload { id, input, created_at: OffsetDateTime::now_utc() }, scratch))
}

impl From<DecodeError> for Error {
    fn from(err: DecodeError) -> Self {
        let message = err.help().map_or_else(|| err.to_string(), |help| format!("{err}; {help}"));
        match err {
            DecodeError::Empty => Self::unprocessable("image_empty", message),
            DecodeError::UnknownFormat => Self::unsupported("image_type_unknown", message),
            DecodeError::NotRead { .. } => Self::unsupported("image_type_not_read", message),
            DecodeError::Unsupported { .. } | DecodeError::ArithmeticJpeg => {
                Self::unsupported("image_kind_unsupported", message)
            }
            DecodeError::Cmyk { .. } => Self::unsupported("image_cmyk", message),
            DecodeError::TooManyPixels { .. } => Self::too_large("image_too_many_pixels", message),
            DecodeError::TooMuchMemory { .. } => Self::too_large("image_too_much_memory", message),
            DecodeError::Damaged { .. } => Self::unprocessable("image_damaged", message),
            DecodeError::Io(err) => Self::storage(err),
        }
    }
}

impl From<EncodeError> for Error {
    fn from(err: EncodeError) -> Self {
        match err {
            EncodeError::Io(err) => Self::storage(err),
            other => Self::internal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn faults_of_our_files_are_not_those_of_the_picture() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Error::from(EncodeError::Io(full())).into_response().status(), 507);
        assert_eq!(Error::from(DecodeError::Io(full())).into_response().status(), 507);
        let no_descriptor = std::io::Error::from_raw_os_error(24);
        assert_eq!(Error::from(DecodeError::Io(no_descriptor)).into_response().status(), 503);
    }
}
