//! Parses the bodies of error answers: JSON of most services, XML of Cloud Storage, HTML of load balancers.

use std::time::Duration;

use serde::Deserialize;

use super::Kind;

/// An error body, flattened.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) status: Option<String>,
    pub(super) message: String,
    reasons: Vec<String>,
    quota_ids: Vec<String>,
    /// When to retry.
    pub(super) retry_delay: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    One(Wrapped),
    /// Streaming methods wrap it in a list.
    Many(Vec<Wrapped>),
}

#[derive(Deserialize)]
struct Wrapped {
    error: Status,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    Full(FullStatus),
    /// From token endpoints and some containers.
    Text(String),
}

#[derive(Deserialize)]
struct FullStatus {
    #[serde(default)]
    message: String,
    status: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
    /// The older form, in Cloud Storage's JSON API.
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
    #[serde(default)]
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Violation {
    quota_id: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Parsed {
    let mut parsed = parse_json(body).unwrap_or_else(|| parse_xml(&String::from_utf8_lossy(body)));
    if parsed.message.is_empty() {
        parsed.message = without_tags(&String::from_utf8_lossy(body));
    }
    parsed
}

fn parse_json(body: &[u8]) -> Option<Parsed> {
    let wrapped = match serde_json::from_slice::<Body>(body).ok()? {
        Body::One(wrapped) => wrapped,
        Body::Many(list) => list.into_iter().next()?,
    };
    Some(match wrapped.error {
        Status::Text(message) => Parsed { message, ..Parsed::default() },
        Status::Full(full) => {
            let mut parsed = Parsed { status: full.status, message: full.message, ..Parsed::default() };
            for detail in full.details.into_iter().chain(full.errors) {
                parsed.reasons.extend(detail.reason);
                parsed.quota_ids.extend(detail.violations.into_iter().filter_map(|violation| violation.quota_id));
                let delay = detail.retry_delay.as_deref().and_then(|delay| delay.strip_suffix('s'));
                let delay = delay.and_then(|seconds| seconds.parse().ok());
                parsed.retry_delay =
                    parsed.retry_delay.or(delay.and_then(|delay| Duration::try_from_secs_f64(delay).ok()));
            }
            parsed
        }
    })
}

/// Cloud Storage's XML: `<Error><Code>NoSuchKey</Code><Message>...</Message><Details>...</Details></Error>`.
fn parse_xml(text: &str) -> Parsed {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (content, _) = rest.split_once(&format!("</{name}>"))?;
        let unescaped = content.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        Some(unescaped.replace("&#39;", "'").replace("&apos;", "'").replace("&amp;", "&"))
    };
    let Some(code) = element("Code") else { return Parsed::default() };
    let message: Vec<_> = [element("Message"), element("Details")].into_iter().flatten().collect();
    Parsed { message: format!("{code}: {}", message.join(" ")), reasons: vec![code], ..Parsed::default() }
}

/// The text of an HTML page.
fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    out
}

/// `google.api.ErrorReason`, and the reasons and codes of Cloud Storage.
fn kind_of_reason(reason: &str) -> Option<Kind> {
    Some(match reason {
        "SERVICE_DISABLED" | "accessNotConfigured" => Kind::ServiceDisabled,
        "BILLING_DISABLED" | "accountDisabled" | "AccountProblem" | "UserProjectAccountProblem" => {
            Kind::BillingDisabled
        }
        "API_KEY_INVALID" | "keyInvalid" => Kind::KeyInvalid,
        "API_KEY_SERVICE_BLOCKED"
        | "API_KEY_HTTP_REFERRER_BLOCKED"
        | "API_KEY_IP_ADDRESS_BLOCKED"
        | "API_KEY_ANDROID_APP_BLOCKED"
        | "API_KEY_IOS_APP_BLOCKED" => Kind::KeyRestricted,
        "RATE_LIMIT_EXCEEDED" | "RESOURCE_QUOTA_EXCEEDED" | "rateLimitExceeded" | "SlowDown" => Kind::Quota,
        "ACCESS_TOKEN_EXPIRED"
        | "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        | "CREDENTIALS_MISSING"
        | "SESSION_COOKIE_INVALID"
        | "ACCOUNT_STATE_INVALID"
        | "authError"
        | "AuthenticationRequired"
        | "ExpiredToken"
        | "InvalidSecurity"
        | "required" => Kind::Unauthenticated,
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => Kind::Scope,
        "CONSUMER_INVALID" | "CONSUMER_SUSPENDED" | "USER_PROJECT_DENIED" => Kind::Project,
        "IAM_PERMISSION_DENIED" => Kind::PermissionDenied,
        "SECURITY_POLICY_VIOLATED"
        | "SecurityPolicyViolated"
        | "ORG_RESTRICTION_VIOLATION"
        | "LOCATION_ORG_POLICY_VIOLATED" => Kind::Policy,
        "LOCATION_POLICY_VIOLATED" | "LOCATION_TAX_POLICY_VIOLATED" => Kind::Location,
        "EntityTooLarge" => Kind::TooLarge,
        _ => return None,
    })
}

