//! Answers written by hand after Google's public documentation, and what each has to become.

mod documented;

use serde_json::json;

use self::documented::{Case, body, documented};
use super::*;

#[test]
fn every_documented_error_says_what_it_is() {
    for Case { service, status, body, kind } in documented() {
        let error = Error::from_answer(service, status, body.as_bytes());
        assert_eq!(error.kind, kind, "{service:?} {status} {body}");
        let text = error.to_string();
        assert!(text.starts_with(service.name()), "{text}");
        assert_eq!(error.status, Some(status));
        assert!(text.contains(&status.to_string()) && !text.contains('<'), "{text}");
        assert!(text.chars().count() < 600, "{text}");
    }
}

#[test]
fn what_passes_is_tried_again_and_nothing_else() {
    for Case { service, status, body, kind, .. } in documented() {
        let passes = matches!(status, 429 | 500..=599) && kind != Kind::DailyQuota && status != 501;
        let error = Error::from_answer(service, status, body.as_bytes());
        assert_eq!(error.kind.is_transient(), passes, "{service:?} {status} {body}");
    }
}

#[test]
fn only_refusals_say_that_nothing_was_begun() {
    for Case { service, status, body, kind, .. } in documented() {
        let error = Error::from_answer(service, status, body.as_bytes());
        let open = matches!(status, 408 | 409 | 499 | 500 | 502..=599) || kind == Kind::Unknown;
        assert_eq!(error.may_have_begun(), open, "{service:?} {status} {body}");
    }
    for (service, kind, open) in [
        (Service::Prediction, Kind::Timeout, true),
        (Service::Prediction, Kind::Network, true),
        (Service::Prediction, Kind::Malformed, true),
        (Service::Prediction, Kind::Unreachable, false),
        (Service::Prediction, Kind::TooLarge, false),
        (Service::Auth, Kind::Network, false),
    ] {
        assert_eq!(Error::new(service, kind, "").may_have_begun(), open, "{service:?} {kind:?}");
    }
}

#[test]
fn the_wait_that_a_service_asks_for_is_read() {
    let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s" });
    let error = Error::from_answer(Service::Gemini, 429, body(429, "RESOURCE_EXHAUSTED", "slow", &[retry]).as_bytes());
    assert_eq!(error.retry_after, Some(Duration::from_millis(22_500)));
}

#[test]
fn odd_bodies_are_read_without_harm() {
    let bodies: [&[u8]; 8] =
        [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"{\"error\": {}}", b"{\"error\": 7}", b"<<<>>>"];
    for bytes in bodies {
        let error = Error::from_answer(Service::Prediction, 500, bytes);
        assert_eq!(error.kind, Kind::Internal);
        assert!(error.to_string().contains("500"));
    }
    let long = "x".repeat(1 << 20);
    assert!(Error::from_answer(Service::Storage, 418, long.as_bytes()).to_string().len() < 600);
}
