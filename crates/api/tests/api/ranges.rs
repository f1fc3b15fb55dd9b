//! Parts of files and versions that a client has already, over HTTP.

use reqwest::{Method, Response};

use crate::app::{TestApp, expect_error};

async fn ask(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(app.client.get(app.url(path)), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The files that can be asked for in parts: one of an upload, three of a result.
async fn files(app: &TestApp) -> Vec<String> {
    let id = app.finished_job().await;
    let upload = app.broker.job(id).await.unwrap().unwrap().upload_id;
    let of_result = ["layers/1.png", "preview.jpg", "metadata.json"].map(|file| format!("/api/jobs/{id}/{file}"));
    of_result.into_iter().chain([format!("/api/uploads/{upload}.png")]).collect()
}

#[tokio::test]
async fn a_part_is_what_was_asked_for() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let whole = ask(&app, &path, &[]).await;
        assert_eq!((whole.status().as_u16(), header(&whole, "accept-ranges").as_str()), (200, "bytes"), "{path}");
        let (etag, media_type) = (header(&whole, "etag"), header(&whole, "content-type"));
        let whole = whole.bytes().await.unwrap();
        let len = whole.len();
        assert!(len > 20, "{path} has {len} bytes");
        for (range, part) in [
            ("bytes=0-0".to_owned(), 0..1),
            ("bytes=3-9".to_owned(), 3..10),
            ("bytes=5-".to_owned(), 5..len),
            ("bytes=-7".to_owned(), len - 7..len),
            (format!("bytes=-{}", len + 100), 0..len),
            (format!("bytes={}-{}", len - 1, len + 100), len - 1..len),
        ] {
            let answer = ask(&app, &path, &[("range", &range)]).await;
            assert_eq!(answer.status(), 206, "{path} {range}");
            let expected = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            assert_eq!(header(&answer, "content-range"), expected, "{path} {range}");
            assert_eq!(header(&answer, "content-length"), part.len().to_string(), "{path} {range}");
            assert_eq!((header(&answer, "etag"), header(&answer, "content-type")), (etag.clone(), media_type.clone()));
            assert!(answer.bytes().await.unwrap() == whole[part], "{path} {range}");
        }
    }
}

#[tokio::test]
async fn a_part_that_is_not_there_is_refused_with_the_length() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let len = ask(&app, &path, &[]).await.bytes().await.unwrap().len();
        for range in [format!("bytes={len}-"), format!("bytes={}-{}", len + 5, len + 9), "bytes=-0".to_owned()] {
            let answer = ask(&app, &path, &[("range", &range)]).await;
            assert_eq!(header(&answer, "content-range"), format!("bytes */{len}"), "{path} {range}");
            let message = expect_error(answer, 416, "range_not_satisfiable").await;
            assert!(message.contains(&len.to_string()), "{message}");
        }
    }
}

#[tokio::test]
async fn what_is_no_single_part_is_answered_with_the_whole() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let whole = ask(&app, &path, &[]).await.bytes().await.unwrap();
        for range in ["bytes=0-3,5-9", "bytes=0-9,3-5", "bytes=0-1,999999999-", "bytes=9-3", "lines=0-1", "bytes=", "x"]
        {
            let answer = ask(&app, &path, &[("range", range)]).await;
            assert_eq!((answer.status().as_u16(), header(&answer, "content-range").as_str()), (200, ""), "{range}");
            assert!(answer.bytes().await.unwrap() == whole, "{path} {range}");
        }
    }
}

#[tokio::test]
async fn a_download_goes_on_only_with_the_same_version() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let etag = header(&ask(&app, &path, &[]).await, "etag");
        assert!(etag.starts_with('"'), "{etag} is no strong tag");
        let status = async |headers: &[(&str, &str)]| ask(&app, &path, headers).await.status().as_u16();
        assert_eq!(status(&[("range", "bytes=2-"), ("if-range", &etag)]).await, 206);
        for other in ["\"other\"", &format!("W/{etag}"), "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(status(&[("range", "bytes=2-"), ("if-range", other)]).await, 200, "{other}");
        }
        // Even a part that is not there is then the whole.
        assert_eq!(status(&[("range", "bytes=999999999-"), ("if-range", "\"other\"")]).await, 200);
    }
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let etag = header(&ask(&app, &path, &[]).await, "etag");
        for tags in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            // It goes before Range.
            for more in [&[][..], &[("range", "bytes=2-")], &[("range", "bytes=999999999-")]] {
                let headers: Vec<_> =
                    [("if-none-match", tags.as_str())].into_iter().chain(more.iter().copied()).collect();
                let answer = ask(&app, &path, &headers).await;
                assert_eq!(
                    (answer.status().as_u16(), header(&answer, "etag")),
                    (304, etag.clone()),
                    "{path} {headers:?}"
                );
                assert!(answer.bytes().await.unwrap().is_empty());
            }
        }
        assert_eq!(ask(&app, &path, &[("if-none-match", "\"other\"")]).await.status(), 200);
    }
}

#[tokio::test]
async fn a_head_tells_what_a_get_would() {
    let app = TestApp::start().await;
    for path in files(&app).await {
        let whole = ask(&app, &path, &[]).await;
        let (len, etag) = (header(&whole, "content-length"), header(&whole, "etag"));
        let head = app.client.request(Method::HEAD, app.url(&path)).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!((header(&head, "content-length"), header(&head, "etag")), (len, etag), "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_compressed_on_its_way_has_another_tag() {
    let app = TestApp::start().await;
    let path = format!("/api/jobs/{}/metadata.json", app.finished_job().await);
    let plain = ask(&app, &path, &[]).await;
    let etag = header(&plain, "etag");
    let compressed = ask(&app, &path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&compressed, "content-encoding"), "gzip");
    let weak = header(&compressed, "etag");
    assert_eq!(weak, format!("W/{etag}"));
    let known = ask(&app, &path, &[("accept-encoding", "gzip"), ("if-none-match", &weak)]).await;
    assert_eq!(known.status(), 304);
    // A part is one of the file itself, and not of what was compressed.
    let on = [("accept-encoding", "gzip"), ("range", "bytes=0-9"), ("if-range", weak.as_str())];
    assert_eq!(ask(&app, &path, &on).await.status(), 200);
    let part = ask(&app, &path, &[("accept-encoding", "gzip"), ("range", "bytes=0-9")]).await;
    assert_eq!((part.status().as_u16(), header(&part, "content-encoding").as_str()), (206, ""));
    assert!(part.bytes().await.unwrap() == plain.bytes().await.unwrap()[..10]);
}

#[tokio::test]
async fn a_folder_has_no_other_address_to_send_clients_to() {
    let app = TestApp::with([("DOWNLOAD_REDIRECT", "true")]).await;
    for path in files(&app).await {
        assert_eq!(ask(&app, &path, &[]).await.status(), 200, "{path}");
    }
}
