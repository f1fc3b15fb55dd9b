//! What only a store in folders keeps to.

use std::path::Path;

use jobs::Store;
use tempfile::TempDir;

use crate::place::*;

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
