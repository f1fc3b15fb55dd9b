//! What only a store in folders keeps to.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jobs::document::{Document, Element, Picture, PictureId};
use jobs::store::{PictureStored, StoreError};
use jobs::{JobId, Store};
use tempfile::TempDir;

use crate::bodies::{crowd, offsets, put_picture, read_picture};
use crate::place::*;

/// Runs a test where a waiting thread would soon be one too many.
fn with_few_threads(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).max_blocking_threads(2).enable_all().build().unwrap().block_on(test);
}

/// The lock of a result's edits, as another process would hold it.
fn hold_lock(place: &Place, id: JobId) -> File {
    let path = place.dir().join("b/results").join(id.to_string()).join("edits.json.lock");
    let lock = File::options().create(true).append(true).open(path).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_thousand_edits_at_once_need_no_thousand_threads() {
    with_few_threads(async {
        let place = Place::folder().await;
        let id = JobId::new_v4();
        publish(&place.store, id, "x").await;
        assert_eq!(crowd(&place.store, id, 1000).await, (1..=1000).collect::<Vec<_>>());
        let edits = place.store.edits(id).await.unwrap();
        assert_eq!(offsets(&edits), [100; 10]);
    });
}

#[test]
fn a_lock_that_another_process_holds_stops_nothing_else() {
    with_few_threads(async {
        let place = Place::folder().await;
        let (id, other) = (JobId::new_v4(), JobId::new_v4());
        publish(&place.store, id, "x").await;
        publish(&place.store, other, "y").await;
        let lock = hold_lock(&place, id);
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let store = place.store.clone();
                tokio::spawn(async move { store.change_edits(id, |_| {}).await.unwrap().unwrap().revision })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        place.store.check().await.unwrap();
        assert_eq!(read(&place.store, id, "layer_0.png").await.as_deref(), Some(&b"x"[..]));
        let upload = put_upload(&place.store, b"pixels").await;
        assert!(place.store.upload_png(upload.id).await.unwrap().is_some());
        assert_eq!(place.store.edits(id).await.unwrap().revision, 0);
        assert_eq!(place.store.change_edits(other, |_| {}).await.unwrap().unwrap().revision, 1);
        assert!(waiting.iter().all(|change| !change.is_finished()), "somebody passed the lock");
        drop(lock);
        for change in waiting {
            change.await.unwrap();
        }
        assert_eq!(place.store.edits(id).await.unwrap().revision, 50);
        // What is left of the lock is a file without a meaning.
        assert_eq!(place.store.change_edits(id, |_| {}).await.unwrap().unwrap().revision, 51);
    });
}

#[tokio::test]
async fn an_edit_that_nobody_waits_for_is_not_made() {
    let place = Place::folder().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let lock = hold_lock(&place, id);
    let abandoned = place.store.change_edits(id, |edits| edits.versions_made = 7);
    assert!(tokio::time::timeout(Duration::from_millis(50), abandoned).await.is_err());
    drop(lock);
    let edits = place.store.change_edits(id, |_| {}).await.unwrap().unwrap();
    assert_eq!((edits.revision, edits.versions_made), (1, 0));
}

#[tokio::test]
async fn more_edits_than_may_wait_are_refused_at_once() {
    let place = Place::folder().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let lock = hold_lock(&place, id);
    let mut changes: Vec<_> = (0..2500)
        .map(|_| {
            let store = place.store.clone();
            tokio::spawn(async move { store.change_edits(id, |_| {}).await })
        })
        .collect();
    // Of the test's one thread, each has had its turn by then.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused: Vec<_> = changes.extract_if(.., |change| change.is_finished()).collect();
    assert!(!refused.is_empty() && refused.len() <= 500, "{} were refused", refused.len());
    for refusal in refused {
        assert!(matches!(refusal.await.unwrap(), Err(StoreError::Busy { .. })));
    }
    drop(lock);
    let waited = changes.len() as u64;
    for change in changes {
        change.await.unwrap().unwrap().unwrap();
    }
    assert_eq!(place.store.edits(id).await.unwrap().revision, waited);
}

#[tokio::test]
async fn damaged_edits_are_an_error_and_keep_nothing_from_being_deleted() {
    let place = Place::folder().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let file = place.dir().join("b/results").join(id.to_string()).join("edits.json");
    for damage in [b"{".to_vec(), Vec::new(), vec![b' '; 33 << 20]] {
        std::fs::write(&file, damage).unwrap();
        assert!(matches!(place.store.edits(id).await, Err(StoreError::Corrupt { .. })));
        assert!(matches!(place.store.change_edits(id, |_| {}).await, Err(StoreError::Corrupt { .. })));
        assert!(place.store.close(id).await.unwrap().is_empty());
    }
    assert!(place.store.delete_result(id).await.unwrap());
}

#[tokio::test]
async fn a_folder_that_vanishes_is_told_with_its_setting() {
    let place = Place::folder().await;
    place.store.check().await.unwrap();
    let folder = place.dir().join("b/results");
    std::fs::remove_dir_all(folder.join(".staging")).unwrap();
    publish(&place.store, JobId::new_v4(), "its staging place is made again").await;
    std::fs::remove_dir_all(&folder).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let error = place.store.check().await.unwrap_err().to_string();
    assert!(error.contains(folder.to_str().unwrap()) && error.matches("RESULTS_DIR").count() == 1, "{error}");
    assert!(!folder.exists(), "where a disk was, something was written in its place");
    let error = place.store.stage(JobId::new_v4()).unwrap_err().to_string();
    assert!(error.contains(folder.to_str().unwrap()) && error.contains("(RESULTS_DIR)"), "{error}");
}

#[tokio::test]
async fn an_empty_folder_in_the_place_of_one_that_is_not_mounted_is_not_taken_for_it() {
    let place = Place::folder().await;
    let (kept, gone) = (JobId::new_v4(), JobId::new_v4());
    publish(&place.store, kept, "x").await;
    let (folder, aside) = (place.dir().join("b/results"), place.dir().join("b/aside"));
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let error = place.store.check_anew().await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("mount"), "{error:?}");
    // Neither is what was stored said to be gone, nor is anything written there.
    assert!(place.store.has_result(kept).await.is_err());
    assert!(place.store.delete_result(kept).await.is_err());
    assert!(place.store.change_edits(kept, |_| {}).await.is_err());
    assert!(place.store.make_staging(gone).await.is_err());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    place.store.check_anew().await.unwrap();
    assert!(place.store.has_result(kept).await.unwrap());
    assert!(!place.store.has_result(gone).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_moved_away_is_deleted_where_it_is() {
    let place = Place::folder().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let staging = place.dir().join("b/results/.staging");
    std::fs::remove_dir(&staging).unwrap();
    std::fs::write(&staging, "in the way").unwrap();
    assert!(place.store.delete_result(id).await.unwrap());
    assert!(!place.store.has_result(id).await.unwrap());
    assert!(!place.store.delete_result(id).await.unwrap());
}

#[tokio::test]
async fn damaged_files_are_errors_with_a_name() {
    let place = Place::folder().await;
    let upload = put_upload(&place.store, b"x").await;
    std::fs::write(place.dir().join("a/uploads").join(upload.id.to_string()).join("upload.json"), "{").unwrap();
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

#[tokio::test]
#[cfg(unix)]
async fn other_users_may_read_what_the_umask_lets_them() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::folder().await;
    let reference = place.dir().join("reference");
    std::fs::create_dir(&reference).unwrap();
    let upload = put_upload(&place.store, b"x").await;
    let published = place.dir().join("a/uploads").join(upload.id.to_string());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&published), mode(&reference));
    assert_eq!(mode(&published.join("image.png")), mode(&published.join("upload.json")));
}

