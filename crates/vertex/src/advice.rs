//! Advice on errors of Google's services, in terms of the settings of this program.

use google::{Error, Kind, Service};

/// The error and what to do about it, in one sentence.
pub(crate) fn with_advice(error: &Error) -> String {
    format!("{error}; {}", advice(error.kind, error.service))
}

fn advice(kind: Kind, service: Service) -> &'static str {
    use Service::{Auth, Gemini, Prediction, Storage, VertexGemini};
    match (kind, service) {
        (Kind::Quota, Prediction) => {
            "wait, add replicas or endpoints, or raise the quota of Vertex AI at IAM & Admin > Quotas"
        }
        (Kind::Quota, Gemini) => "wait a minute, or raise the rate limit of the key's project in Google AI Studio",
        (Kind::Quota, _) => "wait a minute, or raise the quota at IAM & Admin > Quotas",
        (Kind::DailyQuota, _) => {
            "wait until tomorrow, enable billing, or set GEMINI_MODEL to a model with a larger daily quota"
        }
        (Kind::Unavailable | Kind::Internal, _) => {
            "try again in a few minutes; https://status.cloud.google.com lists known outages"
        }
        (Kind::Deadline, Prediction) => {
            "use a dedicated endpoint (VERTEX_ENDPOINT_DOMAIN), which allows up to an hour; shared ones allow 60 s"
        }
        (Kind::Deadline, _) => "try again with a smaller picture or fewer layers",
        (Kind::Aborted | Kind::Cancelled, _) => "try again",
        (Kind::Unimplemented, Gemini | VertexGemini) => "set GEMINI_MODEL to a model that reads pictures",
        (Kind::Unimplemented, _) => "set VERTEX_PREDICT_METHOD to the other of predict and rawPredict",
        (Kind::KeyInvalid, _) | (Kind::Unauthenticated, Gemini) => {
            "set GEMINI_API_KEY to a key from https://aistudio.google.com/apikey"
        }
        (Kind::KeyRestricted, _) => {
            "allow the Generative Language API and this machine's address for the key at APIs & Services > Credentials"
        }
        (Kind::Unauthenticated | Kind::Credentials, _) => {
            "set GOOGLE_APPLICATION_CREDENTIALS to the key file of an enabled service account, or run where workload \
             identity or the metadata server provides credentials; check this machine's clock"
        }
        (Kind::Scope, _) => "give the machine or pod the scope https://www.googleapis.com/auth/cloud-platform",
        (Kind::PermissionDenied, Gemini) => "check that the key's project may use the Gemini API and this model",
        (Kind::PermissionDenied, Storage) => {
            "grant roles/storage.objectUser on the bucket to this service account and to that of the endpoint"
        }
        (Kind::PermissionDenied, _) => "grant the service account roles/aiplatform.user in GOOGLE_CLOUD_PROJECT",
        (Kind::Policy, _) => "ask the administrator of the organization about VPC Service Controls and its policies",
        (Kind::ServiceDisabled, Gemini) => "enable it: gcloud services enable generativelanguage.googleapis.com",
        (Kind::ServiceDisabled, Storage) => "enable it: gcloud services enable storage.googleapis.com",
        (Kind::ServiceDisabled, _) => "enable it: gcloud services enable aiplatform.googleapis.com",
        (Kind::BillingDisabled, _) => "enable billing for the project at https://console.cloud.google.com/billing",
        (Kind::Project, _) => "check GOOGLE_CLOUD_PROJECT, and that the project is active",
        (Kind::Location, Gemini) => {
            "use Gemini on Vertex AI instead: leave GEMINI_API_KEY empty and set GOOGLE_CLOUD_PROJECT"
        }
        (Kind::Location, VertexGemini) => "set GEMINI_LOCATION to a region that has the model, or to global",
        (Kind::Location, _) => "set VERTEX_AI_LOCATION to the endpoint's region",
        (Kind::PlanRequired, _) => "set up billing for the key's project in Google AI Studio, or use Vertex AI",
        (Kind::NotFound, Gemini) => "set GEMINI_MODEL to a model of https://ai.google.dev/gemini-api/docs/models",
        (Kind::NotFound, VertexGemini) => "check GEMINI_MODEL, and that GEMINI_LOCATION has this model",
        (Kind::NotFound, Prediction) => {
            "check GOOGLE_CLOUD_PROJECT, VERTEX_AI_LOCATION and VERTEX_ENDPOINT_ID (gcloud ai endpoints list)"
        }
        (Kind::NotFound, Storage) => "check the names of the bucket and the object (gcloud storage ls)",
        (Kind::NotFound, Auth) => "check GOOGLE_APPLICATION_CREDENTIALS",
        (Kind::NothingDeployed, _) => "deploy the model: gcloud ai endpoints deploy-model, see docs/vertex.md",
        (Kind::TooLarge, Prediction) => {
            "set VERTEX_STAGING_URI to a gs:// folder for large pictures, or use a dedicated endpoint"
        }
        (Kind::TooLarge, _) => "use a smaller picture or fewer layers",
        (Kind::InvalidArgument, Gemini | VertexGemini) => {
            "set GEMINI_MODEL to a model that reads pictures and supports a response schema"
        }
        (Kind::InvalidArgument, _) | (Kind::Malformed, Prediction) => {
            "check that the endpoint runs a container of this release"
        }
        (Kind::FailedPrecondition, Prediction) => "check the endpoint's state: gcloud ai endpoints describe",
        (Kind::FailedPrecondition, _) => "check that the project may use this model",
        (Kind::PromptBlocked | Kind::AnswerBlocked, _) => {
            "the layers keep the engine's names; another picture may be accepted"
        }
        (Kind::Truncated, _) => "use fewer layers, or set GEMINI_MODEL to a model with longer answers",
        (Kind::Malformed, _) => "try again; if it happens again, set GEMINI_MODEL to another model",
        (Kind::Unreachable | Kind::Network, _) => {
            "check the network, its proxy, and the names in VERTEX_AI_LOCATION and GEMINI_LOCATION"
        }
        (Kind::Timeout, Gemini | VertexGemini) => "raise ANALYZER_TIMEOUT_S, or use a faster model",
        (Kind::Timeout, _) => "try again; raise JOB_TIMEOUT_S if pictures regularly take that long",
        (Kind::Unknown, _) => "if the message does not help, please report this bug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(service: Service, kind: Kind) -> Error {
        Error { service, kind, status: None, request: None, detail: "why".to_owned(), retry_after: None }
    }

    #[test]
    fn the_advice_names_what_to_change() {
        use Service::{Auth, Gemini, Prediction, Storage, VertexGemini};
        for (service, kind, word) in [
            (Gemini, Kind::InvalidArgument, "GEMINI_MODEL"),
            (Gemini, Kind::PlanRequired, "billing"),
            (Gemini, Kind::Location, "Vertex AI"),
            (Gemini, Kind::KeyInvalid, "GEMINI_API_KEY"),
            (Gemini, Kind::KeyRestricted, "Generative Language API"),
            (Gemini, Kind::KeyRestricted, "address"),
            (Gemini, Kind::PermissionDenied, "project"),
            (Gemini, Kind::ServiceDisabled, "generativelanguage.googleapis.com"),
            (Gemini, Kind::NotFound, "GEMINI_MODEL"),
            (Gemini, Kind::TooLarge, "smaller"),
            (Gemini, Kind::TooLarge, "fewer layers"),
            (Gemini, Kind::Quota, "rate limit"),
            (Gemini, Kind::DailyQuota, "tomorrow"),
            (Gemini, Kind::Internal, "try again"),
            (Gemini, Kind::Unavailable, "try again"),
            (Gemini, Kind::Deadline, "smaller"),
            (VertexGemini, Kind::InvalidArgument, "schema"),
            (VertexGemini, Kind::FailedPrecondition, "project"),
            (VertexGemini, Kind::Unauthenticated, "GOOGLE_APPLICATION_CREDENTIALS"),
            (VertexGemini, Kind::PermissionDenied, "roles/aiplatform.user"),
            (VertexGemini, Kind::Scope, "cloud-platform"),
            (VertexGemini, Kind::BillingDisabled, "billing"),
            (VertexGemini, Kind::ServiceDisabled, "aiplatform.googleapis.com"),
            (VertexGemini, Kind::Project, "GOOGLE_CLOUD_PROJECT"),
            (VertexGemini, Kind::Policy, "administrator"),
            (VertexGemini, Kind::NotFound, "GEMINI_LOCATION"),
            (VertexGemini, Kind::Location, "GEMINI_LOCATION"),
            (VertexGemini, Kind::Quota, "quota"),
            (VertexGemini, Kind::Cancelled, "try again"),
            (VertexGemini, Kind::Internal, "status.cloud.google.com"),
            (VertexGemini, Kind::Unimplemented, "GEMINI_MODEL"),
            (VertexGemini, Kind::Unavailable, "try again"),
            (Prediction, Kind::TooLarge, "VERTEX_STAGING_URI"),
            (Prediction, Kind::NothingDeployed, "deploy-model"),
            (Prediction, Kind::FailedPrecondition, "describe"),
            (Prediction, Kind::PermissionDenied, "roles/aiplatform.user"),
            (Prediction, Kind::NotFound, "VERTEX_ENDPOINT_ID"),
            (Prediction, Kind::Quota, "replicas"),
            (Prediction, Kind::Unavailable, "try again"),
            (Prediction, Kind::Deadline, "dedicated endpoint"),
            (Prediction, Kind::Unimplemented, "VERTEX_PREDICT_METHOD"),
            (Storage, Kind::Unauthenticated, "GOOGLE_APPLICATION_CREDENTIALS"),
            (Storage, Kind::PermissionDenied, "roles/storage.objectUser"),
            (Storage, Kind::BillingDisabled, "billing"),
            (Storage, Kind::NotFound, "bucket"),
            (Storage, Kind::FailedPrecondition, "check"),
            (Storage, Kind::Quota, "wait"),
            (Storage, Kind::Unavailable, "try again"),
            (Auth, Kind::Credentials, "GOOGLE_APPLICATION_CREDENTIALS"),
        ] {
            let text = with_advice(&error(service, kind));
            assert!(text.starts_with(service.name()) && text.contains("(why); "), "{text}");
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }

    #[test]
    fn every_kind_has_advice_for_every_service() {
        use Kind::*;
        let kinds = [
            Quota,
            DailyQuota,
            Unavailable,
            Internal,
            Deadline,
            Aborted,
            Cancelled,
            Unimplemented,
            KeyInvalid,
            KeyRestricted,
            Unauthenticated,
            Credentials,
            Scope,
            PermissionDenied,
            Policy,
            ServiceDisabled,
            BillingDisabled,
            Project,
            Location,
            PlanRequired,
            NotFound,
            NothingDeployed,
            TooLarge,
            InvalidArgument,
            FailedPrecondition,
            PromptBlocked,
            AnswerBlocked,
            Truncated,
            Malformed,
            Unreachable,
            Network,
            Timeout,
            Kind::Unknown,
        ];
        for kind in kinds {
            for service in
                [Service::Auth, Service::Gemini, Service::VertexGemini, Service::Prediction, Service::Storage]
            {
                let text = with_advice(&error(service, kind));
                assert!(text.contains("; ") && !text.ends_with("; "), "{text}");
            }
        }
    }
}
