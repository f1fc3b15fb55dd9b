use image::{ImageFormat, RgbaImage};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::app::{TestApp, expect_error};
use crate::pictures::{self, HEIGHT, WIDTH};

async fn stored(app: &TestApp, bytes: Vec<u8>) -> (Value, RgbaImage) {
    let response = app.upload("picture", bytes).await;
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["links"]["image"], location.as_str());
    let png = app.get(&location).await.bytes().await.unwrap();
    let picture = image::load_from_memory_with_format(&png, ImageFormat::Png).unwrap();
    (body, picture.to_rgba8())
}

#[tokio::test]
async fn every_format_is_told_by_its_bytes_and_stored_as_png() {
    let app = TestApp::start().await;
    for (format, name) in pictures::FORMATS {
        let (body, picture) = stored(&app, pictures::encoded(format)).await;
        assert_eq!(body["format"], name);
        assert_eq!((body["width"].as_u64(), body["height"].as_u64()), (Some(24), Some(16)), "{name}");
        assert_eq!(body["sha256"].as_str().map(str::len), Some(64));
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
    }
}

#[tokio::test]
async fn pictures_come_out_upright_in_srgb_with_8_bits() {
    let app = TestApp::start().await;
    let (body, picture) = stored(&app, pictures::jpeg_on_its_side()).await;
    assert_eq!((body["width"].as_u64(), body["height"].as_u64()), (Some(16), Some(24)));
    assert_eq!(picture.dimensions(), (HEIGHT, WIDTH));

    let (body, picture) = stored(&app, pictures::png_16_bit()).await;
    assert_eq!(body["has_alpha"], true);
    assert_eq!(picture.get_pixel(3, 3).0, [255, 128, 1, 128]);

    // The same red is further out in sRGB, whose own red is paler than that of Display P3.
    let (_, picture) = stored(&app, pictures::png_display_p3()).await;
    let [red, green, blue, _] = picture.get_pixel(3, 3).0;
    assert!(red > 165 && green < 64 && blue < 64, "({red}, {green}, {blue})");
}

#[tokio::test]
async fn the_field_may_be_called_file() {
    let app = TestApp::start().await;
    let form = Form::new().part("file", Part::bytes(pictures::png()).file_name("p.png"));
    let response = app.client.post(app.url("/api/upload")).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn file_names_are_cleaned_and_only_shown() {
    let app = TestApp::start().await;
    for (sent, shown) in [("../../etc/passwd", Some("passwd")), ("포스터.png", Some("포스터.png")), ("..", None)]
    {
        let body: Value = app.upload(sent, pictures::png()).await.json().await.unwrap();
        assert_eq!(body["filename"].as_str(), shown);
    }
}

#[tokio::test]
async fn each_fault_has_its_own_words() {
    let app = TestApp::start().await;
    let png = pictures::png();
    let cut = png[..png.len() / 2].to_vec();
    for (bytes, status, code) in [
        (Vec::new(), 422, "image_empty"),
        (b"Dear Sir or Madam".to_vec(), 415, "image_type_unknown"),
        (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(), 415, "image_type_not_read"),
        (cut, 422, "image_damaged"),
        (pictures::bomb(ImageFormat::Png), 413, "image_too_many_pixels"),
        (pictures::jpeg_cmyk(), 415, "image_cmyk"),
    ] {
        expect_error(app.upload("x.png", bytes).await, status, code).await;
    }
    let send = |form: Form| app.client.post(app.url("/api/upload")).multipart(form).send();
    let no_picture = send(Form::new().text("name", "x")).await.unwrap();
    expect_error(no_picture, 400, "image_missing").await;
    let part = || Part::bytes(pictures::png());
    let two = send(Form::new().part("image", part()).part("file", part())).await.unwrap();
    expect_error(two, 400, "image_repeated").await;
    let parameter = send(Form::new().part("image", part()).text("steps", "4")).await.unwrap();
    assert!(expect_error(parameter, 400, "unknown_field").await.contains("steps"));
    let no_form = app.client.post(app.url("/api/upload")).body(pictures::png()).send().await.unwrap();
    expect_error(no_form, 400, "invalid_multipart").await;
}

#[tokio::test]
async fn what_is_not_read_is_named_with_what_to_do() {
    let app = TestApp::start().await;
    for (bytes, name, help) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "HEIC picture", "share it as JPEG"),
        (b"8BPS\0\x01", "Photoshop file", "its layers are in it already"),
        (b"%PDF-1.7\n", "PDF", "export the page as PNG"),
    ] {
        let response = app.upload("x", bytes.to_vec()).await;
        let message = expect_error(response, 415, "image_type_not_read").await;
        assert!(message.contains(name) && message.contains(help), "{message}");
    }
}

