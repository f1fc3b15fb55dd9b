//! Prediction and Cloud Storage.

use super::{Case, body as b, case, info};
use crate::error::Kind;
use crate::error::Service::{Prediction, Storage};

pub(super) fn cases() -> Vec<Case> {
    vec![
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
