//! What Google's services answer when they do not do what was asked, in words that say what to do.
//!
//! Sources: the error tables of Vertex AI ("Generative AI on Vertex AI inference API errors"), the Gemini API
//! ("Troubleshooting guide"), Cloud Storage ("HTTP status and error codes for JSON"), and `google.api.ErrorReason`.

mod answer;

use std::fmt;
use std::time::Duration;

use answer::{kind_of, parse, plain};

/// Which service answered.
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
    fn name(self) -> &'static str {
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
    /// 429: too many requests at a time.
    Quota,
    /// 429: nothing more today.
    DailyQuota,
    /// 503.
    Unavailable,
    /// 500.
    Internal,
    /// 504 or 408: the service took longer than it may.
    Deadline,
    /// 409: another request changed the same thing.
    Aborted,
    /// 499.
    Cancelled,
    /// 501.
    Unimplemented,
    /// The API key is not one.
    KeyInvalid,
    /// The API key may not be used for this, or from here.
    KeyRestricted,
    /// 401.
    Unauthenticated,
    /// No credentials, or ones that Google does not take.
    Credentials,
    /// The token is for other services.
    Scope,
    /// 403.
    PermissionDenied,
    /// A rule of the organisation forbids it.
    Policy,
    /// The API is not switched on in the project.
    ServiceDisabled,
    BillingDisabled,
    /// The project is not there or suspended.
    Project,
    /// Not from this country, or not in this region.
    Location,
    /// Only for paid plans.
    PlanRequired,
    /// 404.
    NotFound,
    /// No model is deployed to the endpoint.
    NothingDeployed,
    /// The request is larger than the service takes.
    TooLarge,
    /// 400.
    InvalidArgument,
    /// 400 or 412.
    FailedPrecondition,
    /// The picture or the question was refused.
    PromptBlocked,
    /// The answer was held back.
    AnswerBlocked,
    /// The answer ended before it was complete.
    Truncated,
    /// The answer is not what the service is documented to give.
    Malformed,
    /// No connection could be made.
    Unreachable,
    /// The connection broke.
    Network,
    /// No answer within the time that the caller gave.
    Timeout,
    /// Something that is documented nowhere.
    Unknown,
}

impl Kind {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(self) -> bool {
        use Kind::{Aborted, Deadline, Internal, Network, Quota, Unavailable, Unreachable};
        matches!(self, Quota | Unavailable | Internal | Deadline | Aborted | Unreachable | Network)
    }