#[tokio::test]
async fn density_and_what_is_odd_are_told() {
    let app = TestApp::start().await;
    let picture = RgbaImage::from_pixel(30, 20, image::Rgba([9, 8, 7, 255]));
    let mut png = Vec::new();
    layers::write_dense_png(&mut png, &picture, layers::Density::new(300.0, 300.0)).unwrap();
    let whole: Value = app.upload("a4.png", png.clone()).await.json().await.unwrap();
    assert_eq!(whole["density"], serde_json::json!({ "x": 300.0, "y": 300.0 }));
    assert!(whole.get("notes").is_none(), "{whole}");
    // Without the mark of the end, which has twelve bytes.
    let cut: Value = app.upload("a4.png", png[..png.len() - 12].to_vec()).await.json().await.unwrap();
    assert_eq!(cut["notes"][0]["code"], "end_missing", "{cut}");
    // The chunk cICP, which says PQ, behind the header.
    let pq = b"\0\0\0\x04cICP\x09\x10\0\x01\x4d\x23\x23\xfe";
    let hdr = [&png[..33], pq, &png[33..]].concat();
    let hdr: Value = app.upload("hdr.png", hdr).await.json().await.unwrap();
    assert_eq!(hdr["notes"][0]["code"], "tone_mapped", "{hdr}");
    let stored = app.get(cut["links"]["image"].as_str().unwrap()).await.bytes().await.unwrap();
    let read = layers::decode(std::io::Cursor::new(stored), &layers::Limits::default()).unwrap();
    assert_eq!((read.density, read.pixels), (layers::Density::new(300.0, 300.0), picture));
}

#[tokio::test]
async fn too_many_bytes_are_refused_while_they_arrive() {
    let app = TestApp::with([("MAX_FILE_SIZE", "20KB")]).await;
    let small = app.upload("small.png", pictures::noise_png(32)).await;
    assert_eq!(small.status(), 201);
    // Bigger than the file limit, and bigger than the limit of the whole form:
    // the client gets its answer although it still has bytes to send.
    for bytes in [vec![0; 20_001], pictures::noise_png(900)] {
        let message = expect_error(app.upload("big.png", bytes).await, 413, "file_too_large").await;
        assert!(message.contains("20000 bytes"), "{message}");
    }
    assert!(leftovers(&app).is_empty(), "{:?}", leftovers(&app));
}

/// Whatever is in the folder of uploads beside whole uploads.
fn leftovers(app: &TestApp) -> Vec<String> {
    let folder = std::fs::read_dir(app.dir.path().join("uploads")).unwrap();
    let names = folder.map(|entry| entry.unwrap());
    let files = names.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn the_picture_of_an_upload_can_be_cached_and_is_not_guessed() {
    let app = TestApp::start().await;
    let path = format!("/api/uploads/{}.png", app.upload_id().await);
    let response = app.get(&path).await;
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let etag = response.headers()["etag"].clone();
    let again = app.client.get(app.url(&path)).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    for unknown in ["/api/uploads/11111111-1111-4111-8111-111111111111.png", "/api/uploads/x.png", "/api/uploads/x"] {
        expect_error(app.get(unknown).await, 404, "upload_not_found").await;
    }
}
