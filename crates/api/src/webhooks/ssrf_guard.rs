//! The guard against server-side request forgery (SSRF): which addresses webhooks may call. Without it, clients could
//! reach through the service what only the service can reach: its machine, its network, the cloud's metadata server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::lookup_host;
use url::{Host, Url};

const MAX_URL: usize = 2000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("has more than {MAX_URL} characters")]
    TooLong,
    #[error("is not an address such as https://example.org/hook: {0}")]
    Malformed(#[from] url::ParseError),
    #[error("starts with {0}://; webhooks need an https:// address")]
    Scheme(String),
    #[error("contains a user name or password; leave them out, because webhooks are signed")]
    Credentials,
    #[error("leads into a private network, which this service does not call")]
    Private,
}

/// Checks the address of a webhook, without resolving its name: that is done for each call ([`resolve`]). Returns it in
/// normal form.
///
/// # Errors
/// Why it cannot be called.
pub(crate) fn check_url(text: &str, allow_private: bool) -> Result<Url, AddressError> {
    if text.len() > MAX_URL {
        return Err(AddressError::TooLong);
    }
    let url = Url::parse(text.trim())?;
    // Plain HTTP would reveal the job's id, which gives access to its result.
    if url.scheme() != "https" && !(allow_private && url.scheme() == "http") {
        return Err(AddressError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if !allow_private && literal_ip(&url).is_some_and(|ip| !is_public(ip)) {
        return Err(AddressError::Private);
    }
    Ok(url)
}

/// Why no address was found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Lookup(#[from] io::Error),
}

/// The addresses of a webhook's host that may be called. Connections are made to these addresses, so a name cannot lead
/// elsewhere between the check and the call.
///
/// # Errors
/// When the name has no address, or only private ones.
pub(crate) async fn resolve(url: &Url, allow_private: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    let port = url.port_or_known_default().unwrap_or(443);
    let mut addresses = match (literal_ip(url), url.domain()) {
        (Some(ip), _) => vec![SocketAddr::new(ip, port)],
        (None, Some(name)) => lookup_host((name, port)).await?.collect(),
        (None, None) => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
    }
    addresses.retain(|address| allow_private || is_public(address.ip()));
    if addresses.is_empty() { Err(AddressError::Private.into()) } else { Ok(addresses) }
}

fn literal_ip(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(_) => None,
    }
}

/// Whether an address belongs to the public Internet (RFC 6890 has the registries of those that do not).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        // Shared by carriers, IETF protocols, 6to4 relays, benchmarks, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, high, low] = ip.segments();
    // Addresses that are translated to one of version 4 on the way.
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => embedded(high, low),
        (0x2002, _) => embedded(b, c),
        // IETF protocols (Teredo among them) and documentation.
        (0x2001, 0..0x200) | (0x2001, 0xdb8) | (0x3fff, 0..0x1000) => false,
        // Global unicast is 2000::/3; all else is local, multicast, reserved or a mapped version 4.
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(ip.parse().unwrap()), "{ip} was refused");
        }
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.170",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:1.1.1.1",
            "::10.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "100::1",
        ];
        for ip in private {
            assert!(!is_public(ip.parse().unwrap()), "{ip} was taken for public");
        }
    }

    #[test]
    fn addresses_are_checked_for_what_they_say() {
        for good in ["https://example.org/hook", "https://example.org:8443/a?b=c", "https://1.1.1.1/"] {
            assert!(check_url(good, false).is_ok(), "{good}");
        }
        let long = format!("https://example.org/{}", "x".repeat(MAX_URL));
        let bad = [
            "",
            "hook",
            "ftp://example.org",
            "http://example.org",
            "file:///etc/passwd",
            "https://user:pw@example.org",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/latest/meta-data",
            "https://",
            &long,
        ];
        for bad in bad {
            assert!(check_url(bad, false).is_err(), "{bad} was taken");
        }
        assert!(check_url("http://127.0.0.1:9/x", true).is_ok());
        assert!(check_url("ftp://127.0.0.1:9/x", true).is_err());
    }
}