#[tokio::test]
async fn pictures_that_nothing_needs_go_when_there_are_many() {
    let place = Place::folder().await;
    let id = JobId::new_v4();
    publish(&place.store, id, "x").await;
    let (shown, _) = put_picture(&place.store, id, b"shown").await;
    let (taken_back, _) = put_picture(&place.store, id, b"taken back").await;
    let show = |picture: PictureId| {
        move |edits: &mut jobs::edits::Edits| {
            let before = edits.document.clone().unwrap_or_default();
            let elements = vec![Element::picture(1, Picture::at(picture, 0, 0), "Picture")];
            edits.put(&before, Document { elements }, false);
        }
    };
    place.store.change_edits(id, show(taken_back)).await.unwrap();
    let edits = place.store.change_edits(id, show(shown)).await.unwrap().unwrap();
    assert_eq!(edits.pictures(), [shown, taken_back].into());
    for n in 0..Store::MAX_PICTURES - 2 {
        assert_eq!(put_picture(&place.store, id, &n.to_le_bytes()).await.1, PictureStored::Now);
    }
    // They are young: somebody may be about to use them.
    assert_eq!(put_picture(&place.store, id, b"more").await.1, PictureStored::TooMany);
    assert_eq!(put_picture(&place.store, id, b"shown").await.1, PictureStored::Now, "it is there");
    for entry in std::fs::read_dir(place.dir().join("b/results").join(id.to_string())).unwrap() {
        let file = std::fs::File::options().append(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).unwrap();
    }
    assert_eq!(put_picture(&place.store, id, b"more").await.1, PictureStored::Now);
    let left = place.store.pictures(id).await.unwrap();
    assert!(left.len() <= 4 && left.is_superset(&[shown, taken_back].into()), "{left:?}");
    assert!(read_picture(&place.store, id, taken_back).await.is_some());
}
