//! What only a store in a bucket keeps to.

use std::time::Duration;

use jobs::JobId;
use jobs::store::Store;
use jobs::testing::Traffic;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::place::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_address_gives_the_file_to_anyone() {
    let place = Place::bucket().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "layer").await;
    let valid = Duration::from_secs(60);
    let url = place.store.result_url(id, "layer_0.png", valid).await.unwrap().unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "layer"));
    let unsigned = url.split('?').next().unwrap();
    assert_eq!(reqwest::get(unsigned).await.unwrap().status(), 403);
    for name in ["layer_9.png", "../metadata.json"] {
        assert_eq!(place.store.result_url(id, name, valid).await.unwrap(), None);
    }
    let upload = put_upload(&place.store, b"pixels").await;
    let url = place.store.upload_url(upload.id, valid).await.unwrap().unwrap();
    assert_eq!(reqwest::get(&url).await.unwrap().bytes().await.unwrap(), &b"pixels"[..]);
    assert_eq!(place.store.upload_url(Uuid::new_v4(), valid).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_opened_once() {
    let place = Place::bucket().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "layer").await;
    let open = async || place.store.result(id).await.unwrap().unwrap();
    let server = place.server();

    let (result, traffic) = server.count(open()).await;
    assert_eq!(traffic, Traffic { requests: 1, round_trips: 1 }, "the manifest");
    let both = async { tokio::try_join!(result.metadata(), result.edits()).unwrap() };
    let (_, traffic) = server.count(both).await;
    assert_eq!(traffic, Traffic { requests: 2, round_trips: 1 }, "the metadata beside the edits");
    let again = async {
        assert!(result.metadata().await.unwrap().is_some());
        assert!(result.open("layer_0.png").await.unwrap().is_some());
        let json = result.open("metadata.json").await.unwrap().unwrap();
        json.read().await.unwrap();
    };
    assert_eq!(server.count(again).await.1, Traffic { requests: 0, round_trips: 0 });
    let layer = async { result.open("layer_0.png").await.unwrap().unwrap().read().await.map(drop).unwrap() };
    assert_eq!(server.count(layer).await.1, Traffic { requests: 1, round_trips: 1 });
    let tree = async { place.store.tree(id).await.unwrap().unwrap() };
    assert_eq!(server.count(tree).await.1, Traffic { requests: 3, round_trips: 2 });

    assert!(place.store.delete_result(id).await.unwrap());
    assert!(place.store.result(id).await.unwrap().is_none());
    let gone = result.open("layer_0.png").await.unwrap().unwrap().read().await.map(drop).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_lies_under_the_prefix_and_goes_when_it_is_deleted() {
    let place = Place::bucket().await;
    let upload = put_upload(&place.store, b"pixels").await;
    let id = JobId::new_v4();
    publish(&place.store, id, "layer").await;
    place.store.change_edits(id, |_| {}).await.unwrap().unwrap();
    let keys = place.server().keys();
    assert!(keys.iter().all(|key| key.starts_with("some/prefix/")), "{keys:?}");
    assert_eq!(keys.len(), 1 + 3 + 3 + 1, "{keys:?}");
    assert!(place.store.delete_result(id).await.unwrap());
    assert!(place.store.delete_upload(upload.id).await.unwrap());
    assert_eq!(place.server().keys(), ["some/prefix/probe"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_result_is_invisible_and_swept() {
    let place = Place::bucket().await;
    let (whole, half) = (JobId::new_v4(), JobId::new_v4());
    publish(&place.store, whole, "layer").await;
    publish(&place.store, half, "layer").await;
    // What a worker leaves that dies while it publishes.
    place.server().delete(&format!("some/prefix/results/{half}/manifest.json"));
    assert_eq!(place.store.metadata(half).await.unwrap(), None);
    assert_eq!(read(&place.store, half, "layer_0.png").await, None);
    assert_eq!(place.store.results_before(later()).await.unwrap(), [whole]);
    assert_eq!(place.store.sweep(OffsetDateTime::now_utc() - Duration::from_secs(60)).await.unwrap(), 0, "too young");
    assert_eq!(place.store.sweep(later()).await.unwrap(), 1);
    assert_eq!(place.leftovers(), 0);
    assert_eq!(read(&place.store, whole, "layer_0.png").await.as_deref(), Some(&b"layer"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_cannot_be_used_is_an_error_with_its_name() {
    let place = Place::bucket().await;
    let mut options: Vec<(String, String)> =
        place.server().settings().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    for (name, value) in &mut options {
        if name == "aws_secret_access_key" {
            *value = "wrong".to_owned();
        }
    }
    let error = Store::open_objects("s3://layers/x", &options).await.unwrap_err();
    assert!(error.to_string().contains("s3://layers/x") && error.to_string().contains("credentials"), "{error}");
}
