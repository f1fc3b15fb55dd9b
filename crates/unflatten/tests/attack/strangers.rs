//! Clients without a token, or with somebody else's.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, header};
use serde_json::Value;
use uuid::Uuid;

use crate::sockets::{many, status};
use crate::support::{noise_png, poster_png};
use crate::victim::Victim;

const ALICE: &str = "alice-0123456789-0123456789";
const MALLORY: &str = "mallory-0123456789-0123456789";

async fn guarded() -> Victim {
    let tokens = format!("alice:read+submit+edit:{ALICE},mallory:read+submit+edit:{MALLORY}");
    Victim::start(&[("API_TOKENS", &tokens)]).await
}

async fn send(victim: &Victim, method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = victim.client.http.request(method, format!("{}{path}", victim.client.url));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("the API answers").status().as_u16()
}

/// A finished job of Alice's.
async fn job(victim: &Victim) -> Uuid {
    let form = Form::new().part("image", Part::bytes(poster_png(64, 0)).file_name("poster.png"));
    let post = victim.client.http.post(format!("{}/api/decompose", victim.client.url));
    let answer = post.bearer_auth(ALICE).multipart(form).send().await.expect("the API answers");
    let accepted: Value = answer.json().await.expect("JSON");
    let id: Uuid = accepted["job_id"].as_str().expect("an id").parse().expect("a UUID");
    let started = Instant::now();
    let metadata = format!("/api/jobs/{id}/metadata.json");
    let authorization = format!("Bearer {ALICE}");
    while send(victim, Method::GET, &metadata, &[("authorization", &authorization)]).await != 200 {
        assert!(started.elapsed() < Duration::from_secs(120), "the job does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_open_nothing() {
    let mut victim = guarded().await;
    let id = job(&victim).await;
    let path = format!("/api/jobs/{id}/metadata.json");
    let ends_at = "9999999999";
    let signature = "0".repeat(64);
    let mut tried = 0;
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer null",
        "Bearer alice",
        "bearer alice:read",
        "Basic YWxpY2U6YWxpY2U=",
        "Token x",
        &format!("Bearer {}", &ALICE[1..]),
        &format!("Bearer {ALICE}x"),
        &format!("Bearer {ALICE},{ALICE}"),
        &format!("Bearer {}", ALICE.to_uppercase()),
        &format!("Bearer {}", "x".repeat(8000)),
    ] {
        assert_eq!(send(&victim, Method::GET, &path, &[("authorization", value)]).await, 401, "{value}");
        tried += 1;
    }
    for value in [
        "alice",
        &format!("{ends_at}.{signature}.alice"),
        &format!("{ends_at}..alice"),
        "..alice",
        "....",
        &format!("-1.{signature}.alice"),
        &format!("{ends_at}.{}.alice", "f".repeat(7000)),
        ALICE,
    ] {
        let cookie = format!("unflatten_session={value}; unflatten_session=");
        assert_eq!(send(&victim, Method::GET, &path, &[("cookie", &cookie)]).await, 401, "{value}");
        tried += 1;
    }
    for value in
        ["", "1", ".", &format!("{ends_at}."), &format!("{ends_at}.{signature}"), &format!("{ends_at}.{ALICE}")]
    {
        assert_eq!(send(&victim, Method::GET, &format!("{path}?share={value}"), &[]).await, 401, "{value}");
        tried += 1;
    }
    // Ids that differ from Alice's in a bit, those of nobody, and paths around the check.
    let mallory = format!("Bearer {MALLORY}");
    let near = (0..128).map(|bit| Uuid::from_u128(id.as_u128() ^ (1 << bit)));
    for other in near.chain([id, Uuid::nil(), Uuid::max()]) {
        let path = format!("/api/jobs/{other}/metadata.json");
        assert_eq!(send(&victim, Method::GET, &path, &[("authorization", &mallory)]).await, 404, "{other}");
        tried += 1;
    }
    for path in [
        format!("/api/jobs/{id}/../{id}/metadata.json"),
        format!("//api/jobs/{id}/metadata.json"),
        format!("/api/jobs/{}/metadata.json", id.to_string().to_uppercase()),
        format!("/api/jobs/{}/metadata.json", id.simple()),
        format!("/api/jobs/%7B{id}%7D/metadata.json"),
        format!("/API/jobs/{id}/metadata.json"),
    ] {
        let code = send(&victim, Method::GET, &path, &[("authorization", &mallory)]).await;
        assert_eq!(code, 404, "{path}");
        tried += 1;
    }
    victim.check_alive();
    println!("held: {tried} guesses of tokens, sessions, links and ids");
}

/// Whoever is refused gets to read it, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_send_pictures_in_vain() {
    let mut victim = guarded().await;
    let picture = noise_png(1200, 1200);
    let before = victim.memory_mb();
    let upload = async || {
        let form = Form::new().part("image", Part::bytes(picture.clone()).file_name("poster.png"));
        let post = victim.client.http.post(format!("{}/api/upload", victim.client.url)).multipart(form);
        post.send().await.expect("the answer can be read").status().as_u16()
    };
    assert_eq!(join_all((0..40).map(|_| upload())).await, vec![401; 40]);
    let stored = std::fs::read_dir(victim.dir.path().join("storage/uploads"))
        .map_or(0, |entries| entries.flatten().filter(|entry| entry.file_name() != ".staging").count());
    assert_eq!(stored, 0, "a stranger's picture was stored");
    let grown = victim.memory_mb().saturating_sub(before);
    assert!(grown < 300, "the service grew by {grown} MB");
    // Heads alone, and none of the body.
    let head = b"POST /v1/images/edits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\
                 Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n";
    for mut stream in many(victim.address(), 50, |_| head.to_vec()).await {
        assert_eq!(status(&mut stream, Duration::from_secs(20)).await, Some(401));
    }
    let authorization = format!("Bearer {ALICE}");
    assert_eq!(
        send(&victim, Method::GET, "/api/capabilities", &[(header::AUTHORIZATION.as_str(), &authorization)]).await,
        200
    );
    victim.check_alive();
    println!("held: 40 uploads and 50 heads of strangers were refused, and nothing was stored");
}

/// One client's share of requests and of the storage.
#[tokio::test(flavor = "multi_thread")]
async fn a_greedy_client_is_slowed_down_alone() {
    let mut victim =
        Victim::start(&[("RATE_LIMIT", "120"), ("UPLOADS_PER_CLIENT", "5"), ("CLIENT_KEY_HEADER", "x-client")]).await;
    let ask = async |client: &str| send(&victim, Method::GET, "/api/capabilities", &[("x-client", client)]).await;
    let answers = join_all((0..400).map(|_| ask("greedy"))).await;
    let served = answers.iter().filter(|code| **code == 200).count();
    assert!(
        (120..160).contains(&served) && answers.iter().all(|code| matches!(code, 200 | 429)),
        "{served} were served"
    );
    assert_eq!(ask("other").await, 200);
    let upload = async |client: &'static str| {
        let form = Form::new().part("image", Part::bytes(poster_png(48, 1)).file_name("poster.png"));
        let post = victim.client.http.post(format!("{}/api/upload", victim.client.url)).header("x-client", client);
        post.multipart(form).send().await.expect("the API answers").status().as_u16()
    };
    let mut taken = 0;
    for _ in 0..9 {
        taken += usize::from(upload("hoarder").await == 201);
    }
    assert_eq!((taken, upload("other").await), (5, 201));
    victim.check_alive();
    println!(
        "held: of 400 requests of one client {served} were served, and 5 of its 9 uploads; others were not touched"
    );
}
