//! Cloud Storage's XML API.

use google::{Auth, Kind, ObjectUri, Storage};

use crate::QUICK;
use crate::server::{Reply, Server};

const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Headers of every object.
fn object(reply: Reply) -> Reply {
    reply.with("etag", "\"e\"").with("last-modified", MODIFIED)
}

/// Headers of the answer to a write.
fn written(generation: &str) -> Reply {
    Reply::text(200, "").with("etag", "\"e\"").with("x-goog-generation", generation)
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let xml =
        format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Reply::text(status, &xml)
}

fn page(objects: &[(&str, u64)], next: Option<&str>) -> Reply {
    let object = |(name, size): &(&str, u64)| {
        let modified = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>";
        format!("<Contents><Key>{name}</Key>{modified}<ETag>\"e\"</ETag><Size>{size}</Size></Contents>")
    };
    let objects: String = objects.iter().map(object).collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    Reply::text(200, &format!("<ListBucketResult><Name>posters</Name>{objects}{next}</ListBucketResult>"))
}

fn client(server: &Server) -> Storage {
    Storage::new(Auth::Anonymous, Some(&server.address), QUICK).expect("a client")
}

#[tokio::test]
async fn objects_are_written_listed_and_read() {
    let server = Server::start(vec![
        written("1"),
        page(&[("w/", 0), ("w/a.bin", 3)], Some("next")),
        page(&[("w/b.bin", 3)], None),
        object(Reply::text(200, "abc")),
        object(Reply::text(200, "abc")),
        refusal(404, "NoSuchKey", "The specified key does not exist."),
    ])
    .await;
    let storage = client(&server);
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

    let seen = server.seen();
    let targets: Vec<_> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(targets[0], "PUT /posters/w%2Fa%2Ebin");
    assert_eq!(targets[1], "GET /posters?list-type=2&prefix=w%2F");
    assert!(targets[2].ends_with("&continuation-token=next"), "{targets:?}");
    assert_eq!(targets[3], "GET /posters/w%2Fa%2Ebin");
    assert_eq!(targets[5], "DELETE /posters/w%2Fa%2Ebin");
    assert_eq!((seen[0].text().as_str(), seen[0].header("content-type").as_str()), ("abc", "image/png"));
    assert!(seen.iter().all(|seen| seen.header("authorization").is_empty()));
}

#[tokio::test]
async fn a_refused_write_says_what_was_asked() {
    let server = Server::start(vec![refusal(403, "AccessDenied", "Access denied.")]).await;
    let uri: ObjectUri = "gs://posters/w/a.json".parse().expect("an address");
    let denied = client(&server).put(&uri, "application/json", b"{}".to_vec()).await.expect_err("denied");
    assert_eq!((denied.kind, denied.status), (Kind::PermissionDenied, Some(403)));
    assert!(denied.detail.contains("Access denied"), "{denied}");
    assert_eq!(denied.request, Some(format!("PUT {}/posters/w%2Fa%2Ejson", server.address)));
}

#[tokio::test]
async fn a_download_that_breaks_off_is_resumed() {
    let server = Server::start(vec![
        refusal(503, "ServiceUnavailable", "busy"),
        object(Reply::cut_after("abc").with("content-length", "6")),
        object(Reply::text(206, "def").with("content-range", "bytes 3-5/6")),
    ])
    .await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.bin");
    let uri: ObjectUri = "gs://posters/w/a.bin".parse().expect("an address");
    client(&server).download(&uri, &file).await.expect("downloaded");
    assert_eq!(std::fs::read(&file).expect("a file"), b"abcdef");
    let ranges: Vec<_> = server.seen().iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, ["", "", "bytes=3-5"]);
}

#[tokio::test]
async fn a_storage_that_redirects_is_not_followed() {
    let elsewhere = Server::start(vec![written("1")]).await;
    let server = Server::start(vec![Reply::redirect(307, &elsewhere.address)]).await;
    let uri: ObjectUri = "gs://posters/w/a.bin".parse().expect("an address");
    let error = client(&server).put(&uri, "image/png", b"abc".to_vec()).await.expect_err("a redirect");
    assert_eq!((error.kind, error.status), (Kind::Unknown, Some(307)), "{error}");
    assert!(elsewhere.seen().is_empty());
    let nobody = Storage::new(Auth::Anonymous, Some("http://127.0.0.1:9"), google::Retry::NONE).expect("a client");
    assert_eq!(nobody.get(&uri).await.expect_err("nobody there").kind, Kind::Unreachable);
}
