use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError};

/// The address and credentials of Redis. `Display` and `Debug` omit the password.
#[derive(Clone)]
pub struct RedisAddress {
    pub(super) kind: RedisKind,
    /// The server, the sentinels, or some nodes of the cluster. All have the same credentials, which are for the servers;
    /// sentinels are queried without.
    pub(super) nodes: Vec<ConnectionInfo>,
    /// CA certificates (PEM) to trust instead of the system's.
    pub(super) ca: Option<Vec<u8>>,
}

/// What kind of deployment an address points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RedisKind {
    Server,
    /// Sentinels that know the master of this name.
    Sentinel {
        master: String,
    },
    Cluster,
}

impl RedisAddress {
    /// Parses an address: `redis://user:password@host:6379/0`, `redis+sentinel://host,host/master/0` or
    /// `redis+cluster://host,host`; with `rediss` in place of `redis`, over TLS.
    ///
    /// # Errors
    /// When it has none of these forms.
    pub fn parse(url: &str) -> Result<Self, RedisError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("it contains no ://"))?;
        let Some((scheme, kind)) = scheme.split_once('+') else {
            return Ok(Self { kind: RedisKind::Server, nodes: vec![url.into_connection_info()?], ca: None });
        };
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        let (kind, database, port) = match kind {
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, "0"));
                if master.is_empty() {
                    return Err(malformed("the name of the master is missing: redis+sentinel://host:26379/master"));
                }
                (RedisKind::Sentinel { master: master.to_owned() }, database, 26379)
            }
            "cluster" => (RedisKind::Cluster, path, 6379),
            _ => return Err(malformed("redis+ must be followed by sentinel or cluster")),
        };
        let node = |host: &str| {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_port { String::new() } else { format!(":{port}") };
            format!("{scheme}://{login}{host}{port}/{database}").into_connection_info()
        };
        let nodes = hosts.split(',').map(node).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { kind, nodes, ca: None })
    }

    /// A server at `host`.
    pub(super) fn server(host: String, port: u16, database: i64) -> Result<Self, RedisError> {
        let info = ConnectionAddr::Tcp(host, port).into_connection_info()?;
        let settings = info.redis_settings().clone().set_db(database);
        Ok(Self { kind: RedisKind::Server, nodes: vec![info.set_redis_settings(settings)], ca: None })
    }

    pub(super) fn has_password(&self) -> bool {
        self.nodes.iter().any(|node| node.redis_settings().password().is_some())
    }

    pub(super) fn with_password(self, password: &str) -> Self {
        let with = |node: ConnectionInfo| {
            let settings = node.redis_settings().clone().set_password(password);
            node.set_redis_settings(settings)
        };
        Self { nodes: self.nodes.into_iter().map(with).collect(), ..self }
    }

    pub(super) fn with_ca(self, pem: Vec<u8>) -> Self {
        Self { ca: Some(pem), ..self }
    }

    pub(super) fn has_tls(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }))
    }
}

fn malformed(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why))
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        let database = self.nodes.first().map_or(0, |node| node.redis_settings().db());
        let scheme = if self.has_tls() { "rediss" } else { "redis" };
        match &self.kind {
            RedisKind::Server => write!(f, "{scheme}://{}/{database}", hosts.join(",")),
            RedisKind::Sentinel { master } => {
                write!(f, "{scheme}+sentinel://{}/{master}/{database}", hosts.join(","))
            }
            RedisKind::Cluster => write!(f, "{scheme}+cluster://{}", hosts.join(",")),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind_are_read_and_shown_without_secrets() {
        for (url, shown) in [
            ("redis://me:hush@queue:6380/2", "redis://queue:6380/2"),
            ("rediss://:hush@queue:6380", "rediss://queue:6380/0"),
            ("redis+sentinel://:hush@a,b:26380/main/3", "redis+sentinel://a:26379,b:26380/main/3"),
            ("redis+sentinel://a/main", "redis+sentinel://a:26379/main/0"),
            ("rediss+cluster://me:hush@a:7000,b", "rediss+cluster://a:7000,b:6379"),
            ("redis+cluster://[::1]:7000", "redis+cluster://::1:7000"),
        ] {
            let address = RedisAddress::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown);
            let password = url.contains("hush").then_some("hush");
            assert!(address.nodes.iter().all(|node| node.redis_settings().password() == password), "{url}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in [
            "queue:6379",
            "http://queue",
            "redis+sentinel://a",
            "redis+mesh://a",
            "redis+cluster://",
            "redis+cluster://a:x",
        ] {
            assert!(RedisAddress::parse(url).is_err(), "{url} was taken");
        }
    }
}
