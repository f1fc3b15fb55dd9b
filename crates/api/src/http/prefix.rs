//! The path under which a proxy shows the service, such as `/layers` of `https://example.org/layers/`.
//!
//! The page and the API's description name other addresses relative to their own. What is told as a path (links and
//! `Location`) begins with this one, as `BASE_PATH` or the proxy's `X-Forwarded-Prefix` says.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::any;
use tower::ServiceExt;

const HEADER: &str = "x-forwarded-prefix";

/// More than any proxy has.
const MAX_BYTES: usize = 200;

tokio::task_local! {
    /// Of the request that this task answers. Links are made far below the handlers, in conversions that see no request.
    static PREFIX: Arc<str>;
}

/// The prefix of the request that is answered; empty outside of one.
pub(crate) fn current() -> Arc<str> {
    PREFIX.try_with(Arc::clone).unwrap_or_default()
}

/// A path such as `/layers` without the slash at its end; `None` for what is none, such as `//example.org`, which would
/// lead to another host.
pub(crate) fn parse(text: &str) -> Option<&str> {
    let path = text.trim().trim_end_matches('/');
    let is_path = path.is_empty() || (path.starts_with('/') && !path.contains("//"));
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    (is_path && is_plain && path.len() <= MAX_BYTES).then_some(path)
}

/// Makes [`current`] known to what answers the request.
pub(crate) async fn scope(State(base): State<Arc<str>>, request: Request, next: Next) -> Response {
    let prefix = forwarded(request.headers()).map_or(base, Arc::from);
    PREFIX.scope(prefix, next.run(request)).await
}

/// The first of those that a chain of proxies names is what the client sees.
fn forwarded(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(HEADER)?.to_str().ok()?;
    parse(value.split(',').next()?)
}

/// The service under `base` too, for proxies that pass paths on as they are.
pub(crate) fn mount(router: Router, base: &Arc<str>) -> Router {
    if base.is_empty() {
        return router;
    }
    // The page's addresses are relative to its folder.
    let folder = format!("{}/", base.rsplit('/').next().unwrap_or_default());
    let to_folder = move || {
        let folder = folder.clone();
        async move { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, folder)]) }
    };
    let prefix = Arc::clone(base);
    let stripped = router.map_request(move |request| strip(request, &prefix));
    Router::new().route(base, any(to_folder)).fallback_service(stripped)
}

fn strip(mut request: Request<Body>, prefix: &str) -> Request<Body> {
    let path = request.uri().path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
    let rest = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
    if let Some(rest) = rest.and_then(|rest| rest.parse::<PathAndQuery>().ok()) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(rest);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_and_leads_nowhere_else() {
        for (text, prefix) in [
            ("/u", Some("/u")),
            ("/u/", Some("/u")),
            (" /a/b-c.d_e~f/ ", Some("/a/b-c.d_e~f")),
            ("/", Some("")),
            ("", Some("")),
            ("u", None),
            ("//example.org", None),
            ("/u//v", None),
            ("https://example.org/u", None),
            ("/u?x", None),
            ("/<script>", None),
            ("/{id}", None),
        ] {
            assert_eq!(parse(text), prefix, "{text}");
        }
        assert_eq!(parse(&format!("/{}", "x".repeat(200))), None);
    }

    #[test]
    fn paths_lose_the_prefix_as_a_whole_part() {
        for (path, rest) in [
            ("/u/api/jobs?x=1", "/api/jobs?x=1"),
            ("/u/", "/"),
            ("/api/jobs", "/api/jobs"),
            ("/upper/x", "/upper/x"),
            ("/u//x", "//x"),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(strip(request, "/u").uri().to_string(), rest, "{path}");
        }
    }
}
