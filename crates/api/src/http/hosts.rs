//! Host names that the service answers under.
//!
//! A web page can let a name of its own resolve to an address of this machine (DNS rebinding); the browser then takes the
//! service for a part of that page's site. The `Host` header holds that name, so requests under foreign names are
//! refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use crate::config::Config;

/// Health checks come under any name, and reveal nothing.
const OPEN_TO_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// The names that the service answers under.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Whether every name is allowed.
    any: bool,
    /// In lower case; `*.` stands for every name below.
    allowed: Vec<String>,
}

impl Hosts {
    /// A service on a loopback address is only `localhost` and the names in `ALLOWED_HOSTS`. One that other machines
    /// reach may have any name, unless `ALLOWED_HOSTS` is set.
    pub(crate) fn from_config(config: &Config) -> Self {
        let allowed = config.allowed_hosts.clone();
        let is_local = config.host.to_canonical().is_loopback();
        let any = allowed.iter().any(|name| name == "*") || (allowed.is_empty() && !is_local);
        Self { any, allowed }
    }

    /// Whether requests to this `Host`, with or without a port, are answered.
    fn allows(&self, host: &str) -> bool {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        // No attacker controls what an address or localhost resolves to.
        self.any
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.allowed.iter().any(|allowed| match allowed.strip_prefix('*') {
                Some(ending) => host.len() > ending.len() && host.ends_with(ending),
                None => host == *allowed,
            })
    }

    fn allows_all(&self, request: &Request) -> bool {
        let in_address = request.uri().host();
        in_address.is_none_or(|host| self.allows(host)) && named(request.headers()).all(|host| self.allows(host))
    }
}

fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    // A value that is not text is not an allowed host.
    headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or("?"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // The last part of an IPv6 address is not a port: with a port, the address is in brackets.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// Refuses requests under other names.
pub(crate) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if hosts.allows_all(&request) || OPEN_TO_ALL.contains(&request.uri().path()) {
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
            assert!(local.allows(host), "{host}");
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
            assert!(!local.allows(host), "{host:?}");
        }
        assert!(hosts(true, &[]).allows("evil.example"));
    }

    #[test]
    fn names_are_limited_where_only_this_machine_reaches_the_service() {
        let of = |pairs: &[(&str, &str)]| {
            let settings = service::Settings::from_pairs(pairs.iter().copied());
            Hosts::from_config(&Config::from_settings(&settings).unwrap()).allows("poster.example")
        };
        assert!(!of(&[]) && !of(&[("HOST", "::1")]));
        assert!(of(&[("HOST", "0.0.0.0")]) && of(&[("HOST", "10.0.0.1")]));
        assert!(of(&[("ALLOWED_HOSTS", "poster.example")]) && of(&[("ALLOWED_HOSTS", "*")]));
        assert!(!of(&[("HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "other.example")]));
    }
}
