//! `unflatten pull` against a server that speaks the hub's protocol: listing, redirects to a
//! content server, ranges, and everything that goes wrong on the way.

mod support;

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use support::{command, stderr, stdout};

const MODEL: &str = "Qwen/Qwen-Image-Layered";
const SHA: &str = "8f0ca708dfff6ba1dd5f2d85d78f8c108a040bcf";

/// A file of a repository; `large` ones are in Git LFS, like weights.
struct Stored {
    bytes: Vec<u8>,
    large: bool,
}

/// A fault of the content server. Each request for a file takes the next one.
#[derive(Clone, Copy)]
enum Fault {
    /// Ends the connection after so many bytes.
    CutAfter(usize),
    /// Changes a byte.
    Damage,
    /// Sends all of it, ignoring the range.
    IgnoreRange,
    Status(u16),
}

#[derive(Default)]
struct Content {
    files: HashMap<(String, String), Stored>,
    commit: String,
    token: Option<String>,
    faults: HashMap<String, Vec<Fault>>,
    /// Path and first requested byte.
    requests: Vec<(String, usize)>,
}

type Shared = Arc<Mutex<Content>>;

/// A hub on a free port.
struct Hub {
    content: Shared,
    address: SocketAddr,
}

impl Hub {
    async fn start(content: Content) -> Self {
        let content = Arc::new(Mutex::new(content));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(Arc::clone(&content));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { content, address }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `unflatten pull` in `dir`, against this hub.
    async fn pull(&self, dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        let mut command = command("unflatten", dir);
        command.arg("pull").args(arguments).envs(settings.iter().copied());
        command.env("HF_ENDPOINT", format!("http://{}", self.address));
        tokio::task::spawn_blocking(move || command.output().expect("started")).await.expect("no panic")
    }
}

async fn answer(State(content): State<Shared>, request: Request) -> Response {
    let (path, headers) = (request.uri().path().to_owned(), request.headers());
    let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = path.strip_prefix("/content/") {
        assert!(headers.get(header::AUTHORIZATION).is_none(), "the token is for the hub alone");
        return deliver(&mut content, file, headers);
    }
    let wanted = content.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some_and(|wanted| headers.get(header::AUTHORIZATION).is_none_or(|found| found != wanted.as_str())) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let parts: Vec<&str> = path.trim_start_matches('/').splitn(5, '/').collect();
    match parts[..] {
        ["api", "models", owner, name, _] => listing(&content, &format!("{owner}/{name}")),
        [owner, name, "resolve", commit, file] => {
            let Some(stored) = content.files.get(&(format!("{owner}/{name}"), file.to_owned())) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let etag = if stored.large { sha256(&stored.bytes) } else { git(&stored.bytes) };
            assert_eq!(commit, content.commit, "every file is asked for at the listed commit");
            // Like the hub: content comes from another host, so the address is absolute.
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).expect("a host");
            let host = host.replace("127.0.0.1", "localhost");
            let location = format!("http://{host}/content/{owner}/{name}/{file}");
            let commit = content.commit.clone();
            if stored.large {
                let linked = format!("\"{etag}\"");
                let headers = [("x-repo-commit", commit), ("x-linked-etag", linked), ("location", location)];
                return (StatusCode::FOUND, headers).into_response();
            }
            let mut response = deliver(&mut content, &format!("{owner}/{name}/{file}"), headers);
            response.headers_mut().insert("x-repo-commit", commit.parse().expect("a header"));
            response.headers_mut().insert("etag", format!("\"{etag}\"").parse().expect("a header"));
            response
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn listing(content: &Content, repository: &str) -> Response {
    let entries = content.files.iter().filter(|((name, _), _)| name == repository);
    let siblings: Vec<Value> = entries
        .map(|((_, path), stored)| {
            let size = stored.bytes.len();
            let large = json!({ "sha256": sha256(&stored.bytes), "size": size, "pointerSize": 130 });
            let blob = git(&stored.bytes);
            match stored.large {
                true => json!({ "rfilename": path, "size": size, "blobId": "0000", "lfs": large }),
                false => json!({ "rfilename": path, "size": size, "blobId": blob }),
            }
        })
        .collect();
    if siblings.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    axum::Json(json!({ "id": repository, "sha": content.commit, "siblings": siblings })).into_response()
}

/// The bytes from the start of the range on, with the next fault of the file.
fn deliver(content: &mut Content, file: &str, headers: &HeaderMap) -> Response {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).unwrap_or("bytes=0-").to_owned();
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').expect("a range");
    let from: usize = from.parse().expect("a number");
    let (owner, rest) = file.split_once('/').expect("a path");
    let (name, path) = rest.split_once('/').expect("a path");
    let mut bytes = content.files[&(format!("{owner}/{name}"), path.to_owned())].bytes.clone();
    let whole = bytes.len();
    // A request for one byte queries the size; it is not a transfer.
    if to == "0" {
        bytes.truncate(1);
    } else {
        content.requests.push((path.to_owned(), from));
        let faults = content.faults.get_mut(path).filter(|faults| !faults.is_empty());
        match faults.map(|faults| faults.remove(0)) {
            Some(Fault::Status(code)) => return StatusCode::from_u16(code).expect("a status").into_response(),
            Some(Fault::Damage) => bytes[whole / 2] ^= 1,
            Some(Fault::IgnoreRange) => return (StatusCode::OK, bytes).into_response(),
            Some(Fault::CutAfter(count)) => {
                let piece = Bytes::copy_from_slice(&bytes[from..(from + count).min(whole)]);
                // The pause lets the data leave before the connection is closed.
                let end = async {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Err(std::io::Error::other("cut off"))
                };
                let pieces = stream::iter([Ok(piece)]).chain(stream::once(end));
                let range = format!("bytes {from}-{}/{whole}", whole - 1);
                let headers = [("content-range", range), ("content-length", (whole - from).to_string())];
                return (StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(pieces)).into_response();
            }
            None => {}
        }
    }
    let range = format!("bytes {from}-{}/{whole}", bytes.len() - 1);
    (StatusCode::PARTIAL_CONTENT, [("content-range", range)], bytes[from..].to_vec()).into_response()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn git(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// A small repository in the published layout.
fn content() -> Content {
    let mut files = HashMap::new();
    let mut add = |repository: &str, path: &str, bytes: Vec<u8>, large| {
        files.insert((repository.to_owned(), path.to_owned()), Stored { bytes, large });
    };
    let weights = |seed: usize| (0..200_000).map(|i| (i * 31 + seed * 7 + i / 251) as u8).collect::<Vec<u8>>();
    for path in ["model_index.json", "vae/config.json", "transformer/config.json", "text_encoder/config.json"] {
        add(MODEL, path, format!("{{\"file\": \"{path}\"}}").into_bytes(), false);
    }
    add(MODEL, "README.md", b"for readers".to_vec(), false);
    add(MODEL, "tokenizer/vocab.json", b"{}".to_vec(), false);
    let index = json!({ "weight_map": { "a": "a-00001.safetensors", "b": "b-00002.safetensors" } });
    add(MODEL, "transformer/model.safetensors.index.json", index.to_string().into_bytes(), false);
    add(MODEL, "transformer/a-00001.safetensors", weights(1), true);
    add(MODEL, "transformer/b-00002.safetensors", weights(2), true);
    add(MODEL, "text_encoder/model.safetensors", weights(3), true);
    add(MODEL, "vae/diffusion_pytorch_model.safetensors", weights(4), true);
    add("QuantStack/Qwen-Image-Layered-GGUF", "Qwen_Image_Layered-Q4_K_M.gguf", weights(5), true);
    let text = "unsloth/Qwen2.5-VL-7B-Instruct-GGUF";
    add(text, "Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf", weights(6), true);
    add(text, "mmproj-F16.gguf", weights(7), true);
    add("lab/stable", "adapter_model.safetensors", weights(8), true);
    add("lab/stable", "adapter_config.json", b"{}".to_vec(), false);
    add("lab/stable", "README.md", b"for readers".to_vec(), false);
    add("lab/two", "a.safetensors", weights(9), true);
    add("lab/two", "b.safetensors", weights(10), true);
    Content { files, commit: SHA.to_owned(), ..Content::default() }
}

fn snapshot(dir: &Path) -> PathBuf {
    dir.join("storage/models/models--Qwen--Qwen-Image-Layered/snapshots").join(SHA)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lora_is_fetched_with_its_config_and_resumed() {
    let (hub, dir) = (Hub::start(content()).await, tempfile::tempdir().expect("a folder"));
    hub.with(|content| {
        content.faults.insert("adapter_model.safetensors".to_owned(), vec![Fault::CutAfter(1000)]);
    });
    let output = hub.pull(dir.path(), &["--lora", "lab/stable"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    let folder = dir.path().join("storage/loras/models--lab--stable/snapshots").join(SHA);
    hub.with(|content| {
        for path in ["adapter_model.safetensors", "adapter_config.json"] {
            let stored = &content.files[&("lab/stable".to_owned(), path.to_owned())];
            assert_eq!(fs::read(folder.join(path)).expect(path), stored.bytes, "{path}");
        }
        let starts: Vec<_> = content.requests.iter().filter(|(path, _)| path.ends_with("model.safetensors")).collect();
        assert!(starts.len() == 2 && starts[1].1 >= 1000, "{starts:?}");
    });
    assert!(!folder.join("README.md").exists());
    for (lora, code, words) in [
        ("lab/two", 2, "a.safetensors, b.safetensors"),
        ("lab/two/c.safetensors", 1, "c.safetensors"),
        ("lab", 2, "owner/name"),
        ("lab/..", 2, "owner/name"),
    ] {
        let output = hub.pull(dir.path(), &["--lora", lora], &[]).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{lora}: {text}");
        assert!(text.contains(words), "{lora}: {text}");
    }
    let one = hub.pull(dir.path(), &["--lora", "lab/two/b.safetensors"], &[]).await;
    assert!(one.status.success(), "{one:?}");
}

fn check_files(hub: &Hub, dir: &Path, wanted: impl Fn(&str) -> bool) {
    hub.with(|content| {
        for ((repository, path), stored) in &content.files {
            let place = snapshot(dir).join(path);
            if repository == MODEL && wanted(path) {
                assert_eq!(fs::read(&place).unwrap_or_else(|_| panic!("{path} is there")), stored.bytes, "{path}");
            } else if repository == MODEL {
                assert!(!place.exists(), "{path} was fetched");
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_fetched_verified_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(content()).await;
    let output = hub.pull(dir.path(), &[], &[]).await;
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    check_files(&hub, dir.path(), |path| path != "README.md");
    let doctor = support::run(dir.path(), &["doctor"]);
    assert!(stdout(&doctor).contains("Qwen/Qwen-Image-Layered (bf16)"), "{}", stdout(&doctor));

    hub.with(|content| content.requests.clear());
    let again = hub.pull(dir.path(), &[], &[]).await;
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(stdout(&again).contains("0 B to fetch"), "{}", stdout(&again));
    hub.with(|content| assert!(content.requests.is_empty(), "{:?}", content.requests));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_brings_its_own_files_and_shares_the_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(content()).await;
    let output = hub.pull(dir.path(), &["--variant", "q4_k_m"], &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    check_files(&hub, dir.path(), |path| {
        path != "README.md" && (path.starts_with("vae/") || !path.contains(".safetensors"))
    });
    let doctor = support::run(dir.path(), &["doctor"]);
    assert!(stdout(&doctor).contains("Qwen/Qwen-Image-Layered (q4_k_m)"), "{}", stdout(&doctor));
    let missing = hub.pull(dir.path(), &["--variant", "q8_0"], &[]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("--variant"), "{}", stderr(&missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_transfer_resumes_where_it_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(content()).await;
    let path = "transformer/a-00001.safetensors";
    // The server recovers within the run: three parts, with a busy server in between.
    let faults = vec![Fault::CutAfter(70_000), Fault::Status(503), Fault::CutAfter(70_000)];
    hub.with(|content| content.faults.insert(path.to_owned(), faults));
    let output = hub.pull(dir.path(), &[], &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    check_files(&hub, dir.path(), |path| path != "README.md");
    let starts = |hub: &Hub| -> Vec<usize> {
        hub.with(|c| c.requests.iter().filter(|(name, _)| name == path).map(|(_, from)| *from).collect())
    };
    let begun = starts(&hub);
    assert_eq!(begun.len(), 4, "{begun:?}");
    assert!(begun.is_sorted() && begun[0] == 0 && begun[3] > 0, "each piece begins where the last ended: {begun:?}");

    // The server stays away: the run fails, and the next one resumes.
    fs::remove_dir_all(dir.path().join("storage")).expect("removed");
    let away = [vec![Fault::CutAfter(90_000)], vec![Fault::Status(503); 5]].concat();
    hub.with(|content| {
        content.requests.clear();
        content.faults.insert(path.to_owned(), away);
    });
    let failed = hub.pull(dir.path(), &[], &[]).await;
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).contains("503"), "{}", stderr(&failed));
    let resumed = hub.pull(dir.path(), &[], &[]).await;
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(*starts(&hub).last().expect("a request") > 0, "{:?}", starts(&hub));
    check_files(&hub, dir.path(), |path| path != "README.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_sends_the_whole_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(content()).await;
    let path = "transformer/a-00001.safetensors";
    hub.with(|content| content.faults.insert(path.to_owned(), vec![Fault::CutAfter(70_000), Fault::IgnoreRange]));
    let output = hub.pull(dir.path(), &[], &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("damaged"), "{}", stderr(&output));
    check_files(&hub, dir.path(), |path| path != "README.md");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_segmenter_is_fetched_alone_and_resumed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut content = content();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../draft/models");
    for (path, file) in [
        ("mobile_sam_image_encoder.onnx", "segment-encoder.onnx"),
        ("sam_mask_decoder_multi.onnx", "segment-decoder.onnx"),
        ("sam_mask_decoder_single.onnx", "segment-decoder.onnx"),
    ] {
        let bytes = fs::read(models.join(file)).expect("there");
        content.files.insert(("Acly/MobileSAM".to_owned(), path.to_owned()), Stored { bytes, large: true });
    }
    let encoder = "mobile_sam_image_encoder.onnx";
    content.faults.insert(encoder.to_owned(), vec![Fault::CutAfter(1_000_000)]);
    let hub = Hub::start(content).await;
    let output = hub.pull(dir.path(), &["segment"], &[]).await;
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("another version"), "{}", stdout(&output));
    let asked: Vec<(String, usize)> = hub.with(|content| content.requests.clone());
    let parts: Vec<usize> = asked.iter().filter(|(path, _)| path == encoder).map(|(_, from)| *from).collect();
    assert!(parts.len() == 2 && parts[1] > 0, "{parts:?}");
    assert!(asked.iter().all(|(path, _)| path == encoder || path == "sam_mask_decoder_multi.onnx"), "{asked:?}");
    let snapshot = dir.path().join("storage/models/models--Acly--MobileSAM/snapshots").join(SHA);
    let stored = hub.with(|content| content.files[&("Acly/MobileSAM".to_owned(), encoder.to_owned())].bytes.clone());
    assert!(fs::read(snapshot.join(encoder)).expect("there") == stored);

    hub.with(|content| content.files.retain(|(repository, path), _| repository != "Acly/MobileSAM" || path == encoder));
    let lacking = hub.pull(dir.path(), &["segment"], &[]).await;
    assert_eq!(lacking.status.code(), Some(1));
    assert!(stderr(&lacking).contains("decoder"), "{}", stderr(&lacking));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_names_never_reach_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(Content { commit: "../../../../evil".to_owned(), ..content() }).await;
    let output = hub.pull(dir.path(), &[], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("impossible commit"), "{}", stderr(&output));
    let left: Vec<_> = fs::read_dir(dir.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["storage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found_and_fetched_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(content()).await;
    let path = "vae/diffusion_pytorch_model.safetensors";
    hub.with(|content| content.faults.insert(path.to_owned(), vec![Fault::Damage]));
    let output = hub.pull(dir.path(), &[], &[]).await;
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    check_files(&hub, dir.path(), |path| path != "README.md");

    // A file that is damaged on the disk is found by the next pull.
    let place = snapshot(dir.path()).join(path);
    let mut bytes = fs::read(&place).expect("there");
    bytes[1000] ^= 1;
    fs::write(fs::canonicalize(&place).expect("a file"), bytes).expect("written");
    let repaired = hub.pull(dir.path(), &[], &[]).await;
    assert!(repaired.status.success(), "{}", stderr(&repaired));
    check_files(&hub, dir.path(), |path| path != "README.md");

    // A file that is damaged at its source is rejected and never used.
    fs::remove_dir_all(dir.path().join("storage")).expect("removed");
    hub.with(|content| content.faults.insert(path.to_owned(), vec![Fault::Damage; 2]));
    let refused = hub.pull(dir.path(), &[], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("damaged twice"), "{}", stderr(&refused));
    assert!(!snapshot(dir.path()).join(path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(Content { token: Some("secret".to_owned()), ..content() }).await;
    let refused = hub.pull(dir.path(), &[], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("HF_TOKEN"), "{}", stderr(&refused));
    let unknown = hub.pull(dir.path(), &[], &[("HF_TOKEN", "secret"), ("MODEL_NAME", "no/such")]).await;
    assert!(stderr(&unknown).contains("MODEL_NAME"), "{}", stderr(&unknown));
    let let_in = hub.pull(dir.path(), &[], &[("HF_TOKEN", "secret")]).await;
    assert!(let_in.status.success(), "{}", stderr(&let_in));
    let secret = [stdout(&let_in), stderr(&let_in)].concat();
    assert!(!secret.contains("secret"), "{secret}");

    for (endpoint, code, word) in
        [("nonsense", 2, "HF_ENDPOINT"), ("http://127.0.0.1:1", 1, "network"), ("file:///etc", 2, "HF_ENDPOINT")]
    {
        let mut command = command("unflatten", dir.path());
        let output = command.arg("pull").env("HF_ENDPOINT", endpoint).output().expect("started");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{endpoint}: {}", stderr(&output));
    }
}
