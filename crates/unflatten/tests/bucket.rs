//! APIs and workers without a common disk: they share only Redis and a bucket.
#![cfg(feature = "testing-bucket")]

mod support;

use jobs::State;
use jobs::testing::{BucketServer, RedisServer};
use support::{Client, Service, check_result, check_succeeded_once, poster, poster_png, unzip};

const SIDE: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn machines_with_nothing_but_a_bucket_in_common() {
    let redis = RedisServer::start();
    let bucket = BucketServer::start().await;
    let url = redis.url();
    let named = bucket.settings();
    let mut settings: Vec<(&str, &str)> = named.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("REDIS_URL", &url));
    let machines: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let temporary: Vec<_> = machines.iter().map(|dir| dir.path().to_string_lossy().into_owned()).collect();
    let on = |machine: usize, more: &[(&'static str, &'static str)]| {
        let own = [("TMPDIR", temporary[machine].as_str())];
        settings.iter().copied().chain(own).chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let first = Service::api(machines[0].path(), &on(0, &[]));
    let second = Service::api(machines[1].path(), &on(1, &[("DOWNLOAD_REDIRECT", "true")]));
    let _worker = Service::worker(machines[2].path(), &on(2, &[]));

    let (here, there) = (Client::new(&first.url), Client::new(&second.url));
    let upload = here.upload(poster_png(SIDE, 0)).await;
    let id = here.decompose(upload).await;
    assert_eq!(there.wait_finished(id).await.state, State::Succeeded);
    check_succeeded_once(&there.events(id).await);
    let unpacked = machines[0].path().join("unpacked");
    unzip(&there.download(id).await, &unpacked);
    check_result(&unpacked, &poster(SIDE, SIDE, 0));

    // The same bytes from here, in two parts, and from the bucket itself.
    let layer = std::fs::read(unpacked.join("layer_1.png")).expect("a layer");
    let ask = |client: &Client, range: &str| {
        client.http.get(format!("{}/api/jobs/{id}/layers/1.png", client.url)).header("range", range.to_owned()).send()
    };
    let (head, tail) = (ask(&here, "bytes=0-99").await.expect("head"), ask(&here, "bytes=100-").await.expect("tail"));
    assert_eq!((head.status().as_u16(), tail.status().as_u16()), (206, 206));
    let parts = [head.bytes().await.expect("head"), tail.bytes().await.expect("tail")].concat();
    assert!(parts == layer);
    let manual = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let address = format!("{}/api/jobs/{id}/layers/1.png", there.url);
    let redirect = manual.get(&address).send().await.expect("an answer");
    assert_eq!(redirect.status(), 307);
    let location = redirect.headers()["location"].to_str().expect("an address").to_owned();
    assert!(reqwest::get(location).await.expect("the bucket answers").bytes().await.expect("a layer") == layer);
    let from_page = manual.get(&address).header("sec-fetch-site", "same-origin").send().await.expect("an answer");
    assert_eq!(from_page.status(), 200, "the page was sent where its policy does not let it go");

    // Pictures are only in the bucket and in the temporary folder of a running request.
    for machine in &machines {
        assert!(!machine.path().join("storage").exists());
    }
    let deleted = here.http.delete(format!("{}/api/jobs/{id}", here.url)).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert!(bucket.keys().iter().all(|key| !key.contains("/results/")), "{:?}", bucket.keys());
}
