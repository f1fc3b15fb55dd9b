//! The store keeps what it is given, shows nothing half-written, and survives crashes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use jobs::store::{Published, Store, Upload};
use jobs::{InputInfo, JobId, Metadata, Params};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

struct Place {
    dir: TempDir,
    store: Store,
}

async fn place() -> Place {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).await;
    Place { dir, store }
}

async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("a/uploads"), &dir.join("b/results")).await.unwrap()
}

fn input() -> InputInfo {
    let filename = Some("../../poster.png".to_owned());
    InputInfo {
        filename,
        format: "png".to_owned(),
        width: 2,
        height: 3,
        has_alpha: false,
        sha256: "00".repeat(32),
        parent: None,
    }
}

async fn put_upload(store: &Store, png: &[u8]) -> Upload {
    let upload = Upload { id: Uuid::new_v4(), input: input(), created_at: OffsetDateTime::UNIX_EPOCH };
    let mut file = store.scratch().unwrap();
    file.write_all(png).unwrap();
    store.put_upload(&upload, file).await.unwrap();
    upload
}

fn metadata(id: JobId, note: &str) -> Metadata {
    let json = serde_json::json!({
        "schema_version": jobs::SCHEMA_VERSION, "job_id": id, "input": input(), "params": Params::default(), "seed": 7,
        "engine": {"name": "draft", "version": "1", "device": "cpu", "reason": "asked for"},
        "created_at": "2026-01-02T03:04:05Z", "duration_ms": 5, "layers": [],
        "recomposition": {"max_error": 0, "mean_error": 0.0, "psnr_db": null}, "notes": [note],
    });
    serde_json::from_value(json).unwrap()
}

async fn publish(store: &Store, id: JobId, note: &str) -> Published {
    let staging = store.stage(id).unwrap();
    std::fs::write(staging.dir().join("layer_0.png"), note).unwrap();
    std::fs::write(staging.dir().join("metadata.json"), serde_json::to_vec(&metadata(id, note)).unwrap()).unwrap();
    store.publish(staging).await.unwrap()
}

async fn read(store: &Store, id: JobId, name: &str) -> Option<Vec<u8>> {
    let mut file = store.result_file(id, name).await.unwrap()?;
    let mut bytes = Vec::new();
    file.reader.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, file.len);
    Some(bytes)
}

/// What lies in the staging folders.
fn staged(place: &Place) -> usize {
    ["a/uploads/.staging", "b/results/.staging"]
        .iter()
        .map(|dir| std::fs::read_dir(place.dir.path().join(dir)).unwrap().count())
        .sum()
}

fn later() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(60)
}

#[tokio::test]
async fn an_upload_is_kept_until_it_is_deleted() {
    let place = place().await;
    let upload = put_upload(&place.store, b"pixels").await;
    let again = open(place.dir.path()).await;
    assert_eq!(again.upload(upload.id).await.unwrap(), Some(upload.clone()));
    assert_eq!(again.upload_png(upload.id).await.unwrap().as_deref(), Some(&b"pixels"[..]));
    assert_eq!(staged(&place), 0);

    assert!(again.delete_upload(upload.id).await.unwrap());
    assert!(!again.delete_upload(upload.id).await.unwrap());
    assert_eq!(again.upload(upload.id).await.unwrap(), None);
    assert_eq!(again.upload_png(upload.id).await.unwrap(), None);
    assert_eq!(staged(&place), 0);
}