    fn problem(self) -> &'static str {
        match self {
            Self::Quota => "is asked too often or is busy",
            Self::DailyQuota => "gives no more answers today",
            Self::Unavailable => "is overloaded or down",
            Self::Internal => "had an internal error",
            Self::Deadline => "did not finish in the time that it has",
            Self::Aborted => "met another request that changed the same thing",
            Self::Cancelled => "was told to stop",
            Self::Unimplemented => "cannot do this",
            Self::KeyInvalid => "does not know the API key",
            Self::KeyRestricted => "does not take this API key for this call",
            Self::Unauthenticated => "does not accept the credentials",
            Self::Credentials => "failed: there are no credentials that can be used",
            Self::Scope => "was called with a token for other services",
            Self::PermissionDenied => "denied permission",
            Self::Policy => "is closed by a rule of the organisation",
            Self::ServiceDisabled => "is not switched on in the project",
            Self::BillingDisabled => "needs a project with billing",
            Self::Project => "does not know the project, or it is suspended",
            Self::Location => "is not available at this location",
            Self::PlanRequired => "has no free plan here",
            Self::NotFound => "does not find what was asked for",
            Self::NothingDeployed => "has no model on the endpoint",
            Self::TooLarge => "does not take requests or answers of this size",
            Self::InvalidArgument => "did not understand the request",
            Self::FailedPrecondition => "refused the request in its present state",
            Self::PromptBlocked => "refused the picture or the question",
            Self::AnswerBlocked => "held its answer back",
            Self::Truncated => "stopped before its answer was complete",
            Self::Malformed => "answered with something unreadable",
            Self::Unreachable => "cannot be reached",
            Self::Network => "broke the connection off",
            Self::Timeout => "did not answer in time",
            Self::Unknown => "answered with an undocumented error",
        }
    }

    fn advice(self, service: Service) -> &'static str {
        use Service::{Auth, Gemini, Prediction, Storage, VertexGemini};
        match (self, service) {
            (Self::Quota, Prediction) => {
                "wait, add replicas or endpoints, or raise the quota of Vertex AI at IAM & Admin > Quotas"
            }
            (Self::Quota, Gemini) => "wait a minute, or raise the rate limit of the key's project in Google AI Studio",
            (Self::Quota, _) => "wait a minute, or raise the quota at IAM & Admin > Quotas",
            (Self::DailyQuota, _) => {
                "wait until tomorrow, switch billing on, or set GEMINI_MODEL to a model with a larger daily limit"
            }
            (Self::Unavailable | Self::Internal, _) => {
                "try again in some minutes; https://status.cloud.google.com says whether it is a known outage"
            }
            (Self::Deadline, Prediction) => {
                "use a dedicated endpoint (VERTEX_ENDPOINT_DOMAIN), which may take up to an hour; shared ones have 60 s"
            }
            (Self::Deadline, _) => "try again, with a smaller picture or fewer layers",
            (Self::Aborted | Self::Cancelled, _) => "try again",
            (Self::Unimplemented, Gemini | VertexGemini) => "set GEMINI_MODEL to a model that reads pictures",
            (Self::Unimplemented, _) => "set VERTEX_PREDICT_METHOD to the other of predict and rawPredict",
            (Self::KeyInvalid, _) => "set GEMINI_API_KEY to a key from https://aistudio.google.com/apikey",
            (Self::KeyRestricted, _) => {
                "allow the Generative Language API and this machine's address for the key at APIs & Services > \
                 Credentials"
            }
            (Self::Unauthenticated, Gemini) => "set GEMINI_API_KEY to a key from https://aistudio.google.com/apikey",
            (Self::Unauthenticated | Self::Credentials, _) => {
                "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account that exists and is enabled, or \
                 run where workload identity or the metadata server gives credentials; check this machine's clock"
            }
            (Self::Scope, _) => "give the machine or pod the scope https://www.googleapis.com/auth/cloud-platform",
            (Self::PermissionDenied, Gemini) => "check that the key's project may use the Gemini API and this model",
            (Self::PermissionDenied, Storage) => {
                "give the service account roles/storage.objectUser on the bucket (the endpoint's one needs it too)"
            }
            (Self::PermissionDenied, _) => "give the service account roles/aiplatform.user in GOOGLE_CLOUD_PROJECT",
            (Self::Policy, _) => "ask the organisation's administrator about VPC Service Controls and its policies",
            (Self::ServiceDisabled, Gemini) => "switch it on: gcloud services enable generativelanguage.googleapis.com",
            (Self::ServiceDisabled, Storage) => "switch it on: gcloud services enable storage.googleapis.com",
            (Self::ServiceDisabled, _) => "switch it on: gcloud services enable aiplatform.googleapis.com",
            (Self::BillingDisabled, _) => {
                "switch billing on for the project at https://console.cloud.google.com/billing"
            }
            (Self::Project, _) => "check GOOGLE_CLOUD_PROJECT, and that the project is active",
            (Self::Location, Gemini) => {
                "use Gemini on Vertex AI instead: leave GEMINI_API_KEY empty and set GOOGLE_CLOUD_PROJECT"
            }
            (Self::Location, VertexGemini) => "set GEMINI_LOCATION to a region that has the model, or to global",
            (Self::Location, _) => "set VERTEX_AI_LOCATION to the endpoint's region",
            (Self::PlanRequired, _) => "set up billing for the key's project in Google AI Studio, or use Vertex AI",
            (Self::NotFound, Gemini) => "set GEMINI_MODEL to a model of https://ai.google.dev/gemini-api/docs/models",
            (Self::NotFound, VertexGemini) => "check GEMINI_MODEL, and that GEMINI_LOCATION has this model",
            (Self::NotFound, Prediction) => {
                "check GOOGLE_CLOUD_PROJECT, VERTEX_AI_LOCATION and VERTEX_ENDPOINT_ID (gcloud ai endpoints list)"
            }
            (Self::NotFound, Storage) => "check the bucket's and the object's name (gcloud storage ls)",
            (Self::NotFound, Auth) => "check GOOGLE_APPLICATION_CREDENTIALS",
            (Self::NothingDeployed, _) => {
                "deploy the model to it: gcloud ai endpoints deploy-model, see docs/vertex.md"
            }
            (Self::TooLarge, Prediction) => {
                "set VERTEX_STAGING_URI to a gs:// folder, through which larger pictures travel, or use a dedicated \
                 endpoint"
            }
            (Self::TooLarge, _) => "use a smaller picture or fewer layers",
            (Self::InvalidArgument, Gemini | VertexGemini) => {
                "set GEMINI_MODEL to a model that reads pictures and keeps to a response schema"
            }
            (Self::InvalidArgument, _) => "check that the endpoint runs a container of this release",
            (Self::FailedPrecondition, Prediction) => "check the endpoint's state: gcloud ai endpoints describe",
            (Self::FailedPrecondition, _) => "check that the project may use this model",
            (Self::PromptBlocked | Self::AnswerBlocked, _) => {
                "the layers keep the engine's names; nothing is to be done but using another picture"
            }
            (Self::Truncated, _) => "use fewer layers, or set GEMINI_MODEL to a model with longer answers",
            (Self::Malformed, Prediction) => "check that the endpoint runs a container of this release",
            (Self::Malformed, _) => "try again; if it stays so, set GEMINI_MODEL to another model",
            (Self::Unreachable | Self::Network, _) => {
                "check the network, its proxy, and the names in VERTEX_AI_LOCATION and GEMINI_LOCATION"
            }
            (Self::Timeout, Gemini | VertexGemini) => "raise ANALYZER_TIMEOUT_S, or use a faster model",
            (Self::Timeout, _) => "try again; raise JOB_TIMEOUT_S if pictures really take that long",
            (Self::Unknown, _) => "look at the message; if it does not help, please report it",
        }
    }
}

