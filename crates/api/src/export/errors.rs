//! The answers to exports that fail.

use axum::http::StatusCode;
use layers::{ArchiveError, EncodeError, ExportError, SourceError};

use super::plan::LimitError;
use super::source::LoadError;
use crate::http::error::Error;
use crate::turns::Busy;

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Io(error) => Self::storage(error),
            LoadError::Deleted(_) => {
                Self::not_found("result_gone", "the result was deleted while it was being exported; start a new job")
            }
            LoadError::TooLarge { .. } => Self::unprocessable("layer_too_large", error.to_string()),
            LoadError::Text(_) => Self::unprocessable("invalid_parameter", error.to_string()).about("text"),
            error => Self::internal(error),
        }
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error.0.downcast::<LoadError>() {
            Ok(error) => (*error).into(),
            Err(error) => Self::internal(error),
        }
    }
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::TooLarge { .. } | ExportError::CanvasTooLarge(_) => {
                Self::unprocessable("export_too_large", error.to_string())
            }
            ExportError::TooDeep(_) => Self::unprocessable("too_many_groups", error.to_string()),
            ExportError::Source(error) => error.into(),
            ExportError::Io(error)
            | ExportError::Encode(EncodeError::Io(error))
            | ExportError::Archive(ArchiveError::Io(error)) => Self::storage(error),
            error => Self::internal(error),
        }
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        let code = match error {
            LimitError::Layer { .. } => "layer_too_large",
            LimitError::Work { .. } => "composition_too_large",
            LimitError::Memory { .. } => "export_too_large",
        };
        Self::unprocessable(code, error.to_string())
    }
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Client(count) => {
                let message = format!(
                    "{count} of your exports are waiting, running or being sent; try again when one of them has arrived"
                );
                Self::retry_later(StatusCode::TOO_MANY_REQUESTS, "too_many_exports", message, 5)
            }
            Busy::Service(count) => {
                let message = format!("the service is busy with {count} exports; try again later");
                Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "exports_busy", message, 10)
            }
            Busy::Waited => {
                let message = "the export waited too long for its turn; try again later";
                Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "exports_busy", message, 30)
            }
        }
    }
}
