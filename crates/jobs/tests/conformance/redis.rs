//! Only for the queue in Redis: it survives crashes of Redis.

use std::time::Duration;

use futures_util::StreamExt;
use jobs::broker::{Backend, BrokerConfig, Outcome, RedisAddress, Rules, connect};
use jobs::testing::RedisServer;
use jobs::{EventKind, Feed, State, Update};

use crate::bench::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_redis_keeps_everything() {
    let mut bench = Bench::redis();
    let broker = bench.open(calm()).await;
    let (running, waiting) = (submit(&broker).await, submit(&broker).await);
    let (lease, _) = claim(&broker, "w").await;
    broker.record(&lease, progress(1)).await.unwrap();
    let follower = tokio::spawn(followed(Feed::new(broker.clone()).follow(running, 0)));
    let before = (job(&broker, running).await, job(&broker, waiting).await, events(&broker, running).await);

    restart(&mut bench);
    let after = (job(&broker, running).await, job(&broker, waiting).await, events(&broker, running).await);
    assert_eq!(after, before);
    // The living worker continues its job, and no other worker gets it.
    assert_eq!(try_claim(&broker, &worker("other")).await, Some(waiting));
    assert_eq!(try_claim(&broker, &worker("other")).await, None);
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
    assert_eq!(broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap(), HELD);
    assert_eq!(follower.await.unwrap(), events(&broker, running).await);
    let late = submit(&broker).await;
    assert_eq!(claim(&broker, "w").await.0.job_id, late);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_do_not_end_while_redis_is_down() {
    let mut bench = Bench::redis();
    let rules = Rules { lease: Duration::from_secs(2), ..calm() };
    let broker = bench.open(rules).await;
    submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    if let Bench::Redis(server) = &mut bench {
        server.kill();
    }
    tokio::time::sleep(rules.lease).await;
    restart(&mut bench);
    assert_eq!(try_claim(&broker, &worker("other")).await, None);
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), HELD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_is_used_afresh() {
    let bench = Bench::redis();
    let broker = bench.open(calm()).await;
    submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    flush(&bench).await;
    assert_eq!(broker.heartbeat(&lease).await.unwrap(), jobs::broker::Standing::Lost);
    // Scripts, streams and consumer groups are created again.
    let id = submit(&broker).await;
    let (lease, _) = claim(&broker, "w").await;
    assert_eq!(lease.job_id, id);
    broker.finish(&lease, Outcome::Succeeded { layers: 1 }).await.unwrap();
    assert_eq!(kinds(&broker, id).await, [EventKind::Queued, EventKind::Succeeded { layers: 1 }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_an_emptied_redis_are_told_that_the_job_is_gone() {
    let bench = Bench::redis();
    let broker = bench.open(calm()).await;
    let id = submit(&broker).await;
    let mut follower = Box::pin(Feed::new(broker.clone()).follow(id, 0));
    // From here on it waits for messages.
    while !matches!(follower.next().await.unwrap().unwrap(), Update::Position(0)) {}
    flush(&bench).await;
    assert!(matches!(updates(follower).await[..], [Update::Removed]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_deleted_by_hand_loses_no_waiting_job() {
    let bench = Bench::redis();
    let broker = bench.open(calm()).await;
    submit(&broker).await;
    claim(&broker, "w").await;
    let id = submit(&broker).await;
    let mut connection = raw(&bench).await;
    let _: i64 = redis::cmd("DEL").arg("{unflatten}:taken").query_async(&mut connection).await.unwrap();
    assert_eq!(claim(&broker, "w").await.0.job_id, id);
    assert_eq!(job(&broker, id).await.state, State::Running);
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_that_says_what_to_do() {
    let mut server = RedisServer::start();
    server.kill();
    let backend = Backend::Redis(RedisAddress::parse(&server.url()).unwrap());
    let Err(error) = connect(&BrokerConfig { backend, rules: calm() }).await else { panic!("it answered") };
    assert!(error.to_string().contains("REDIS_URL"), "{error}");
}

fn restart(bench: &mut Bench) {
    match bench {
        Bench::Redis(server) => server.restart(),
        Bench::Embedded(..) => panic!("there is no server to restart"),
    }
}

async fn raw(bench: &Bench) -> redis::aio::MultiplexedConnection {
    let Bench::Redis(server) = bench else { panic!("there is no server") };
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn flush(bench: &Bench) {
    let mut connection = raw(bench).await;
    redis::pipe().cmd("FLUSHALL").cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
}
