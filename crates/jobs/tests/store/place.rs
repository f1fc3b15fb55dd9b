//! A store to test, and short words for what tests do with it.

#[cfg(feature = "testing-bucket")]
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

#[cfg(feature = "testing-bucket")]
use jobs::store::StoreConfig;
use jobs::store::{Published, Store, Upload};
#[cfg(feature = "testing-bucket")]
use jobs::testing::BucketServer;
use jobs::{InputInfo, JobId, Metadata, Params};
#[cfg(feature = "testing-bucket")]
use service::Settings;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

/// A place of the test's own, and a store in it.
pub(crate) struct Place {
    pub store: Store,
    kind: Kind,
}

enum Kind {
    Folder(TempDir),
    #[cfg(feature = "testing-bucket")]
    Bucket(BucketServer),
}

impl Place {
    pub(crate) async fn folder() -> Self {
        let dir = TempDir::new().unwrap();
        Self { store: open(dir.path()).await, kind: Kind::Folder(dir) }
    }

    #[cfg(feature = "testing-bucket")]
    pub(crate) async fn bucket() -> Self {
        let server = BucketServer::start().await;
        Self { store: open_bucket(&server).await, kind: Kind::Bucket(server) }
    }

    /// The same place as another process sees it.
    pub(crate) async fn other(&self) -> Store {
        match &self.kind {
            Kind::Folder(dir) => open(dir.path()).await,
            #[cfg(feature = "testing-bucket")]
            Kind::Bucket(server) => open_bucket(server).await,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        match &self.kind {
            Kind::Folder(dir) => dir.path(),
            #[cfg(feature = "testing-bucket")]
            Kind::Bucket(_) => panic!("a bucket is not a folder"),
        }
    }

    #[cfg(feature = "testing-bucket")]
    pub(crate) fn server(&self) -> &BucketServer {
        match &self.kind {
            Kind::Folder(_) => panic!("a folder is not a bucket"),
            Kind::Bucket(server) => server,
        }
    }

    /// How much is there that no upload and no result shows.
    pub(crate) fn leftovers(&self) -> usize {
        match &self.kind {
            Kind::Folder(dir) => ["a/uploads/.staging", "b/results/.staging"]
                .iter()
                .map(|staging| std::fs::read_dir(dir.path().join(staging)).unwrap().count())
                .sum(),
            #[cfg(feature = "testing-bucket")]
            Kind::Bucket(server) => unseen_attempts(&server.keys()),
        }
    }
}

#[cfg(feature = "testing-bucket")]
/// Attempts at a folder beyond the one that can stand.
fn unseen_attempts(keys: &[String]) -> usize {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in keys.iter().filter(|key| key.matches('/').count() >= 5) {
        let (folder, rest) = key.rsplit_once('/').map(|(dir, _)| dir.rsplit_once('/').unwrap()).unwrap();
        let attempts = folders.entry(folder.to_owned()).or_default();
        if !attempts.contains(&rest.to_owned()) {
            attempts.push(rest.to_owned());
        }
    }
    let stands = |folder: &str| keys.contains(&format!("{folder}/manifest.json"));
    folders.iter().map(|(folder, attempts)| attempts.len() - usize::from(stands(folder))).sum()
}

async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("a/uploads"), &dir.join("b/results")).await.unwrap()
}

#[cfg(feature = "testing-bucket")]
async fn open_bucket(server: &BucketServer) -> Store {
    let settings = server.settings();
    let settings = Settings::from_pairs(settings.iter().map(|(name, value)| (*name, value.as_str())));
    StoreConfig::from_settings(&settings).unwrap().open().await.unwrap()
}

pub(crate) fn input() -> InputInfo {
    let filename = Some("../../poster.png".to_owned());
    InputInfo {
        filename,
        format: "png".to_owned(),
        width: 2,
        height: 3,
        has_alpha: false,
        density: None,
        notes: Vec::new(),
        sha256: "00".repeat(32),
        parent: None,
    }
}

pub(crate) async fn put_upload(store: &Store, png: &[u8]) -> Upload {
    let upload = Upload { id: Uuid::new_v4(), input: input(), created_at: OffsetDateTime::UNIX_EPOCH };
    let mut file = store.scratch().unwrap();
    file.write_all(png).unwrap();
    store.put_upload(&upload, file).await.unwrap();
    upload
}

pub(crate) fn metadata(id: JobId, note: &str) -> Metadata {
    let json = serde_json::json!({
        "schema_version": jobs::SCHEMA_VERSION, "job_id": id, "input": input(), "params": Params::default(), "seed": 7,
        "engine": {"name": "draft", "version": "1", "device": "cpu", "reason": "asked for"},
        "created_at": "2026-01-02T03:04:05Z", "duration_ms": 5, "layers": [],
        "recomposition": {"max_error": 0, "mean_error": 0.0, "psnr_db": null}, "notes": [note],
    });
    serde_json::from_value(json).unwrap()
}

pub(crate) async fn publish(store: &Store, id: JobId, note: &str) -> Published {
    let staging = store.stage(id).unwrap();
    std::fs::write(staging.dir().join("layer_0.png"), note).unwrap();
    std::fs::write(staging.dir().join("metadata.json"), serde_json::to_vec(&metadata(id, note)).unwrap()).unwrap();
    store.publish(staging).await.unwrap()
}

pub(crate) async fn read(store: &Store, id: JobId, name: &str) -> Option<Vec<u8>> {
    let file = store.result_file(id, name).await.unwrap()?;
    let len = file.len;
    let mut bytes = Vec::new();
    file.read().await.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, len);
    Some(bytes)
}

pub(crate) fn later() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(60)
}
