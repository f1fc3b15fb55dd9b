use std::error::Error as StdError;
use std::fmt;
use std::io;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::broker::Fault;
use jobs::document::DocumentError;
use jobs::store::StoreError;
use jobs::tree::words::UnknownBlock;
use jobs::{BrokerError, CleanupError, Job, ParamsError, State};
use serde::Serialize;
use service::error_chain;
use utoipa::ToSchema;

use super::parse_errors::describe;

/// Why a request failed, in one shape everywhere.
///
/// The message is for people and says what to do. The cause of a 5xx is
/// written to the log, never into the answer.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
    state: Option<State>,
    param: Option<String>,
    retry_after_s: Option<u32>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The public part of an error, kept beside its answer for a layer that answers in another shape.
#[derive(Debug, Clone)]
pub(crate) struct PublicError {
    pub code: &'static str,
    pub message: String,
    pub param: Option<String>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorInfo,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorInfo {
    /// For programs: a stable snake_case word, such as `job_not_found`.
    code: &'static str,
    /// For people: what went wrong and what to do.
    message: String,
    /// Where the job stands, when that is why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (state, param, retry_after_s, headers, cause) = (None, None, None, Vec::new(), None);
        Self { status, code, message: message.into(), state, param, retry_after_s, headers, cause }
    }

    /// For programs: a stable word, such as `job_not_found`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether the service failed, rather than the request.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Names the field that the error is about.
    pub fn about(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// Renames a field, for requests in which it has another name.
    pub fn rename_param(self, ours: &str, theirs: &str) -> Self {
        Self {
            message: self.message.replace(ours, theirs),
            param: self.param.map(|param| if param == ours { theirs.to_owned() } else { param }),
            ..self
        }
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    pub fn unsupported(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message)
    }

    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let message = "something went wrong on the server; its log has the cause under this answer's x-request-id";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message);
        Self { cause: Some(cause.into()), ..error }
    }

    pub fn unavailable(code: &'static str, message: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { cause: Some(cause.into()), retry_after_s: Some(5), ..error }
    }

    /// The same request may succeed in so many seconds.
    pub fn retry_later(status: StatusCode, code: &'static str, message: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..Self::new(status, code, message) }
    }

    /// A file or folder of the service failed: 507 when its disk is full, otherwise 503.
    pub fn storage(cause: io::Error) -> Self {
        Self::storage_fault(cause.kind(), cause)
    }

    fn storage_fault(kind: io::ErrorKind, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let (status, code, message) = match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "the disk of the service is full; try again later, or ask its operator to free space",
            ),
            _ => (
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_unavailable",
                "the storage of the service is not available at the moment; try again later",
            ),
        };
        Self { cause: Some(cause.into()), retry_after_s: Some(30), ..Self::new(status, code, message) }
    }

    pub fn job_not_found() -> Self {
        Self::not_found("job_not_found", "there is no such job: the id is wrong, or the job was deleted or cleaned up")
    }

    pub fn upload_not_found() -> Self {
        Self::not_found(
            "upload_not_found",
            "there is no such upload: the id is wrong, or it was cleaned up; upload the picture again",
        )
    }

    /// Why a job has no result.
    pub fn no_result(job: &Job) -> Self {
        let (code, message) = match job.state {
            State::Queued => {
                ("job_not_finished", "the job is still waiting in the queue; ask again when it has succeeded")
            }
            State::Running => ("job_not_finished", "the job is still running; ask again when it has succeeded"),
            State::Cancelled => ("job_cancelled", "the job was cancelled, so it has no result; start a new one"),
            State::Failed => {
                let reason = job.error.as_ref().map_or("", |failure| failure.message.as_str());
                let error = Self::new(StatusCode::CONFLICT, "job_failed", format!("the job failed: {reason}"));
                return Self { state: Some(job.state), ..error };
            }
            State::Succeeded => return Self::not_found("result_gone", "the result was cleaned up; start a new job"),
        };
        Self { state: Some(job.state), ..Self::new(StatusCode::CONFLICT, code, message) }
    }

    /// The error for a status that a layer or library answered without our shape.
    pub fn from_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "this address does not support that method; the Allow header lists those it supports",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the request's body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "this address does not read the request's Content-Type")
            }
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "the request took too long to arrive"),
            status if status.is_server_error() => ("internal_error", "something went wrong on the server"),
            _ => ("bad_request", "the request cannot be understood"),
        };
        Self::new(status, code, message)
    }
}

