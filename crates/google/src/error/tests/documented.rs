//! A body for each documented error.

mod gemini;
mod platform;

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
}

fn case(service: Service, status: u16, body: String, kind: Kind) -> Case {
    Case { service, status, body, kind }
}

/// One for each error that is documented for Gemini with a key, Gemini on Vertex AI, prediction and storage.
pub(super) fn documented() -> Vec<Case> {
    gemini::with_a_key().into_iter().chain(gemini::on_vertex()).chain(platform::cases()).collect()
}
