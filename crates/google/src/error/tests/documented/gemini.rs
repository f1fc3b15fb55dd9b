//! Gemini with a key, and on Vertex AI.

use serde_json::json;

use super::{Case, body as b, case, info, quota};
use crate::error::Kind;
use crate::error::Service::{Gemini, VertexGemini};

pub(super) fn with_a_key() -> Vec<Case> {
    vec![
        // The Gemini API's troubleshooting guide.
        case(
            Gemini,
            400,
            b(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified", &[]),
            Kind::InvalidArgument,
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
        ),
        case(
            Gemini,
            400,
            b(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", &[]),
            Kind::Location,
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
        ),
        case(
            Gemini,
            400,
            b(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", &[]),
            Kind::KeyInvalid,
        ),
        case(
            Gemini,
            403,
            b(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.", &[]),
            Kind::KeyInvalid,
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
        ),
        case(
            Gemini,
            403,
            b(403, "PERMISSION_DENIED", "Your API key doesn't have the required permissions.", &[]),
            Kind::PermissionDenied,
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
        ),
        case(
            Gemini,
            413,
            b(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", &[]),
            Kind::TooLarge,
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
        ),
        case(Gemini, 500, b(500, "INTERNAL", "An internal error has occurred. Please retry.", &[]), Kind::Internal),
        case(
            Gemini,
            503,
            b(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", &[]),
            Kind::Unavailable,
        ),
        case(Gemini, 504, b(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again.", &[]), Kind::Deadline),
    ]
}

pub(super) fn on_vertex() -> Vec<Case> {
    vec![
        // Generative AI on Vertex AI inference API errors.
        case(
            VertexGemini,
            400,
            b(400, "INVALID_ARGUMENT", "Unable to submit request because it has an invalid responseSchema.", &[]),
            Kind::InvalidArgument,
        ),
        case(
            VertexGemini,
            400,
            b(400, "FAILED_PRECONDITION", "The model needs an allowlist entry for this project.", &[]),
            Kind::FailedPrecondition,
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
        ),
        case(
            VertexGemini,
            403,
            b(403, "PERMISSION_DENIED", "Project 'projects/nope' not found or deleted.", &[info("CONSUMER_INVALID")]),
            Kind::Project,
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
        ),
        case(
            VertexGemini,
            400,
            b(400, "FAILED_PRECONDITION", "The model is not available in region asia-northeast9.", &[]),
            Kind::Location,
        ),
        case(
            VertexGemini,
            429,
            b(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", &[]),
            Kind::Quota,
        ),
        case(VertexGemini, 499, b(499, "CANCELLED", "The operation was cancelled.", &[]), Kind::Cancelled),
        case(VertexGemini, 500, b(500, "UNKNOWN", "Unknown error.", &[]), Kind::Internal),
        case(VertexGemini, 501, b(501, "UNIMPLEMENTED", "Operation is not implemented.", &[]), Kind::Unimplemented),
        // Streaming methods put the error into a list.
        case(
            VertexGemini,
            503,
            format!("[{}]", b(503, "UNAVAILABLE", "The service is currently unavailable.", &[])),
            Kind::Unavailable,
        ),
    ]
}
