//! The ways to connect to Redis: with an ACL user, over TLS, through sentinels, to a cluster.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jobs::broker::{Backend, BrokerConfig, Outcome, Rules, Stats, connect};
use jobs::testing::RedisServer;
use jobs::{Broker, State};
use service::Settings;
use tempfile::TempDir;

use crate::bench::*;

/// A queue as configured by environment variables.
async fn open(pairs: &[(&str, &str)]) -> Arc<dyn Broker> {
    let mut config = BrokerConfig::from_settings(&Settings::from_pairs(pairs.iter().copied())).unwrap();
    config.rules = calm();
    connect(&config).await.unwrap()
}

/// One job from start to end, seen by another process.
async fn goes_through(broker: &Arc<dyn Broker>, other: &Arc<dyn Broker>) {
    broker.ping().await.unwrap();
    let waiting = {
        let other = other.clone();
        tokio::spawn(async move { claim(&other, "w").await })
    };
    // Woken by a message, long before the claim would poll.
    let id = submit(broker).await;
    let (lease, _) = waiting.await.unwrap();
    assert_eq!(lease.job_id, id);
    let mut wakes = broker.wakes();
    other.record(&lease, progress(1)).await.unwrap();
    // Nodes of a cluster forward messages with a delay: one of an earlier job may still arrive.
    let woken = async { while wakes.recv().await.unwrap() != id {} };
    tokio::time::timeout(PATIENCE, woken).await.unwrap();
    assert_eq!(other.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), HELD);
    assert_eq!(job(broker, id).await.state, State::Succeeded);
    assert_eq!(events(broker, id).await.len(), 3);
    assert_eq!(broker.stats().await.unwrap(), Stats::default());
    assert!(broker.forget(id).await.unwrap());
}

async fn ask(port: u16, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_no_more_rights_than_needed() {
    let server = RedisServer::start();
    // As the README says.
    let rights = ["+@all", "-@admin", "-@dangerous", "+info", "~{unflatten}*", "&{unflatten}:*"];
    let set = [&["ACL", "SETUSER", "queue", "on", ">hush"][..], &rights].concat();
    ask(server.port(), &set).await.unwrap();
    ask(server.port(), &["ACL", "SETUSER", "default", "off"]).await.unwrap();
    let url = format!("redis://queue:hush@127.0.0.1:{}/0", server.port());
    goes_through(&open(&[("REDIS_URL", &url)]).await, &open(&[("REDIS_URL", &url)]).await).await;

    let wrong = format!("redis://queue:wrong@127.0.0.1:{}/0", server.port());
    let config = BrokerConfig::from_settings(&Settings::from_pairs([("REDIS_URL", wrong.as_str())])).unwrap();
    let Err(error) = connect(&config).await else { panic!("a wrong password was taken") };
    assert!(!format!("{error:?} {error}").contains("hush"));
}

fn tls_file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/tls").join(name).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_that_an_authority_of_ones_own_signed() {
    let (certificate, key, authority) = (tls_file("server.pem"), tls_file("server.key"), tls_file("ca.pem"));
    let server = RedisServer::start_with(&[
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{}/0", server.argument("--tls-port").unwrap());
    let trusting = [("REDIS_URL", url.as_str()), ("REDIS_CA_FILE", authority.as_str())];
    goes_through(&open(&trusting).await, &open(&trusting).await).await;

    let config = BrokerConfig::from_settings(&Settings::from_pairs([("REDIS_URL", url.as_str())])).unwrap();
    assert!(connect(&config).await.is_err(), "a certificate was taken that nobody vouches for");
}

/// A process that is killed on drop.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sentinel(dir: &TempDir, port: u16, master: u16) -> Process {
    let file = dir.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
         sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
        dir.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("redis-server");
    command.arg(file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
    Process(command.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_the_new_master() {
    let mut master = RedisServer::start();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    let dir = TempDir::new().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _sentinel = sentinel(&dir, port, master.port());
    eventually(async || {
        let told = ask(port, &["SENTINEL", "REPLICAS", "main"]).await;
        told.is_ok_and(|told| matches!(told, redis::Value::Array(replicas) if replicas.len() == 1))
    })
    .await;
    let url = format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/main/0");
    let broker = open(&[("REDIS_URL", &url)]).await;
    let other = open(&[("REDIS_URL", &url)]).await;
    goes_through(&broker, &other).await;

    let id = submit(&broker).await;
    eventually(async || {
        let told = ask(replica.port(), &["EXISTS", &format!("{{unflatten}}:job:{id}")]).await;
        told.is_ok_and(|told| told == redis::Value::Int(1))
    })
    .await;
    master.kill();
    // The same processes continue with the replica once the sentinel has promoted it.
    eventually(async || broker.ping().await.is_ok() && broker.job(id).await.is_ok_and(|job| job.is_some())).await;
    eventually(async || other.claim(&worker("w"), Duration::ZERO).await.is_ok_and(|claimed| claimed.is_some())).await;
    assert_eq!(job(&broker, id).await.state, State::Running);
    drop(replica);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_queue_on_one_of_its_nodes() {
    let nodes: Vec<RedisServer> =
        (0..3).map(|_| RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", "PORT"])).collect();
    for (node, (first, last)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        ask(node.port(), &["CLUSTER", "ADDSLOTSRANGE", first, last]).await.unwrap();
        let (port, bus) = (node.port().to_string(), node.argument("--cluster-port").unwrap());
        ask(nodes[0].port(), &["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await.unwrap();
    }
    eventually(async || {
        for node in &nodes {
            let info = ask(node.port(), &["CLUSTER", "INFO"]).await.unwrap();
            let text: String = redis::from_redis_value(info).unwrap();
            if !text.contains("cluster_state:ok") || !text.contains("cluster_known_nodes:3") {
                return false;
            }
        }
        true
    })
    .await;
    for first in &nodes {
        // Through any node, whichever holds the queue.
        let url = format!("redis+cluster://127.0.0.1:{}", first.port());
        goes_through(&open(&[("REDIS_URL", &url)]).await, &open(&[("REDIS_URL", &url)]).await).await;
    }
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[1].port(), nodes[2].port());
    let broker = open(&[("REDIS_URL", &url)]).await;
    let id = submit(&broker).await;
    let mut holders = 0;
    for node in &nodes {
        let keys: Vec<String> = redis::from_redis_value(ask(node.port(), &["KEYS", "*"]).await.unwrap()).unwrap();
        assert!(keys.iter().all(|key| key.starts_with("{unflatten}:")), "{keys:?}");
        holders += usize::from(keys.contains(&format!("{{unflatten}}:job:{id}")));
    }
    assert_eq!(holders, 1);
    let config = BrokerConfig {
        backend: Backend::Redis(jobs::broker::RedisAddress::parse(&url).unwrap()),
        rules: Rules::default(),
    };
    assert_eq!(connect(&config).await.unwrap().stats().await.unwrap(), Stats { queued: 1, running: 0 });
}
