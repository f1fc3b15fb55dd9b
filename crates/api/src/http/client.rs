//! Which client a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::error::Error;
use crate::config::Config;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The client of a request that starts a job.
#[derive(Debug, Clone)]
pub(crate) struct Submitter {
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Tells this client from others: the header `CLIENT_KEY_HEADER`, otherwise the address of the connection.
    pub client: String,
}

impl Submitter {
    /// # Errors
    /// 400 when the `Idempotency-Key` is malformed.
    pub(crate) fn from_request(config: &Config, request: &Request) -> Result<Self, Error> {
        let client = client_key(config, request.headers(), request.extensions());
        Ok(Self { idempotency_key: idempotency_key(request)?, client })
    }
}

/// Extracts what tells a client from others.
pub(crate) struct Client(pub String);

impl<S: Sync> FromRequestParts<S> for Client
where
    Arc<Config>: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(client_key(&Arc::from_ref(state), &parts.headers, &parts.extensions)))
    }
}

fn client_key(config: &Config, headers: &HeaderMap, extensions: &Extensions) -> String {
    let named = config.client_key_header.as_ref().and_then(|name| headers.get(name));
    match named {
        Some(value) => format!("key {}", String::from_utf8_lossy(value.as_bytes())),
        None => match extensions.get::<ConnectInfo<SocketAddr>>() {
            Some(ConnectInfo(address)) => format!("ip {}", network_of(address.ip())),
            None => String::new(),
        },
    }
}

/// The address that stands for a client. An IPv6 client owns a network of 2^64 addresses.
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
            let message =
                "Idempotency-Key must have 1 to 200 printable ASCII characters; use a random UUID, for example";
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
