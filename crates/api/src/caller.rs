//! Who asks.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::app::App;
use crate::error::Error;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a request says of who sends it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// What tells this client from others: the header `CLIENT_KEY_HEADER`, otherwise the address of the connection.
    pub client: String,
}

impl Caller {
    pub fn of(app: &App, request: &Request) -> Result<Self, Error> {
        let client = client(app, request.headers(), request.extensions());
        Ok(Self { idempotency_key: idempotency_key(request)?, client })
    }
}

/// What tells a client from others, of a request without an `Idempotency-Key`.
pub struct Client(pub String);

impl FromRequestParts<App> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self(client(app, &parts.headers, &parts.extensions)))
    }
}

fn client(app: &App, headers: &HeaderMap, extensions: &Extensions) -> String {
    let named = app.config.client_key_header.as_ref().and_then(|name| headers.get(name));
    match named {
        Some(value) => format!("key {}", String::from_utf8_lossy(value.as_bytes())),
        None => match extensions.get::<ConnectInfo<SocketAddr>>() {
            Some(ConnectInfo(address)) => format!("ip {}", network_of(address.ip())),
            None => String::new(),
        },
    }
}

/// The address that stands for a client. With IPv6 a client has a network of 2^64 of them.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip => ip,
    }
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Error> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=200).contains(&key.trim().len()) => Ok(Some(key.trim().to_owned())),
        _ => {
            let message = "Idempotency-Key must have 1 to 200 printable ASCII characters; a random UUID is a good one";
            Err(Error::bad_request("invalid_idempotency_key", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network_of_version_6() {
        for (ip, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
            ("2001:db8:1:3::9", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            assert_eq!(network_of(ip.parse().unwrap()), network.parse::<IpAddr>().unwrap(), "{ip}");
        }
    }
}
