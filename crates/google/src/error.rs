//! Errors of Google's services, as typed facts.
//!
//! Sources: the error tables of Vertex AI ("Generative AI on Vertex AI inference API errors"), the Gemini API
//! ("Troubleshooting guide"), Cloud Storage ("HTTP status and error codes for XML" and "for JSON"), and `google.api.ErrorReason`.

mod answer;

use std::fmt;
use std::time::Duration;

use answer::{kind_of, parse};

/// The service that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    Auth,
    /// Gemini with an API key.
    Gemini,
    /// Gemini on Vertex AI.
    VertexGemini,
    /// An endpoint of Vertex AI.
    Prediction,
    Storage,
}

impl Service {
    /// The name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "Google authentication",
            Self::Gemini => "the Gemini API",
            Self::VertexGemini => "Gemini on Vertex AI",
            Self::Prediction => "Vertex AI prediction",
            Self::Storage => "Cloud Storage",
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 429: too many requests.
    Quota,
    /// 429: the daily quota is used up.
    DailyQuota,
    /// 503.
    Unavailable,
    /// 500.
    Internal,
    /// 504 or 408: the service exceeded its own deadline.
    Deadline,
    /// 409: a concurrent change.
    Aborted,
    /// 499.
    Cancelled,
    /// 501.
    Unimplemented,
    /// The API key is not valid.
    KeyInvalid,
    /// The API key is restricted to other calls or addresses.
    KeyRestricted,
    /// 401.
    Unauthenticated,
    /// There are no credentials, or they are malformed.
    Credentials,
    /// The token has the wrong scope.
    Scope,
    /// 403.
    PermissionDenied,
    /// An organization policy forbids it.
    Policy,
    /// The API is not enabled in the project.
    ServiceDisabled,
    BillingDisabled,
    /// The project does not exist or is suspended.
    Project,
    /// Not available in this country or region.
    Location,
    /// Only for paid plans.
    PlanRequired,
    /// 404.
    NotFound,
    /// No model is deployed to the endpoint.
    NothingDeployed,
    /// The request or the answer exceeds a size limit.
    TooLarge,
    /// 400.
    InvalidArgument,
    /// 400 or 412.
    FailedPrecondition,
    /// The picture or the prompt was blocked.
    PromptBlocked,
    /// The answer was blocked.
    AnswerBlocked,
    /// The answer ended before it was complete.
    Truncated,
    /// The answer does not have the documented form.
    Malformed,
    /// No connection could be made.
    Unreachable,
    /// The connection broke.
    Network,
    /// No answer within the caller's timeout.
    Timeout,
    /// An undocumented error.
    Unknown,
}

impl Kind {
    /// Whether a retry may succeed.
    pub fn is_transient(self) -> bool {
        use Kind::{Aborted, Deadline, Internal, Network, Quota, Unavailable, Unreachable};
        matches!(self, Quota | Unavailable | Internal | Deadline | Aborted | Unreachable | Network)
    }

    fn problem(self) -> &'static str {
        match self {
            Self::Quota => "is rate-limited or busy",
            Self::DailyQuota => "has reached its daily quota",
            Self::Unavailable => "is overloaded or down",
            Self::Internal => "had an internal error",
            Self::Deadline => "exceeded its deadline",
            Self::Aborted => "was interrupted by a concurrent change",
            Self::Cancelled => "cancelled the request",
            Self::Unimplemented => "does not support this call",
            Self::KeyInvalid => "rejected the API key",
            Self::KeyRestricted => "does not allow this API key for this call",
            Self::Unauthenticated => "rejected the credentials",
            Self::Credentials => "failed: there are no usable credentials",
            Self::Scope => "was called with a token of the wrong scope",
            Self::PermissionDenied => "denied permission",
            Self::Policy => "is blocked by an organization policy",
            Self::ServiceDisabled => "is not enabled in the project",
            Self::BillingDisabled => "requires a project with billing",
            Self::Project => "does not know the project, or it is suspended",
            Self::Location => "is not available at this location",
            Self::PlanRequired => "requires a paid plan here",
            Self::NotFound => "did not find what was requested",
            Self::NothingDeployed => "has no model deployed to the endpoint",
            Self::TooLarge => "does not accept requests or answers of this size",
            Self::InvalidArgument => "rejected the request as invalid",
            Self::FailedPrecondition => "rejected the request in its present state",
            Self::PromptBlocked => "blocked the picture or the prompt",
            Self::AnswerBlocked => "blocked its answer",
            Self::Truncated => "stopped before its answer was complete",
            Self::Malformed => "returned an unreadable answer",
            Self::Unreachable => "cannot be reached",
            Self::Network => "closed the connection early",
            Self::Timeout => "did not answer in time",
            Self::Unknown => "returned an undocumented error",
        }
    }
}

/// What went wrong and where. The caller, which knows its settings, adds what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub service: Service,
    pub kind: Kind,
    /// The HTTP status of an answer.
    pub status: Option<u16>,
    /// Method and URL of the request, if one was sent. They contain no secrets.
    pub request: Option<String>,
    /// The service's own message, or the cause.
    pub detail: String,
    /// When the service suggests a retry.
    pub retry_after: Option<Duration>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, kind, status, detail, .. } = self;
        write!(f, "{} {}", service.name(), kind.problem())?;
        match (status, detail.is_empty()) {
            (Some(status), true) => write!(f, " ({status})"),
            (Some(status), false) => write!(f, " ({status} {detail})"),
            (None, true) => Ok(()),
            (None, false) => write!(f, " ({detail})"),
        }
    }
}

impl Error {
    /// Whether the service may be working on the request in spite of this error. `false`: it certainly is not.
    pub fn may_have_begun(&self) -> bool {
        use Kind::{Aborted, Cancelled, Deadline, Internal, Malformed, Network, Timeout, Unavailable, Unknown};
        // Without credentials nothing is sent.
        self.service != Service::Auth
            && matches!(
                self.kind,
                Aborted | Cancelled | Deadline | Internal | Malformed | Network | Timeout | Unavailable | Unknown
            )
    }
}

/// Longer messages are cut, because some repeat the whole request.
const DETAIL_CHARS: usize = 300;

impl Error {
    pub(crate) fn new(service: Service, kind: Kind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let text = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut: String = text.chars().take(DETAIL_CHARS).collect();
        let detail = if cut.len() < text.len() { cut + "..." } else { cut };
        Self { service, kind, status: None, request: None, detail, retry_after: None }
    }

    /// Adds which request it was. Errors of authentication keep their own.
    pub(crate) fn of_request(self, method: &impl fmt::Display, url: impl fmt::Display) -> Self {
        let request = self.request.or_else(|| Some(format!("{method} {url}")));
        Self { request, ..self }
    }

    /// Parses an answer whose status is not a success.
    pub(crate) fn from_answer(service: Service, status: u16, body: &[u8]) -> Self {
        let parsed = parse(body);
        let status_name = parsed.status.clone().unwrap_or_default();
        let kind = kind_of(status, &status_name, &parsed);
        let detail = match status_name.as_str() {
            "" => parsed.message,
            name => format!("{name}: {}", parsed.message),
        };
        let error = Self::new(service, kind, detail);
        Self { status: Some(status), retry_after: parsed.retry_delay, ..error }
    }
}

#[cfg(test)]
mod tests;
