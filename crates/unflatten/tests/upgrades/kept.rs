//! What samples hold, and how they are laid out.

use std::fs::File;
use std::path::{Path, PathBuf};

use jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use zip::write::SimpleFileOptions;

use crate::support::Client;

const TOKEN: &str = "unf_sample-0123456789-0123456789-0123456789";

/// The settings that samples were written with. Results are kept, however old they are.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("API_TOKENS", "alice:read+submit+edit:unf_sample-0123456789-0123456789-0123456789"),
    ("SIGNING_SECRET", "a-secret-of-samples-that-has-more-than-32-characters"),
    ("CLEANUP_AFTER_HOURS", "0"),
    ("ENGINES", "draft"),
];

const KEY: &str = "a key of the sample";

/// What a service said of a sample when it was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// `YYYY-MM-DD hh:mm:ss`, in UTC.
    pub time: String,
    pub upload: Uuid,
    /// The edited one first, then the one that a layer of it was split into, and perhaps more.
    pub finished: Vec<JobId>,
    pub waiting: Vec<JobId>,
    /// The number of a version of the first one's document.
    pub version: u64,
    /// The path of a shared link.
    pub shared: String,
    pub answers: Vec<Answer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub path: String,
    pub body: Value,
}

impl Expected {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("a sample's expected.json")
    }
}

/// A client with the sample's token.
pub(crate) struct Session {
    pub client: Client,
}

impl Session {
    pub(crate) fn new(url: &str) -> Self {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("Authorization", format!("Bearer {TOKEN}").parse().expect("a header"));
        jobs::testing::choose_tls();
        let http = reqwest::Client::builder().default_headers(headers).timeout(crate::support::PATIENCE);
        Self { client: Client { url: url.to_owned(), http: http.build().expect("a client") } }
    }

    /// Submits the job of the sample's idempotency key: its id, and whether it was there already.
    pub(crate) async fn submit_once(&self, upload: Uuid) -> (JobId, bool) {
        let asked = json!({ "upload_id": upload, "num_layers": 3, "seed": 7 });
        let request = self.client.http.post(format!("{}/api/decompose", self.client.url));
        let answer = request.header("Idempotency-Key", KEY).json(&asked).send().await.expect("the API answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        let replayed = answer.headers().get("Idempotency-Replayed").is_some_and(|value| value == "true");
        let body: Value = answer.json().await.expect("JSON");
        (serde_json::from_value(body["job_id"].clone()).expect("an id"), replayed)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.http.post(format!("{}{path}", self.client.url)).json(body).send().await;
        let answer = answer.expect("the API answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.client.http.get(format!("{}{path}", self.client.url)).send().await.expect("the API answers");
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.expect("a body").to_vec()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrades/samples")
}

/// The folder of each sample.
pub(crate) fn samples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("there are samples").map(|entry| entry.expect("an entry").path());
    let samples: Vec<_> = entries.collect();
    assert!(!samples.is_empty());
    samples
}

/// The folder of a new sample, made empty.
pub(crate) fn new_sample(name: &str) -> PathBuf {
    let folder = folder().join(name);
    assert!(!folder.exists(), "{} is there already, and samples are never changed", folder.display());
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// Packs a folder with all that is in it.
pub(crate) fn pack(folder: &Path, to: &Path) {
    let mut archive = zip::ZipWriter::new(File::create(to).expect("the archive can be made"));
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(&inner).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let name = entry.strip_prefix(folder).expect("inside").to_string_lossy().into_owned();
            archive.start_file(name, SimpleFileOptions::default()).expect("a file can be added");
            std::io::copy(&mut File::open(&entry).expect("a file"), &mut archive).expect("the file can be packed");
        }
    }
    archive.finish().expect("the archive can be finished");
}

/// The commands, in words, that make a Redis what the one at `url` is.
pub(crate) fn dump(url: &str) -> Vec<Vec<String>> {
    let mut redis = connect(url);
    let mut keys: Vec<String> = ask(&mut redis, &["KEYS", "*"]);
    keys.sort();
    let mut commands = Vec::new();
    for key in &keys {
        let kind: String = ask(&mut redis, &["TYPE", key]);
        let ttl: i64 = ask(&mut redis, &["PTTL", key]);
        assert_eq!(ttl, -1, "{key} expires");
        let (write, values): (&str, Vec<String>) = match kind.as_str() {
            "string" => ("SET", vec![ask(&mut redis, &["GET", key])]),
            "hash" => ("HSET", ask(&mut redis, &["HGETALL", key])),
            "zset" => {
                let mut pairs: Vec<String> = ask(&mut redis, &["ZRANGE", key, "0", "-1", "WITHSCORES"]);
                // A member comes before its score when it is read, and after it when it is written.
                pairs.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
                ("ZADD", pairs)
            }
            "stream" => {
                commands.extend(dump_stream(&mut redis, key));
                continue;
            }
            other => panic!("{key} is a {other}"),
        };
        commands.push([vec![write.to_owned(), key.clone()], values].concat());
    }
    commands
}

fn dump_stream(redis: &mut redis::Connection, key: &str) -> Vec<Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let entries: Vec<(String, Vec<String>)> = ask(redis, &["XRANGE", key, "-", "+"]);
    let mut commands: Vec<_> =
        entries.into_iter().map(|(id, fields)| [words(&["XADD", key, &id]), fields].concat()).collect();
    let groups: Vec<std::collections::HashMap<String, redis::Value>> = ask(redis, &["XINFO", "GROUPS", key]);
    for group in groups {
        let text = |name: &str| redis::from_redis_value::<String>(group[name].clone()).expect("text");
        commands.push(words(&["XGROUP", "CREATE", key, &text("name"), &text("last-delivered-id"), "MKSTREAM"]));
    }
    commands
}

/// Runs the commands of a file that [`dump`] filled.
pub(crate) fn restore(url: &str, file: &Path) {
    let text = std::fs::read(file).expect("queue.json is there");
    let commands: Vec<Vec<String>> = serde_json::from_slice(&text).expect("a list of commands");
    let mut redis = connect(url);
    for words in commands {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let _: redis::Value = ask(&mut redis, &words);
    }
}

fn connect(url: &str) -> redis::Connection {
    redis::Client::open(url).expect("an address").get_connection().expect("Redis answers")
}

fn ask<T: redis::FromRedisValue>(redis: &mut redis::Connection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(redis).unwrap_or_else(|error| panic!("{}: {error}", words.join(" ")))
}
