//! Prediction and Cloud Storage.

use super::{Case, body as b, case, info};
use crate::error::Kind;
use crate::error::Service::{Prediction, Storage};

/// An error body of Cloud Storage's XML API.
fn xml(code: &str, message: &str, details: &str) -> String {
    let details = if details.is_empty() { String::new() } else { format!("<Details>{details}</Details>") };
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>{details}</Error>"
    )
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        // Prediction.
        case(
            Prediction,
            400,
            b(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 1572864 bytes.", &[]),
            Kind::TooLarge),
        case(
            Prediction,
            413,
            "<html><title>413 Request Entity Too Large</title></html>".to_owned(),
            Kind::TooLarge),
        case(
            Prediction,
            400,
            b(400, "FAILED_PRECONDITION", "Endpoint projects/1/endpoints/2 has no deployed model.", &[]),
            Kind::NothingDeployed),
        case(
            Prediction,
            400,
            b(400, "FAILED_PRECONDITION", "The endpoint is being updated.", &[]),
            Kind::FailedPrecondition),
        case(
            Prediction,
            403,
            b(
                403,
                "PERMISSION_DENIED",
                "Permission 'aiplatform.endpoints.predict' denied.",
                &[info("IAM_PERMISSION_DENIED")],
            ),
            Kind::PermissionDenied),
        case(
            Prediction,
            404,
            b(404, "NOT_FOUND", "Endpoint projects/1/locations/us-central1/endpoints/2 is not found.", &[]),
            Kind::NotFound),
        case(
            Prediction,
            429,
            r#"{"error": {"code": 429, "message": "this container works on another job", "status": "RESOURCE_EXHAUSTED"}}"#
                .to_owned(),
            Kind::Quota),
        case(
            Prediction,
            503,
            "upstream connect error or disconnect/reset before headers".to_owned(),
            Kind::Unavailable),
        case(Prediction, 502, "<html><h1>Bad Gateway</h1></html>".to_owned(), Kind::Unavailable),
        case(Prediction, 504, "upstream request timeout".to_owned(), Kind::Deadline),
        case(
            Prediction,
            501,
            b(501, "UNIMPLEMENTED", "rawPredict is not supported", &[]),
            Kind::Unimplemented),
        // Cloud Storage.
        case(
            Storage,
            401,
            r#"{"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"domain": "global", "reason": "authError"}]}}"#
                .to_owned(),
            Kind::Unauthenticated),
        case(
            Storage,
            403,
            r#"{"error": {"code": 403, "message": "x@y does not have storage.objects.create access to the Google Cloud Storage bucket.", "errors": [{"domain": "global", "reason": "forbidden"}]}}"#
                .to_owned(),
            Kind::PermissionDenied),
        case(
            Storage,
            403,
            r#"{"error": {"code": 403, "message": "The account for the specified project has been disabled.", "errors": [{"domain": "global", "reason": "accountDisabled"}]}}"#
                .to_owned(),
            Kind::BillingDisabled),
        case(Storage, 404, "Not Found".to_owned(), Kind::NotFound),
        // Its XML API.
        case(Storage, 404, xml("NoSuchBucket", "The specified bucket does not exist.", ""), Kind::NotFound),
        case(Storage, 412, xml("PreconditionFailed", "A precondition did not hold.", ""), Kind::FailedPrecondition),
        case(
            Storage,
            403,
            xml("AccessDenied", "Access denied.", "x@y does not have storage.objects.get access to &quot;p&quot;."),
            Kind::PermissionDenied,
        ),
        case(Storage, 403, xml("UserProjectAccountProblem", "There is a problem.", ""), Kind::BillingDisabled),
        case(Storage, 401, xml("AuthenticationRequired", "Authentication required.", ""), Kind::Unauthenticated),
        case(Storage, 400, xml("ExpiredToken", "The token has expired.", ""), Kind::Unauthenticated),
        case(Storage, 400, xml("EntityTooLarge", "Your proposed upload is too large.", ""), Kind::TooLarge),
        case(Storage, 429, xml("SlowDown", "Please reduce your request rate.", ""), Kind::Quota),
        case(Storage, 503, xml("ServiceUnavailable", "Please retry.", ""), Kind::Unavailable),
        case(
            Storage,
            412,
            b(412, "", "At least one of the pre-conditions you specified did not hold.", &[]),
            Kind::FailedPrecondition),
        case(
            Storage,
            429,
            r#"{"error": {"code": 429, "message": "The rate limit was exceeded.", "errors": [{"reason": "rateLimitExceeded"}]}}"#
                .to_owned(),
            Kind::Quota),
        case(Storage, 503, r#"{"error": "Service Unavailable"}"#.to_owned(), Kind::Unavailable),
    ]
}
