//! Requests and pictures that are small on the wire and large in memory.

use std::io::Write;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::poster_png;
use crate::victim::Victim;

const MB: usize = 1 << 20;

/// Sends `start`, then `filler` until the service closes the connection or `length` bytes are sent, then waits.
async fn endless(address: String, start: Vec<u8>, filler: u8, length: usize) -> usize {
    let Ok(mut stream) = TcpStream::connect(&address).await else { return 0 };
    let head = "POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=BB\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n", start.len() + length);
    if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&start).await.is_err() {
        return 0;
    }
    let block = vec![filler; 64 << 10];
    let mut sent = 0;
    while sent < length {
        match timeout(Duration::from_secs(15), stream.write_all(&block)).await {
            Ok(Ok(())) => sent += block.len(),
            _ => break,
        }
    }
    sleep(Duration::from_secs(2)).await;
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_part_headers_are_cut() {
    let mut victim = Victim::start(&[]).await;
    let known = victim.finished(poster_png(48, 0)).await;
    let before = victim.memory_mb();
    let starts: [&[u8]; 4] = [
        b"--BB\r\nContent-Disposition: form-data; name=\"image\"; filename=\"",
        b"--BB\r\nX-Long: ",
        b"",
        b"--BB\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n",
    ];
    let mut clients = JoinSet::new();
    for number in 0..40 {
        let start = starts[number % starts.len()].to_vec();
        clients.spawn(endless(victim.address().to_owned(), start, b'x', 40 * MB));
    }
    let mut peak = 0;
    while !clients.is_empty() {
        let _ = timeout(Duration::from_millis(50), clients.join_next()).await;
        peak = peak.max(victim.memory_mb().saturating_sub(before));
    }
    victim.serves_others(known).await;
    victim.check_alive();
    assert!(peak < 150, "{peak} MB for forms without end");
    println!("held: 40 forms with endless headers, preambles and fields of 40 MB: {peak} MB more at most");
}

/// A PNG of 16 x 16 pixels with a chunk whose content inflates to `inflated` bytes.
fn bomb(kind: &[u8; 4], before: &[u8], inflated: usize) -> Vec<u8> {
    let mut deflate = flate2::write::ZlibEncoder::new(before.to_vec(), flate2::Compression::best());
    let zeros = vec![0; MB];
    for _ in 0..inflated / MB {
        deflate.write_all(&zeros).expect("memory takes it");
    }
    let data = deflate.finish().expect("memory takes it");
    let mut png = poster_png(16, 0);
    let mut chunk = u32::try_from(data.len()).expect("a small chunk").to_be_bytes().to_vec();
    chunk.extend_from_slice(kind);
    chunk.extend_from_slice(&data);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk[4..]);
    chunk.extend_from_slice(&crc.sum().to_be_bytes());
    // After the signature and IHDR.
    png.splice(33..33, chunk);
    png
}

async fn upload_all(victim: &Victim, pictures: &[Vec<u8>], copies: usize) -> u64 {
    let before = victim.memory_mb();
    let mut uploads = JoinSet::new();
    for picture in pictures.iter().cycle().take(pictures.len() * copies) {
        let part = reqwest::multipart::Part::bytes(picture.clone()).file_name("bomb.png");
        let form = reqwest::multipart::Form::new().part("image", part);
        let request = victim.client.http.post(format!("{}/api/upload", victim.client.url)).multipart(form).send();
        uploads.spawn(async move { request.await.expect("the API answers").status().as_u16() });
    }
    let mut peak = 0;
    while !uploads.is_empty() {
        if let Ok(Some(status)) = timeout(Duration::from_millis(20), uploads.join_next()).await {
            let status = status.expect("the request does not panic");
            assert!(status < 500 || status == 503, "a picture was answered with {status}");
        }
        peak = peak.max(victim.memory_mb().saturating_sub(before));
    }
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_and_texts_that_inflate_stay_small() {
    let mut victim = Victim::start(&[]).await;
    let known = victim.finished(poster_png(48, 0)).await;
    let pictures = [
        bomb(b"iCCP", b"profile\0\0", 512 * MB),
        bomb(b"zTXt", b"Comment\0\0", 256 * MB),
        bomb(b"iTXt", b"Comment\0\x01\0\0\0", 256 * MB),
    ];
    let peak = upload_all(&victim, &pictures, 2).await;
    victim.serves_others(known).await;
    victim.check_alive();
    assert!(peak < 200, "{peak} MB for pictures of 16 x 16 pixels");
    println!("held: 6 PNGs of 16 x 16 pixels with metadata of 256 to 512 MB: {peak} MB more at most");
}
