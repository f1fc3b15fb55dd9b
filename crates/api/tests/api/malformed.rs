//! A thousand uploads that are wrong, the same in every run.

use futures_util::StreamExt;
use futures_util::stream;
use image::ImageFormat;
use reqwest::Client;

use crate::app::TestApp;
use crate::pictures::{self, FORMATS, Random, bomb, encoded};

const COUNT: usize = 1000;

/// A request's `Content-Type` and body.
struct Case {
    what: String,
    content_type: String,
    body: Vec<u8>,
}

const BOUNDARY: &str = "------------------------d74496d66958873e";

fn form_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

fn form(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n");
    [head.as_bytes(), bytes, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn whole_form(what: impl Into<String>, name: &str, bytes: &[u8]) -> Case {
    Case { what: what.into(), content_type: form_type(), body: form(name, bytes) }
}

fn cases() -> Vec<Case> {
    let mut random = Random(0x5eed);
    (0..COUNT)
        .map(|n| match n % 8 {
            0 => truncated(&mut random),
            1 => wrong_type(&mut random),
            2 => signature_and_garbage(&mut random),
            3 => a_bomb(&mut random),
            4 => empty(&mut random),
            5 => hostile_name(&mut random),
            6 => broken_form(&mut random),
            _ => flipped_png(&mut random),
        })
        .collect()
}

fn truncated(random: &mut Random) -> Case {
    let (format, name) = FORMATS[random.below(FORMATS.len())];
    let whole = encoded(format);
    // At least a fifth is missing: the last bytes of some formats carry nothing.
    let keep = 1 + random.below(whole.len() * 4 / 5);
    whole_form(format!("{name} of {} bytes cut to {keep}", whole.len()), "cut.png", &whole[..keep])
}

fn wrong_type(random: &mut Random) -> Case {
    const STARTS: [&[u8]; 8] = [
        b"%PDF-1.7\n",
        b"PK\x03\x04",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\">",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"\x7fELF\x02\x01\x01",
        b"#!/bin/sh\nrm -rf /\n",
        b"\0\0\0\x20ftypavif",
        b"8BPS\0\x01",
    ];
    let start = STARTS[random.below(STARTS.len())];
    let count = random.below(2000);
    let bytes = [start, &random.bytes(count)].concat();
    whole_form(format!("{:?}...", String::from_utf8_lossy(start)), "picture.png", &bytes)
}

fn signature_and_garbage(random: &mut Random) -> Case {
    let (format, name) = FORMATS[random.below(FORMATS.len())];
    let keep = match format {
        ImageFormat::Tiff | ImageFormat::Bmp => 4,
        _ => 12,
    };
    let count = random.below(3000);
    let bytes = [&encoded(format)[..keep], &random.bytes(count)].concat();
    whole_form(format!("signature of {name} and {count} bytes of garbage"), "garbage.png", &bytes)
}

fn a_bomb(random: &mut Random) -> Case {
    const KINDS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::Bmp];
    let format = KINDS[random.below(KINDS.len())];
    whole_form(format!("{format:?} bomb"), "bomb.png", &bomb(format))
}

fn empty(random: &mut Random) -> Case {
    match random.below(3) {
        0 => whole_form("zero bytes", "empty.png", b""),
        1 => Case { what: "no body".to_owned(), content_type: form_type(), body: Vec::new() },
        _ => {
            let body = format!("--{BOUNDARY}--\r\n").into_bytes();
            Case { what: "a form without fields".to_owned(), content_type: form_type(), body }
        }
    }
}

fn hostile_name(random: &mut Random) -> Case {
    let names = [
        "../../../../etc/passwd".to_owned(),
        "C:\\Windows\\system32\\x.png".to_owned(),
        "x.png\0.exe".to_owned(),
        "\u{202e}gnp.exe".to_owned(),
        "a\" ; name=\"b".to_owned(),
        "a\r\nX-Evil: 1".to_owned(),
        "x".repeat(100_000),
        "'; DROP TABLE jobs; --".to_owned(),
        "\u{1f}\u{7f}".to_owned(),
        "con".to_owned(),
    ];
    let name = &names[random.below(names.len())];
    let count = random.below(200);
    let bytes = random.bytes(count);
    whole_form(format!("{} characters of a hostile name", name.len()), name, &[b"nothing".as_slice(), &bytes].concat())
}

fn broken_form(random: &mut Random) -> Case {
    let whole = form("p.png", &pictures::png());
    let case = |what: &str, content_type: String, body: Vec<u8>| Case { what: what.to_owned(), content_type, body };
    match random.below(9) {
        0 => {
            let keep = random.below(whole.len() - BOUNDARY.len() - 6);
            case("a form that ends early", form_type(), whole[..keep].to_vec())
        }
        1 => case("another boundary", "multipart/form-data; boundary=other".to_owned(), whole),
        2 => case("no boundary", "multipart/form-data".to_owned(), whole),
        3 => case("an empty boundary", "multipart/form-data; boundary=".to_owned(), whole),
        4 => case("no form at all", "application/octet-stream".to_owned(), pictures::png()),
        5 => case("garbage for a form", form_type(), random.bytes(500)),
        6 => {
            let body = format!("--{BOUNDARY}\r\nno colon here\r\n\r\nx\r\n--{BOUNDARY}--\r\n");
            case("a field with bad headers", form_type(), body.into_bytes())
        }
        7 => {
            let body = format!("--{BOUNDARY}\r\nContent-Type: image/png\r\n\r\nx\r\n--{BOUNDARY}--\r\n");
            case("a field without a name", form_type(), body.into_bytes())
        }
        _ => {
            let body = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\r\n\r\n", "y".repeat(70_000));
            case("a header that does not end", form_type(), body.into_bytes())
        }
    }
}

/// A PNG with one byte of its data changed, which its checksum tells.
fn flipped_png(random: &mut Random) -> Case {
    let mut png = pictures::noise_png(16);
    let start = png.windows(4).position(|window| window == b"IDAT").unwrap() + 4;
    let at = start + random.below(png.len() - start - 16);
    png[at] ^= 1 << random.below(8);
    whole_form(format!("PNG with byte {at} changed"), "flipped.png", &png)
}

/// What is wrong with the answer, if anything.
async fn problem(client: &Client, url: &str, case: Case) -> Option<String> {
    let sent = client.post(url).header("content-type", &case.content_type).body(case.body).send().await;
    let response = match sent {
        Ok(response) => response,
        Err(err) => return Some(format!("{}: no answer: {err:?}", case.what)),
    };
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let is_clear =
        ["code", "message"].iter().all(|name| body["error"][name].as_str().is_some_and(|text| !text.is_empty()));
    (!status.is_client_error() || !is_clear).then(|| format!("{}: {status} {text}", case.what))
}

#[tokio::test]
async fn a_thousand_malformed_uploads_get_a_clear_answer() {
    let app = TestApp::start().await;
    let url = app.url("/api/upload");
    let problems: Vec<String> = stream::iter(cases())
        .map(|case| problem(&app.client, &url, case))
        .buffer_unordered(8)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(problems.is_empty(), "{} of {COUNT}:\n{}", problems.len(), problems.join("\n"));
    let later = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    assert!(app.store.uploads_before(later).await.unwrap().is_empty());
    assert_eq!(app.upload("good.png", pictures::png()).await.status(), 201);
}
