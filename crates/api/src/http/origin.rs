//! Which web pages may open a WebSocket. CORS does not apply to WebSockets, and the CSRF layer lets them pass because
//! they are GET requests.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};

use super::error::Error;
use crate::config::Config;

/// Accepts a WebSocket from programs, from pages of this service, and from the origins in `CORS_ORIGINS`, like requests
/// that change something.
///
/// # Errors
/// 403 for any other page.
pub(crate) fn check(request: &Request, config: &Config) -> Result<(), Error> {
    let headers = request.headers();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_listed = |origin: &HeaderValue| config.cors_origins.contains(origin) || is_public(config, origin);
    let passes = match headers.get("sec-fetch-site") {
        // Pages cannot set this header, and it is right behind proxies that change the host, too.
        Some(site) if site == "same-origin" || site == "none" => true,
        Some(_) => headers.contains_key(header::ORIGIN) && origins.all(is_listed),
        None => origins.all(|origin| is_listed(origin) || is_host(request, origin.as_bytes())),
    };
    if passes { Ok(()) } else { Err(cross_origin()) }
}

/// Whether an origin is that of `PUBLIC_URL`, whatever host a proxy asks for.
fn is_public(config: &Config, origin: &HeaderValue) -> bool {
    config.public_origin().is_some_and(|public| origin.as_bytes() == public.as_bytes())
}

/// Whether an origin has the host and port that the request was sent to. Schemes differ behind a proxy that ends TLS.
fn is_host(request: &Request, origin: &[u8]) -> bool {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    let Ok(origin) = Uri::try_from(origin) else { return false };
    let is_web = matches!(origin.scheme_str(), Some("http" | "https"));
    let authority = origin.authority().map(|authority| authority.as_str());
    is_web && authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// The error for web pages of other origins.
pub(crate) fn cross_origin() -> Error {
    let message = "the request comes from a web page of another origin; list that origin in CORS_ORIGINS to allow it";
    Error::new(StatusCode::FORBIDDEN, "cross_origin", message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use service::Settings;

    use super::*;

    fn passes(headers: &[(&str, &str)]) -> bool {
        let config = Config::from_settings(&Settings::from_pairs([("CORS_ORIGINS", "https://app.example")])).unwrap();
        let builder = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        check(&builder.body(Body::empty()).unwrap(), &config).is_ok()
    }

    #[test]
    fn programs_and_pages_of_this_and_of_listed_origins_pass() {
        for headers in [
            &[("host", "here:8000")][..],
            &[("host", "here:8000"), ("origin", "http://here:8000")],
            &[("host", "Here.example"), ("origin", "https://here.example")],
            &[("host", "[::1]:8000"), ("origin", "http://[::1]:8000")],
            &[("host", "here:8000"), ("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
            // Behind a proxy that says another host.
            &[("host", "backend"), ("origin", "https://here.example"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(passes(headers), "{headers:?}");
        }
    }

    #[test]
    fn other_pages_are_refused() {
        for headers in [
            &[("host", "here:8000"), ("origin", "https://evil.example")][..],
            &[("host", "here:8000"), ("origin", "http://here:9000")],
            &[("host", "here:8000"), ("origin", "http://here:8000.evil.example")],
            &[("host", "here:8000"), ("origin", "null")],
            &[("host", "here:8000"), ("origin", "")],
            &[("host", "here:8000"), ("origin", "file://here:8000")],
            &[("host", "here:8000"), ("origin", "http://here:8000"), ("origin", "https://evil.example")],
            &[("host", "here:8000"), ("origin", "http://here:8000"), ("sec-fetch-site", "same-site")],
            &[("host", "here:8000"), ("sec-fetch-site", "cross-site")],
            &[("origin", "http://here:8000")],
        ] {
            assert!(!passes(headers), "{headers:?}");
        }
    }
}