impl StdError for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(code = self.code, cause = %error_chain(cause.as_ref()), "request failed");
        }
        let public = PublicError { code: self.code, message: self.message.clone(), param: self.param };
        let info = ErrorInfo { code: self.code, message: self.message, state: self.state };
        let mut response = (self.status, Json(ErrorBody { error: info })).into_response();
        response.extensions_mut().insert(public);
        let headers = response.headers_mut();
        // A cached error would hide a job that appears later.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<BrokerError> for Error {
    fn from(err: BrokerError) -> Self {
        match err {
            BrokerError::QueueFull { queued, limit } => {
                let message =
                    format!("the queue is full: {queued} of at most {limit} jobs are waiting; try again later");
                let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message);
                Self { retry_after_s: Some(10), ..error }
            }
            BrokerError::IdempotencyMismatch => Self::unprocessable(
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request; send a new key with a new request",
            ),
            BrokerError::ClientFull { queued, limit } => {
                let message = format!(
                    "{queued} of your jobs are waiting, and one client may have {limit} in the queue; wait until some have \
                     started, or cancel some"
                );
                let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "client_queue_full", message);
                Self { retry_after_s: Some(10), ..error }
            }
            _ => match err.fault() {
                Some(Fault::DiskFull) => Self::storage_fault(io::ErrorKind::StorageFull, err),
                Some(fault) => {
                    let message = format!("{}; try again later", fault.reason());
                    Self::unavailable("queue_unavailable", &message, err)
                }
                None => Self::internal(err),
            },
        }
    }
}

impl From<StoreError> for Error {
    fn from(err: StoreError) -> Self {
        match &err {
            StoreError::Io { source, .. } => Self::storage_fault(source.kind(), err),
            StoreError::Corrupt { .. } => Self::internal(err),
            StoreError::Busy { .. } => {
                let message = "too many changes to this result are waiting; try again in a moment";
                Self::unavailable("edits_busy", message, err)
            }
            StoreError::TooLarge { .. } => Self::unprocessable("edits_too_large", err.to_string()),
        }
    }
}

impl From<CleanupError> for Error {
    fn from(err: CleanupError) -> Self {
        match err {
            CleanupError::Broker(err) => err.into(),
            CleanupError::Store(err) => err.into(),
        }
    }
}

impl From<UnknownBlock> for Error {
    fn from(err: UnknownBlock) -> Self {
        Self::unprocessable("invalid_parameter", err.to_string()).about("text")
    }
}

impl From<DocumentError> for Error {
    fn from(err: DocumentError) -> Self {
        let code = match &err {
            DocumentError::UnknownLayer { .. } => return Self::not_found("layer_not_found", err.to_string()),
            DocumentError::UnknownPicture(_) => return Self::not_found("picture_not_found", err.to_string()),
            DocumentError::Words(words) => return (*words).into(),
            DocumentError::TooMany(_) => "too_many_layers",
            DocumentError::TooDeep(..) => "too_many_groups",
            DocumentError::Id(_)
            | DocumentError::NoGroup(..)
            | DocumentError::Cycle(_)
            | DocumentError::NoSplit(_)
            | DocumentError::Element { .. }
            | DocumentError::TooManyWords => "invalid_parameter",
        };
        Self::unprocessable(code, err.to_string()).about("elements")
    }
}

impl From<ParamsError> for Error {
    fn from(err: ParamsError) -> Self {
        Self::unprocessable("invalid_parameter", err.to_string()).about(err.field)
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let problem = text.split_once("query string: ").map_or(text.as_str(), |(_, problem)| problem);
        let quoted = |before: &str| problem.strip_prefix(before)?.strip_suffix('`');
        let message = if let Some(name) = quoted("missing field `") {
            format!("query parameter `{name}` is missing")
        } else if let Some(name) = quoted("duplicate field `") {
            format!("query parameter `{name}` appears twice; send it once")
        } else if let Some((name, problem)) = problem.split_once(": ") {
            format!("query parameter `{name}` {}", describe(problem))
        } else {
            format!("the query string cannot be read: {problem}")
        };
        Self::bad_request("invalid_query", message)
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request("invalid_path", rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_storage_say_what_to_do() {
        let io = |kind: io::ErrorKind| StoreError::Io { what: "x".to_owned(), source: kind.into() };
        for (error, status, code) in [
            (io(io::ErrorKind::StorageFull), 507, "storage_full"),
            (io(io::ErrorKind::QuotaExceeded), 507, "storage_full"),
            (io(io::ErrorKind::PermissionDenied), 503, "storage_unavailable"),
            (StoreError::Busy { what: "x".to_owned() }, 503, "edits_busy"),
            (StoreError::TooLarge { what: "x".to_owned() }, 422, "edits_too_large"),
        ] {
            let error = Error::from(error);
            assert_eq!((error.status.as_u16(), error.code), (status, code));
            assert_eq!(error.retry_after_s.is_some(), error.is_ours(), "{code}");
        }
    }
}
