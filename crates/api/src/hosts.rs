//! Names under which the service may be addressed.
//!
//! A web page can have a name of its own point at an address of this machine (DNS rebinding); for the browser, the
//! service is then part of that page's site. The name is in the `Host` header, and it is not one of ours.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::Config;
use crate::error::Error;

/// Asked by whatever watches the service, under any name; nothing in them is worth an attack.
const OPEN_TO_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// Which names the service goes by.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Whether it takes every name.
    any: bool,
    /// In lower case; `*.` stands for every name below.
    allowed: Vec<String>,
}

impl Hosts {
    /// A service that only this machine reaches has no name but `localhost` and those of `ALLOWED_HOSTS`. One that others
    /// reach may have any, unless `ALLOWED_HOSTS` says which.
    pub fn of(config: &Config) -> Self {
        let allowed = config.allowed_hosts.clone();
        let is_local = config.host.to_canonical().is_loopback();
        let any = allowed.iter().any(|name| name == "*") || (allowed.is_empty() && !is_local);
        Self { any, allowed }
    }

    /// Whether a request to this `Host`, with or without a port, is meant for the service.
    fn takes(&self, host: &str) -> bool {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        // Nobody can have an address, or localhost, point elsewhere.
        self.any
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.allowed.iter().any(|allowed| match allowed.strip_prefix('*') {
                Some(ending) => host.len() > ending.len() && host.ends_with(ending),
                None => host == *allowed,
            })
    }

    fn takes_all(&self, request: &Request) -> bool {
        let in_address = request.uri().host();
        in_address.is_none_or(|host| self.takes(host)) && named(request.headers()).all(|host| self.takes(host))
    }
}

fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    // What is not text names no host that could be allowed.
    headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or("?"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // The last part of an IPv6 address is no port; with one, the address is in brackets.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// Refuses requests under names that are not the service's.
pub async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if hosts.takes_all(&request) || OPEN_TO_ALL.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let message = "the service does not answer under this name; use localhost or its address, or list the name in \
                   ALLOWED_HOSTS";
    Error::new(StatusCode::FORBIDDEN, "host_not_allowed", message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(any: bool, allowed: &[&str]) -> Hosts {
        Hosts { any, allowed: allowed.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn a_local_service_has_local_names() {
        let local = hosts(false, &["poster.example", "*.lab.example"]);
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "app.localhost:8000",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:8000",
            "192.168.1.5:8000",
            "poster.example",
            "Poster.Example:443",
            "a.lab.example",
        ] {
            assert!(local.takes(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "a.poster.example",
            "lab.example",
            "xlab.example",
            "?",
            "[::1].evil.example",
            "2130706433",
            ":8000",
        ] {
            assert!(!local.takes(host), "{host:?}");
        }
        assert!(hosts(true, &[]).takes("evil.example"));
    }

    #[test]
    fn names_are_limited_where_only_this_machine_reaches_the_service() {
        let of = |pairs: &[(&str, &str)]| {
            let settings = service::Settings::from_pairs(pairs.iter().copied());
            Hosts::of(&Config::from_settings(&settings).unwrap()).takes("poster.example")
        };
        assert!(!of(&[]) && !of(&[("HOST", "::1")]));
        assert!(of(&[("HOST", "0.0.0.0")]) && of(&[("HOST", "10.0.0.1")]));
        assert!(of(&[("ALLOWED_HOSTS", "poster.example")]) && of(&[("ALLOWED_HOSTS", "*")]));
        assert!(!of(&[("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "other.example")]));
    }
}
