//! Cloud Storage's JSON API.

use google::{Auth, Kind, ObjectUri, Storage, Versioned};
use serde_json::{Value, json};

use crate::QUICK;
use crate::server::{Reply, Server};

#[tokio::test]
async fn objects_are_written_listed_and_read() {
    let page = |name: &str, token: Value| {
        let mut page = json!({ "items": [{ "name": name, "size": "3" }] });
        page["nextPageToken"] = token;
        Reply::json(200, page)
    };
    let gone = Reply::json(404, json!({ "error": { "code": 404, "message": "No such object" } }));
    let server = Server::start(vec![
        Reply::json(200, json!({ "kind": "storage#object" })),
        page("w/a.bin", json!("next")),
        page("w/b.bin", Value::Null),
        Reply::text(200, "abc"),
        Reply::text(200, "abc"),
        gone,
    ])
    .await;
    let storage = Storage::new(Auth::Anonymous, Some(&server.address), QUICK).expect("a client");
    let folder: ObjectUri = "gs://posters/w/".parse().expect("an address");
    storage.put(&folder.join("a.bin"), "image/png", b"abc".to_vec()).await.expect("written");
    let names: Vec<_> = storage.list(&folder).await.expect("a list").into_iter().map(|o| o.uri.to_string()).collect();
    assert_eq!(names, ["gs://posters/w/a.bin", "gs://posters/w/b.bin"]);
    assert_eq!(storage.get(&folder.join("a.bin")).await.expect("read"), b"abc");
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.bin");
    storage.download(&folder.join("a.bin"), &file).await.expect("downloaded");
    assert_eq!(std::fs::read(&file).expect("a file"), b"abc");
    storage.delete(&folder.join("a.bin")).await.expect("what is not there is gone");

    let targets: Vec<_> = server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(targets[0], "POST /upload/storage/v1/b/posters/o?uploadType=media&name=w%2Fa.bin");
    assert!(targets[2].ends_with("&pageToken=next"), "{targets:?}");
    assert_eq!(targets[3], "GET /storage/v1/b/posters/o/w%2Fa.bin?alt=media");
    assert_eq!(targets[5], "DELETE /storage/v1/b/posters/o/w%2Fa.bin");
    assert_eq!(server.seen()[0].text(), "abc");
}

#[tokio::test]
async fn an_object_is_replaced_only_as_it_is_known() {
    let conflict = || {
        let message = "At least one of the pre-conditions you specified did not hold.";
        let reason = json!([{ "message": message, "domain": "global", "reason": "conditionNotMet" }]);
        Reply::json(412, json!({ "error": { "code": 412, "message": message, "errors": reason } }))
    };
    let server = Server::start(vec![
        Reply::json(200, json!({ "kind": "storage#object", "generation": "1700000000000001" })),
        conflict(),
        Reply::text(200, "abc").with("x-goog-generation", "7"),
        Reply::text(404, "Not Found"),
        Reply::text(200, "abc"),
        Reply::json(403, json!({ "error": { "code": 403, "message": "no", "status": "PERMISSION_DENIED" } })),
    ])
    .await;
    let storage = Storage::new(Auth::Anonymous, Some(&server.address), QUICK).expect("a client");
    let uri: ObjectUri = "gs://posters/w/a.json".parse().expect("an address");
    let put = |generation| storage.put_if(&uri, "application/json", b"{}".to_vec(), generation);
    assert_eq!(put(0).await.expect("written"), Some(1_700_000_000_000_001));
    assert_eq!(put(7).await.expect("an answer"), None);
    let found = storage.get_versioned(&uri).await.expect("read");
    assert_eq!(found, Some(Versioned { bytes: b"abc".to_vec(), generation: 7 }));
    assert_eq!(storage.get_versioned(&uri).await.expect("an answer"), None);
    assert_eq!(storage.get_versioned(&uri).await.expect_err("no generation").kind, Kind::Malformed);
    assert_eq!(put(0).await.expect_err("denied").kind, Kind::PermissionDenied);
    let targets: Vec<_> = server.seen().iter().map(|seen| seen.target.clone()).collect();
    assert!(targets[0].ends_with("?uploadType=media&name=w%2Fa.json&ifGenerationMatch=0"), "{targets:?}");
    assert!(targets[1].ends_with("&ifGenerationMatch=7"), "{targets:?}");
}
