use std::time::Duration;

use futures_util::StreamExt;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation, ServerErrorKind};
use tokio::time::{Instant, sleep, timeout};

use super::link::{Link, RESPONSE_TIMEOUT, Subscriptions};
use super::scripts::key;
use crate::broker::RedisAddress;
use crate::broker::signals::Signals;

/// How long a call that may run twice is retried while Redis does not answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for readiness checks, whose answer is wanted soon.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// After this long without a message the listener pings Redis.
const IDLE: Duration = Duration::from_secs(15);

/// Calls scripts and commands, with retries.
#[derive(Clone)]
pub(super) struct Connection(Link);

impl Connection {
    pub(super) async fn open(address: &RedisAddress) -> RedisResult<Self> {
        Link::open(address).await.map(Self)
    }

    /// Where to subscribe to messages.
    pub(super) fn subscriptions(&self, address: &RedisAddress) -> Subscriptions {
        Subscriptions::new(address, &self.0)
    }

    /// Calls a script that must not run twice. After an error it is unknown whether it ran.
    pub(super) async fn call_once<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        script.invoke_async(&mut self.0.clone()).await
    }

    /// Calls a script that may run twice, with retries while Redis does not answer.
    pub(super) async fn call<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        with_retries(PATIENCE, || self.call_once(script)).await
    }

    /// Like [`Connection::call`], for a plain command that only reads.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        with_retries(PATIENCE, || async { command.query_async(&mut self.0.clone()).await }).await
    }

    /// Like [`Connection::query`], for a command that may run twice and whose error is wanted soon.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        with_retries(SHORT_PATIENCE, || async { command.query_async(&mut self.0.clone()).await }).await
    }

    /// Warns about settings that can lose jobs.
    pub(super) async fn check_server(&self, address: &RedisAddress, info: &ScriptInvocation<'_>) -> RedisResult<()> {
        let info: String = self.call(info).await?;
        let value = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        if value("aof_enabled") == Some("0") {
            tracing::warn!(%address, "Redis has no append-only file; set `appendonly yes`, or a restart loses jobs");
        }
        if value("maxmemory_policy").is_some_and(|policy| policy != "noeviction") {
            tracing::warn!(%address, "Redis may evict keys; set `maxmemory-policy noeviction`, or jobs are lost when memory runs out");
        }
        Ok(())
    }
}

async fn with_retries<T, F: Future<Output = RedisResult<T>>>(
    patience: Duration,
    mut attempt: impl FnMut() -> F,
) -> RedisResult<T> {
    let end = Instant::now() + patience;
    loop {
        match attempt().await {
            Err(err) if is_transient(&err) && Instant::now() < end => sleep(RETRY_DELAY).await,
            done => return done,
        }
    }
}

/// Whether an error is caused by a restart or failover of Redis.
fn is_transient(err: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    err.is_io_error()
        || matches!(
            err.kind(),
            ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain)
                | ErrorKind::ClusterConnectionNotFound
                | ErrorKind::MasterNameNotFoundBySentinel
        )
}

/// Forwards messages from other processes, on a separate connection, for ever.
pub(super) async fn listen(subscriptions: Subscriptions, signals: Signals) {
    loop {
        if let Err(err) = listen_until_it_breaks(&subscriptions, &signals).await {
            tracing::debug!("the connection for messages from Redis broke: {err}");
        }
        sleep(RETRY_DELAY).await;
    }
}

async fn listen_until_it_breaks(subscriptions: &Subscriptions, signals: &Signals) -> RedisResult<()> {
    let (wakes, work) = (key("wakes"), key("work"));
    let mut pubsub = subscriptions.client().await?.get_async_pubsub().await?;
    pubsub.subscribe(&[&wakes, &work]).await?;
    // Work may have arrived before the subscription.
    signals.send(&[], true);
    let (mut sink, mut messages) = pubsub.split();
    loop {
        let message = match timeout(IDLE, messages.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(_) => {
                let _: redis::Value = timeout(RESPONSE_TIMEOUT, sink.ping())
                    .await
                    .map_err(|_| RedisError::from((ErrorKind::Io, "no answer to a ping")))??;
                continue;
            }
        };
        if message.get_channel_name() == work {
            signals.send(&[], true);
        } else if let Some(id) = message.get_payload::<String>().ok().and_then(|id| id.parse().ok()) {
            signals.send(&[id], false);
        }
    }
}
