//! A body for each documented error.

use serde_json::{Value, json};

use super::super::{Kind, Service};

/// An error body in Google's form.
pub(super) fn body(code: u16, status: &str, message: &str, details: &[Value]) -> String {
    json!({ "error": { "code": code, "message": message, "status": status, "details": details } }).to_string()
}

fn info(reason: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": { "service": "aiplatform.googleapis.com", "consumer": "projects/123" }
    })
}

fn quota(id: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": id,
            "quotaDimensions": { "location": "global", "model": "gemini-2.5-flash" },
            "quotaValue": "250"
        }]
    })
}

pub(super) struct Case {
    pub(super) service: Service,
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) kind: Kind,
    /// A word that the advice has to have.
    pub(super) advice: &'static str,
}

fn case(service: Service, status: u16, body: String, kind: Kind, advice: &'static str) -> Case {
    Case { service, status, body, kind, advice }
}

/// One line for each error that is documented for Gemini with a key, Gemini on Vertex AI, prediction and storage.
pub(super) fn documented() -> Vec<Case> {
    use Service::{Gemini, Prediction, Storage, VertexGemini};
    let b = body;
    vec![
        // The Gemini API's troubleshooting guide.
        case(
            Gemini,
            400,
            b(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified", &[]),
            Kind::InvalidArgument,
            "GEMINI_MODEL",
        ),
        case(
            Gemini,
            400,
            b(
                400,
                "FAILED_PRECONDITION",
                "Gemini API free tier is not available in your country. Please enable billing on your project in Google \
                 AI Studio.",
                &[],
            ),
            Kind::PlanRequired,
            "billing",
        ),
        case(
            Gemini,
            400,
            b(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", &[]),
            Kind::Location,
            "Vertex AI",
        ),
        case(
            Gemini,
            400,
            b(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                &[info("API_KEY_INVALID"), json!({ "@type": "type.googleapis.com/google.rpc.LocalizedMessage" })],
            ),
            Kind::KeyInvalid,
            "GEMINI_API_KEY",
        ),
        case(
            Gemini,
            400,
            b(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", &[]),
            Kind::KeyInvalid,
            "GEMINI_API_KEY",
        ),
        case(
            Gemini,
            403,
            b(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.", &[]),
            Kind::KeyInvalid,
            "GEMINI_API_KEY",
        ),
        case(
            Gemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Requests to this API generativelanguage.googleapis.com are blocked.",
                &[info("API_KEY_SERVICE_BLOCKED")],
            ),
            Kind::KeyRestricted,
            "Generative Language API",
        ),
        case(
            Gemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "The provided API key has an IP address restriction.",
                &[info("API_KEY_IP_ADDRESS_BLOCKED")],
            ),
            Kind::KeyRestricted,
            "address",
        ),
        case(
            Gemini,
            403,
            b(403, "PERMISSION_DENIED", "Your API key doesn't have the required permissions.", &[]),
            Kind::PermissionDenied,
            "project",
        ),
        case(
            Gemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Generative Language API has not been used in project 123 before or it is disabled.",
                &[info("SERVICE_DISABLED")],
            ),
            Kind::ServiceDisabled,
            "generativelanguage.googleapis.com",
        ),
        case(
            Gemini,
            404,
            b(
                404,
                "NOT_FOUND",
                "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent.",
                &[],
            ),
            Kind::NotFound,
            "GEMINI_MODEL",
        ),
        case(
            Gemini,
            413,
            b(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", &[]),
            Kind::TooLarge,
            "smaller",
        ),
        case(
            Gemini,
            400,
            b(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
                &[],
            ),
            Kind::TooLarge,
            "fewer layers",
        ),
        case(
            Gemini,
            429,
            b(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                &[
                    quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
                    json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s" }),
                ],
            ),
            Kind::Quota,
            "rate limit",
        ),
        case(
            Gemini,
            429,
            b(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                &[quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")],
            ),
            Kind::DailyQuota,
            "tomorrow",
        ),
        case(
            Gemini,
            500,
            b(500, "INTERNAL", "An internal error has occurred. Please retry.", &[]),
            Kind::Internal,
            "try again",
        ),
        case(
            Gemini,
            503,
            b(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", &[]),
            Kind::Unavailable,
            "try again",
        ),
        case(
            Gemini,
            504,
            b(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again.", &[]),
            Kind::Deadline,
            "smaller",
        ),
        // Generative AI on Vertex AI inference API errors.
        case(
            VertexGemini,
            400,
            b(400, "INVALID_ARGUMENT", "Unable to submit request because it has an invalid responseSchema.", &[]),
            Kind::InvalidArgument,
            "schema",
        ),
        case(
            VertexGemini,
            400,
            b(400, "FAILED_PRECONDITION", "The model needs an allowlist entry for this project.", &[]),
            Kind::FailedPrecondition,
            "project",
        ),
        case(
            VertexGemini,
            401,
            b(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                &[info("ACCESS_TOKEN_EXPIRED")],
            ),
            Kind::Unauthenticated,
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        case(
            VertexGemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Permission 'aiplatform.endpoints.predict' denied on resource (or it may not exist).",
                &[info("IAM_PERMISSION_DENIED")],
            ),
            Kind::PermissionDenied,
            "roles/aiplatform.user",
        ),
        case(
            VertexGemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Request had insufficient authentication scopes.",
                &[info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")],
            ),
            Kind::Scope,
            "cloud-platform",
        ),
        case(
            VertexGemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "This API method requires billing to be enabled. Please enable billing on project #123.",
                &[info("BILLING_DISABLED")],
            ),
            Kind::BillingDisabled,
            "billing",
        ),
        case(
            VertexGemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Vertex AI API has not been used in project 123 before or it is disabled.",
                &[info("SERVICE_DISABLED")],
            ),
            Kind::ServiceDisabled,
            "aiplatform.googleapis.com",
        ),
        case(
            VertexGemini,
            403,
            b(403, "PERMISSION_DENIED", "Project 'projects/nope' not found or deleted.", &[info("CONSUMER_INVALID")]),
            Kind::Project,
            "GOOGLE_CLOUD_PROJECT",
        ),
        case(
            VertexGemini,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: abc",
                &[info("SECURITY_POLICY_VIOLATED")],
            ),
            Kind::Policy,
            "administrator",
        ),
        case(
            VertexGemini,
            404,
            b(
                404,
                "NOT_FOUND",
                "Publisher Model `projects/p/locations/us-central1/publishers/google/models/gemini-9` was not found or \
                 your project does not have access to it.",
                &[],
            ),
            Kind::NotFound,
            "GEMINI_LOCATION",
        ),
        case(
            VertexGemini,
            400,
            b(400, "FAILED_PRECONDITION", "The model is not available in region asia-northeast9.", &[]),
            Kind::Location,
            "GEMINI_LOCATION",
        ),
        case(
            VertexGemini,
            429,
            b(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", &[]),
            Kind::Quota,
            "quota",
        ),
        case(
            VertexGemini,
            499,
            b(499, "CANCELLED", "The operation was cancelled.", &[]),
            Kind::Cancelled,
            "try again",
        ),
        case(VertexGemini, 500, b(500, "UNKNOWN", "Unknown error.", &[]), Kind::Internal, "status.cloud.google.com"),
        case(
            VertexGemini,
            501,
            b(501, "UNIMPLEMENTED", "Operation is not implemented.", &[]),
            Kind::Unimplemented,
            "GEMINI_MODEL",
        ),
        // Streaming methods put the error into a list.
        case(
            VertexGemini,
            503,
            format!("[{}]", b(503, "UNAVAILABLE", "The service is currently unavailable.", &[])),
            Kind::Unavailable,
            "try again",
        ),
        // Prediction.
        case(
            Prediction,
            400,
            b(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 1572864 bytes.", &[]),
            Kind::TooLarge,
            "VERTEX_STAGING_URI",
        ),
        case(
            Prediction,
            413,
            "<html><title>413 Request Entity Too Large</title></html>".to_owned(),
            Kind::TooLarge,
            "VERTEX_STAGING_URI",
        ),
        case(
            Prediction,
            400,
            b(400, "FAILED_PRECONDITION", "Endpoint projects/1/endpoints/2 has no deployed model.", &[]),
            Kind::NothingDeployed,
            "deploy-model",
        ),
        case(
            Prediction,
            400,
            b(400, "FAILED_PRECONDITION", "The endpoint is being updated.", &[]),
            Kind::FailedPrecondition,
            "describe",
        ),
        case(
            Prediction,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Permission 'aiplatform.endpoints.predict' denied.",
                &[info("IAM_PERMISSION_DENIED")],
            ),
            Kind::PermissionDenied,
            "roles/aiplatform.user",
        ),
        case(
            Prediction,
            404,
            b(404, "NOT_FOUND", "Endpoint projects/1/locations/us-central1/endpoints/2 is not found.", &[]),
            Kind::NotFound,
            "VERTEX_ENDPOINT_ID",
        ),
        case(
            Prediction,
            429,
            r#"{"error": {"code": 429, "message": "this container works on another job", "status": "RESOURCE_EXHAUSTED"}}"#
                .to_owned(),
            Kind::Quota,
            "replicas",
        ),
        case(
            Prediction,
            503,
            "upstream connect error or disconnect/reset before headers".to_owned(),
            Kind::Unavailable,
            "try again",
        ),
        case(Prediction, 502, "<html><h1>Bad Gateway</h1></html>".to_owned(), Kind::Unavailable, "try again"),
        case(Prediction, 504, "upstream request timeout".to_owned(), Kind::Deadline, "dedicated endpoint"),
        case(
            Prediction,
            501,
            b(501, "UNIMPLEMENTED", "rawPredict is not supported", &[]),
            Kind::Unimplemented,
            "VERTEX_PREDICT_METHOD",
        ),
        // Cloud Storage.
        case(
            Storage,
            401,
            r#"{"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"domain": "global", "reason": "authError"}]}}"#
                .to_owned(),
            Kind::Unauthenticated,
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        case(
            Storage,
            403,
            r#"{"error": {"code": 403, "message": "x@y does not have storage.objects.create access to the Google Cloud Storage bucket.", "errors": [{"domain": "global", "reason": "forbidden"}]}}"#
                .to_owned(),
            Kind::PermissionDenied,
            "roles/storage.objectUser",
        ),
        case(
            Storage,
            403,
            r#"{"error": {"code": 403, "message": "The account for the specified project has been disabled.", "errors": [{"domain": "global", "reason": "accountDisabled"}]}}"#
                .to_owned(),
            Kind::BillingDisabled,
            "billing",
        ),
        case(Storage, 404, "Not Found".to_owned(), Kind::NotFound, "bucket"),
        case(
            Storage,
            412,
            b(412, "", "At least one of the pre-conditions you specified did not hold.", &[]),
            Kind::FailedPrecondition,
            "check",
        ),
        case(
            Storage,
            429,
            r#"{"error": {"code": 429, "message": "The rate limit was exceeded.", "errors": [{"reason": "rateLimitExceeded"}]}}"#
                .to_owned(),
            Kind::Quota,
            "wait",
        ),
        case(Storage, 503, r#"{"error": "Service Unavailable"}"#.to_owned(), Kind::Unavailable, "try again"),
    ]
}
