//! Which client a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{Extensions, HeaderMap};
use service::hex;
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::auth::caller::Caller;
use crate::config::Config;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The client of a request that starts a job.
#[derive(Debug, Clone)]
pub(crate) struct Submitter {
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    pub caller: Caller,
}

impl Submitter {
    /// # Errors
    /// 400 when the `Idempotency-Key` is malformed.
    pub(crate) fn from_request(request: &Request) -> Result<Self, Error> {
        Ok(Self { idempotency_key: idempotency_key(request)?, caller: Caller::of(request.extensions())? })
    }

    /// The key as the queue keeps it: another client's same key is another key.
    pub(crate) fn own_idempotency_key(&self) -> Option<String> {
        let key = self.idempotency_key.as_ref()?;
        let mut hash = Sha256::new_with_prefix(self.caller.client());
        hash.update([0]);
        hash.update(key);
        Some(hex(&hash.finalize()))
    }
}

/// Tells a client without a token from others: the header `CLIENT_KEY_HEADER`, otherwise the address of the connection.
pub(crate) fn client_key(config: &Config, headers: &HeaderMap, extensions: &Extensions) -> String {
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