/// What went wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub service: Service,
    pub kind: Kind,
    /// The service's own words.
    pub detail: String,
    /// When the service says that another try makes sense.
    pub retry_after: Option<Duration>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, kind, detail, .. } = self;
        write!(f, "{} {}", service.name(), kind.problem())?;
        if !detail.is_empty() {
            write!(f, " ({detail})")?;
        }
        write!(f, "; {}", kind.advice(*service))
    }
}

impl Error {
    /// Whether the service may work on the request although this came back. `false`: it surely does not.
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

/// Longer messages are cut: some repeat the whole request.
const DETAIL_CHARS: usize = 300;

impl Error {
    pub(crate) fn new(service: Service, kind: Kind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let text = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let cut: String = text.chars().take(DETAIL_CHARS).collect();
        let detail = if cut.len() < text.len() { cut + "..." } else { cut };
        Self { service, kind, detail, retry_after: None }
    }

    /// Reads an answer with a status that is no success.
    pub(crate) fn from_answer(service: Service, status: u16, body: &[u8]) -> Self {
        let parsed = parse(body);
        let status_name = parsed.status.as_deref().unwrap_or_default();
        let kind = kind_of(status, status_name, &parsed);
        let detail = if parsed.message.is_empty() { plain(body) } else { parsed.message.clone() };
        let shown = if status_name.is_empty() { status.to_string() } else { format!("{status} {status_name}") };
        let mut error = Self::new(service, kind, format!("{shown}: {detail}"));
        error.retry_after = parsed.retry_delay;
        error
    }
}

#[cfg(test)]
mod tests;