/// Causes that only the message distinguishes, because they share a status.
fn kind_of_words(message: &str) -> Option<Kind> {
    let message = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["api key not valid", "api key not found", "api key expired", "reported as leaked"]) {
        return Some(Kind::KeyInvalid);
    }
    if has(&["user location is not supported", "not available in region", "not supported in region"]) {
        return Some(Kind::Location);
    }
    if has(&["free tier is not available", "enable billing on your project in google ai studio"]) {
        return Some(Kind::PlanRequired);
    }
    if has(&["requires billing to be enabled", "billing account", "billing disabled"]) {
        return Some(Kind::BillingDisabled);
    }
    if has(&["payload size exceeds", "request entity too large", "exceeds the maximum number of tokens"])
        || (message.contains("exceeds") && has(&["size limit", "token count", "maximum size"]))
    {
        return Some(Kind::TooLarge);
    }
    if has(&["no deployed model", "has no deployed", "doesn't have traffic_split", "traffic split is empty"]) {
        return Some(Kind::NothingDeployed);
    }
    if has(&["has not been used in project", "it is disabled"]) {
        return Some(Kind::ServiceDisabled);
    }
    if has(&["prohibited by organization's policy", "org policy", "organization policy"]) {
        return Some(Kind::Policy);
    }
    None
}

pub(super) fn kind_of(status: u16, name: &str, parsed: &Parsed) -> Kind {
    let is_quota = status == 429 || name == "RESOURCE_EXHAUSTED";
    if is_quota && parsed.quota_ids.iter().any(|id| id.contains("PerDay")) {
        return Kind::DailyQuota;
    }
    if let Some(kind) = parsed.reasons.iter().find_map(|reason| kind_of_reason(reason)) {
        return kind;
    }
    // The message of a quota error may mention billing.
    if is_quota {
        return Kind::Quota;
    }
    if (400..500).contains(&status)
        && let Some(kind) = kind_of_words(&parsed.message)
    {
        return kind;
    }
    match name {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => Kind::InvalidArgument,
        "FAILED_PRECONDITION" => Kind::FailedPrecondition,
        "UNAUTHENTICATED" => Kind::Unauthenticated,
        "PERMISSION_DENIED" => Kind::PermissionDenied,
        "NOT_FOUND" => Kind::NotFound,
        "ABORTED" | "ALREADY_EXISTS" => Kind::Aborted,
        "CANCELLED" => Kind::Cancelled,
        "UNKNOWN" | "INTERNAL" | "DATA_LOSS" => Kind::Internal,
        "UNIMPLEMENTED" => Kind::Unimplemented,
        "UNAVAILABLE" => Kind::Unavailable,
        "DEADLINE_EXCEEDED" => Kind::Deadline,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        400 | 405 | 411 | 422 => Kind::InvalidArgument,
        401 => Kind::Unauthenticated,
        403 => Kind::PermissionDenied,
        404 | 410 => Kind::NotFound,
        408 | 504 => Kind::Deadline,
        409 => Kind::Aborted,
        412 => Kind::FailedPrecondition,
        413 => Kind::TooLarge,
        499 => Kind::Cancelled,
        501 => Kind::Unimplemented,
        502 | 503 => Kind::Unavailable,
        500..=599 => Kind::Internal,
        _ => Kind::Unknown,
    }
}
