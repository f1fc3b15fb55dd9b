//! One connection type for a single server, a master that sentinels choose, and a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture,
    RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use crate::broker::RedisAddress;
use crate::broker::address::RedisKind;

const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection for commands. It is shared, and reconnects when it breaks.
#[derive(Clone)]
pub(super) enum Link {
    Server(ConnectionManager),
    Sentinel(Sentinel),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn open(address: &RedisAddress) -> RedisResult<Self> {
        if address.has_tls() {
            // Fails where another library installed a provider first, which is just as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        match &address.kind {
            RedisKind::Server => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(CONNECTION_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    .set_min_delay(Duration::from_millis(50))
                    .set_max_delay(Duration::from_millis(500))
                    .set_number_of_retries(4);
                let client = client(first(address)?, address)?;
                Ok(Self::Server(client.get_connection_manager_with_config(config).await?))
            }
            RedisKind::Sentinel { master } => {
                let sentinel = Sentinel::new(address, master)?;
                sentinel.connection().await?;
                Ok(Self::Sentinel(sentinel))
            }
            RedisKind::Cluster => {
                let mut builder = ClusterClient::builder(address.nodes.clone());
                if let Some(certificates) = certificates(address) {
                    builder = builder.certs(certificates);
                }
                let config = ClusterConfig::new()
                    .set_connection_timeout(CONNECTION_TIMEOUT)
                    .set_response_timeout(RESPONSE_TIMEOUT);
                Ok(Self::Cluster(builder.build()?.get_async_connection_with_config(config).await?))
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(cmd),
            Self::Sentinel(sentinel) => Box::pin(async move {
                let answer = sentinel.connection().await?.req_packed_command(cmd).await;
                sentinel.check_master(answer).await
            }),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Sentinel(sentinel) => Box::pin(async move {
                let answer = sentinel.connection().await?.req_packed_commands(pipeline, offset, count).await;
                sentinel.check_master(answer).await
            }),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Sentinel(sentinel) => sentinel.database,
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// A connection to the present master.
#[derive(Clone)]
pub(super) struct Sentinel {
    client: Arc<Mutex<SentinelClient>>,
    current: Arc<Mutex<Option<MultiplexedConnection>>>,
    database: i64,
}

impl Sentinel {
    fn new(address: &RedisAddress, master: &str) -> RedisResult<Self> {
        let settings = first(address)?.redis_settings().clone();
        let sentinels: Vec<ConnectionAddr> = address.nodes.iter().map(|node| node.addr().clone()).collect();
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(settings.db());
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if address.has_tls() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(certificates) = certificates(address) {
                builder = builder
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_certificates(certificates);
            }
        }
        let client = Arc::new(Mutex::new(builder.build()?));
        Ok(Self { client, current: Arc::default(), database: settings.db() })
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref() {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = self.client.lock().await.get_async_connection_with_config(&config).await?;
        *current = Some(connection.clone());
        Ok(connection)
    }

    /// Drops the connection if the answer shows that its server is unreachable or no longer the master; the next call then
    /// asks the sentinels again.
    async fn check_master<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if let Err(err) = &answer
            && (err.is_io_error() || err.is_unrecoverable_error() || is_demoted(err))
        {
            *self.current.lock().await = None;
        }
        answer
    }
}

fn is_demoted(err: &RedisError) -> bool {
    matches!(err.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// Connects to a server for messages.
pub(super) struct Subscriptions {
    address: RedisAddress,
    sentinel: Option<Sentinel>,
    /// Number of nodes tried so far. Every node of a cluster forwards all messages.
    tried: AtomicUsize,
}

impl Subscriptions {
    pub(super) fn new(address: &RedisAddress, link: &Link) -> Self {
        let sentinel = match link {
            Link::Sentinel(sentinel) => Some(sentinel.clone()),
            Link::Server(_) | Link::Cluster(_) => None,
        };
        Self { address: address.clone(), sentinel, tried: AtomicUsize::new(0) }
    }

    /// The server to listen to now.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        if let Some(sentinel) = &self.sentinel {
            return sentinel.client.lock().await.async_get_client().await;
        }
        let nodes = &self.address.nodes;
        let turn = self.tried.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
        client(nodes.get(turn).ok_or_else(no_node)?, &self.address)
    }
}

fn client(node: &ConnectionInfo, address: &RedisAddress) -> RedisResult<Client> {
    match certificates(address) {
        Some(certificates) => Client::build_with_tls(node.clone(), certificates),
        None => Client::open(node.clone()),
    }
}

fn certificates(address: &RedisAddress) -> Option<TlsCertificates> {
    let root_cert = address.ca.clone().filter(|_| address.has_tls())?;
    Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
}

fn first(address: &RedisAddress) -> RedisResult<&ConnectionInfo> {
    address.nodes.first().ok_or_else(no_node)
}

fn no_node() -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "the address contains no host"))
}