#[tokio::test]
async fn an_upload_is_never_replaced() {
    let place = place().await;
    let upload = put_upload(&place.store, b"first").await;
    let mut second = place.store.scratch().unwrap();
    second.write_all(b"second").unwrap();
    assert!(place.store.put_upload(&upload, second).await.is_err());
    assert_eq!(place.store.upload_png(upload.id).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(staged(&place), 0);
}

#[tokio::test]
async fn a_result_appears_whole_and_the_first_one_stands() {
    let place = place().await;
    let id = JobId::new_v4();
    let unfinished = place.store.stage(id).unwrap();
    std::fs::write(unfinished.dir().join("metadata.json"), "{").unwrap();
    assert_eq!(place.store.metadata(id).await.unwrap(), None, "a staged result was visible");

    assert_eq!(publish(&place.store, id, "first").await, Published::Now);
    assert_eq!(publish(&place.store, id, "second").await, Published::Before);
    assert_eq!(place.store.metadata(id).await.unwrap(), Some(metadata(id, "first")));
    assert_eq!(read(&place.store, id, "layer_0.png").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(read(&place.store, id, "layer_1.png").await, None);

    drop(unfinished);
    assert_eq!(staged(&place), 0);
}

#[tokio::test]
async fn of_many_publishers_one_wins() {
    let place = place().await;
    let id = JobId::new_v4();
    let publishers = (0..16).map(|n| {
        let store = place.store.clone();
        tokio::spawn(async move { (n, publish(&store, id, &n.to_string()).await) })
    });
    let mut winners = Vec::new();
    for publisher in publishers.collect::<Vec<_>>() {
        let (n, published) = publisher.await.unwrap();
        winners.extend((published == Published::Now).then_some(n));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(read(&place.store, id, "layer_0.png").await, Some(winners[0].to_string().into_bytes()));
    assert_eq!(staged(&place), 0);
}

#[tokio::test]
async fn a_result_without_metadata_is_not_published() {
    let place = place().await;
    let id = JobId::new_v4();
    let staging = place.store.stage(id).unwrap();
    std::fs::write(staging.dir().join("layer_0.png"), "x").unwrap();
    assert!(place.store.publish(staging).await.is_err());
    assert_eq!(read(&place.store, id, "layer_0.png").await, None);
}

#[tokio::test]
async fn names_lead_nowhere_else() {
    let place = place().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let other = JobId::new_v4();
    publish(&place.store, other, "secret").await;
    for name in ["../x", "..", "", "/etc/passwd", "layer_0.png/../metadata.json", &format!("../{other}/layer_0.png")] {
        assert_eq!(read(&place.store, id, name).await, None, "{name:?} led somewhere");
    }
}

#[tokio::test]
async fn leftovers_of_a_crash_are_invisible_and_swept() {
    let place = place().await;
    let (job, upload) = (JobId::new_v4(), Uuid::new_v4());
    // A killed process drops nothing: its staged folders and files stay.
    let result_dir = place.store.stage(job).unwrap();
    std::fs::write(result_dir.dir().join("metadata.json"), "{}").unwrap();
    std::mem::forget(result_dir);
    std::mem::forget(place.store.scratch().unwrap());

    let store = open(place.dir.path()).await;
    assert_eq!(store.metadata(job).await.unwrap(), None);
    assert_eq!(store.upload(upload).await.unwrap(), None);
    assert!(store.results_before(later()).await.unwrap().is_empty());
    assert!(store.uploads_before(later()).await.unwrap().is_empty());

    assert_eq!(store.sweep(OffsetDateTime::now_utc() - Duration::from_secs(60)).await.unwrap(), 0, "too young");
    assert_eq!(store.sweep(later()).await.unwrap(), 2);
    assert_eq!(staged(&place), 0);
}

#[tokio::test]
async fn age_is_told_by_when_a_thing_was_stored() {
    let place = place().await;
    let upload = put_upload(&place.store, b"x").await;
    let job = JobId::new_v4();
    publish(&place.store, job, "x").await;
    let earlier = OffsetDateTime::now_utc() - Duration::from_secs(60);
    assert!(place.store.uploads_before(earlier).await.unwrap().is_empty());
    assert!(place.store.results_before(earlier).await.unwrap().is_empty());
    assert_eq!(place.store.uploads_before(later()).await.unwrap(), [upload.id]);
    assert_eq!(place.store.results_before(later()).await.unwrap(), [job]);
    assert!(place.store.delete_result(job).await.unwrap());
    assert!(!place.store.delete_result(job).await.unwrap());
}

#[tokio::test]
async fn damaged_files_are_errors_with_a_name() {
    let place = place().await;
    let upload = put_upload(&place.store, b"x").await;
    std::fs::write(place.dir.path().join("a/uploads").join(upload.id.to_string()).join("upload.json"), "{").unwrap();
    let error = place.store.upload(upload.id).await.unwrap_err();
    assert!(error.to_string().contains(&upload.id.to_string()), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_with_its_name() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("uploads"), &dir.path().join("results")).await.unwrap_err();
    assert!(error.to_string().contains("file/uploads"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn other_users_may_read_what_the_umask_lets_them() {
    use std::os::unix::fs::PermissionsExt;

    let place = place().await;
    let reference = place.dir.path().join("reference");
    std::fs::create_dir(&reference).unwrap();
    let upload = put_upload(&place.store, b"x").await;
    let published = place.dir.path().join("a/uploads").join(upload.id.to_string());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&published), mode(&reference));
    assert_eq!(mode(&published.join("image.png")), mode(&published.join("upload.json")));
}
