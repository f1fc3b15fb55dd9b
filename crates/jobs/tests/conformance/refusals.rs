//! A Redis that answers with errors.

use jobs::broker::{Backend, BrokerConfig, Fault, Outcome, RedisAddress, connect};
use jobs::testing::RedisServer;
use jobs::{DeliveriesInFlight, State};
use redis::aio::MultiplexedConnection;

use crate::bench::*;

async fn raw(server: &RedisServer) -> MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn set(server: &RedisServer, name: &str, value: &str) {
    let mut connection = raw(server).await;
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_takes_no_new_job_and_ends_those_it_has() {
    let bench = Bench::redis();
    let Bench::Redis(server) = &bench else { unreachable!() };
    let broker = bench.open(calm()).await;
    let (running, waiting) = (submit(&broker).await, submit(&broker).await);
    let (lease, _) = claim(&broker, "w").await;
    set(server, "maxmemory", "1").await;
    for refused in [broker.ping().await, broker.submit(new_job()).await.map(drop)] {
        let error = refused.expect_err("a full Redis took it");
        assert_eq!(error.fault(), Some(Fault::MemoryFull), "{error}");
        assert!(error.to_string().contains("maxmemory"), "{error}");
    }
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
    assert_eq!(broker.record(&lease, progress(1)).await.unwrap(), HELD);
    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), HELD);
    assert_eq!(job(&broker, running).await.state, State::Succeeded);
    let (lease, taken) = claim(&broker, "w").await;
    assert_eq!(taken.id, waiting);
    broker.release(&lease, &"shutting down".into()).await.unwrap();
    assert_eq!(broker.cancel(waiting).await.unwrap().unwrap().state, State::Cancelled);
    assert!(broker.forget(running).await.unwrap());
    set(server, "maxmemory", "0").await;
    submit(&broker).await;
    broker.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_told_from_a_redis_that_is_gone() {
    let bench = Bench::redis();
    let Bench::Redis(server) = &bench else { unreachable!() };
    let broker = bench.open(calm()).await;
    let mut connection = raw(server).await;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec_async(&mut connection).await.unwrap();
    let error = broker.ping().await.expect_err("a replica took a change");
    assert_eq!(error.fault(), Some(Fault::Replica), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_from_a_redis_that_is_gone() {
    let server = RedisServer::start();
    set(&server, "requirepass", "hush").await;
    for url in [server.url(), server.url().replace("//", "//:wrong@")] {
        let backend = Backend::Redis(RedisAddress::parse(&url).unwrap());
        let Err(error) = connect(&BrokerConfig { backend, rules: calm() }).await else { panic!("it let us in") };
        assert_eq!(error.fault(), Some(Fault::Denied), "{error:?}");
        assert!(error.to_string().contains("REDIS_PASSWORD"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_version_left_is_taken_over() {
    let bench = Bench::redis();
    let Bench::Redis(server) = &bench else { unreachable!() };
    let broker = bench.open(hasty()).await;
    let (job, upload) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let id = format!("{job}.3");
    let mut connection = raw(server).await;
    redis::pipe()
        .cmd("HSET")
        .arg(format!("{{unflatten}}:delivery:{id}"))
        .arg(&["job", &job.to_string(), "seq", "3", "at", "1000", "event", r#"{"type":"cancelled"}"#])
        .arg(&["upload_id", &upload.to_string(), "url", "https://example.org/x", "attempt", "1"])
        .cmd("ZADD")
        .arg("{unflatten}:deliveries")
        .arg(5)
        .arg(&id)
        .exec_async(&mut connection)
        .await
        .unwrap();
    let due = broker.claim_deliveries(10, &DeliveriesInFlight::default()).await.unwrap();
    assert_eq!((due.len(), due[0].id(), due[0].attempt), (1, id, 2));

    // A job whose worker has that version has a lease in the stream only.
    let id = submit(&broker).await;
    claim(&broker, "w").await;
    redis::cmd("DEL").arg("{unflatten}:leases").exec_async(&mut connection).await.unwrap();
    lapse(&broker, id).await;
}
