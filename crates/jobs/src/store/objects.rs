//! Files in a bucket: S3 and what speaks its language, Google Cloud Storage, Azure Blob Storage.
//!
//! ```text
//! PREFIX/uploads/{upload_id}/manifest.json       which attempt stands, and its files
//! PREFIX/uploads/{upload_id}/{attempt}/image.png, upload.json
//! PREFIX/results/{job_id}/manifest.json
//! PREFIX/results/{job_id}/{attempt}/layer_0.png, ..., metadata.json, preview.jpg
//! PREFIX/results/{job_id}/edits.json, picture_ID.png
//! ```
//!
//! A bucket renames nothing. Each attempt writes under a name of its own, then asks
//! for `manifest.json` to be created if there is none: the bucket lets one through,
//! and what the others wrote was never visible. `edits.json` is replaced only if it
//! is still what was read.

mod folder;
mod open;
mod scratch;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Attribute, Attributes, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion,
};
use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use uuid::Uuid;

use self::folder::ObjectFolder;
use self::scratch::Scratch;
use super::backend::{Backend, Change, Folder, MAX_CHANGED, Shelf, blocking, too_large};
use super::disk::probe::probe;

const MANIFEST: &str = "manifest.json";

/// Files of one folder that are written at once.
const PARALLEL: usize = 4;

/// From this size on a file is sent in parts, each of which is held in memory.
const PART: usize = 8 << 20;

/// Which attempt stands.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    attempt: Uuid,
    /// Length in bytes, by name.
    files: BTreeMap<String, u64>,
}

/// A bucket, or a part of one.
#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<dyn Signer>>,
    prefix: Path,
    url: String,
    scratch: Scratch,
}

impl Objects {
    /// An object that says that the bucket could be written to.
    fn probe(&self) -> Path {
        self.prefix.clone().join("probe")
    }

    /// Proves that it can be written to.
    async fn prepare(&self) -> io::Result<()> {
        self.store.put(&self.probe(), PutPayload::from_static(b"probe")).await?;
        Ok(())
    }

    fn folder_path(&self, shelf: Shelf, id: Uuid) -> Path {
        self.prefix.clone().join(shelf.name()).join(id.to_string())
    }

    /// The manifest of a folder.
    async fn manifest(&self, shelf: Shelf, id: Uuid) -> io::Result<Option<Manifest>> {
        let found = match self.store.get(&self.folder_path(shelf, id).join(MANIFEST)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(err) => return Err(err.into()),
        };
        Ok(Some(serde_json::from_slice(&found.bytes().await?)?))
    }

    /// What an object holds, and how it is replaced if it still does.
    async fn version(&self, path: &Path) -> io::Result<(Option<Vec<u8>>, PutMode)> {
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok((None, PutMode::Create)),
            Err(err) => return Err(err.into()),
        };
        if found.meta.size > MAX_CHANGED {
            return Err(too_large());
        }
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        Ok((Some(found.bytes().await?.into()), PutMode::Update(version)))
    }

    async fn upload(&self, from: &FilePath, to: Path) -> io::Result<u64> {
        let mut file = tokio::fs::File::open(from).await?;
        let about = Attributes::from_iter([(Attribute::ContentType, media_type(to.as_ref()))]);
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.store), to, PART).with_attributes(about);
        match tokio::io::copy(&mut file, &mut writer).await {
            Ok(len) => writer.shutdown().await.map(|()| len),
            Err(err) => {
                // What was sent of it would be kept, and paid for, unseen.
                let _ = writer.abort().await;
                Err(err)
            }
        }
    }

    async fn upload_all(&self, files: Vec<String>, from: &FilePath, to: &Path) -> io::Result<BTreeMap<String, u64>> {
        let uploads = stream::iter(files).map(|name| async move {
            let len = self.upload(&from.join(&name), to.clone().join(name.as_str())).await?;
            Ok::<_, io::Error>((name, len))
        });
        uploads.buffer_unordered(PARALLEL).try_collect().await
    }

    /// Creates an object. `false`: there is one already.
    async fn create(&self, path: &Path, content: Vec<u8>) -> io::Result<bool> {
        match self.store.put_opts(path, PutPayload::from(content), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }

    async fn delete_all(&self, prefix: &Path) -> io::Result<()> {
        let found = self.store.list(Some(prefix)).map_ok(|meta| meta.location).boxed();
        Ok(self.store.delete_stream(found).try_for_each(|_| async { Ok(()) }).await?)
    }

    async fn delete(&self, path: &Path) -> io::Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    /// Everything on a shelf.
    async fn list(&self, shelf: Shelf) -> io::Result<Vec<Listed>> {
        let root = self.prefix.clone().join(shelf.name());
        let skip = root.parts().count();
        let listed = self.store.list(Some(&root)).try_filter_map(|meta| async move {
            let mut parts = meta.location.parts().skip(skip);
            let id = parts.next().and_then(|part| part.as_ref().parse().ok());
            let first = parts.next().map(|part| part.as_ref().to_owned());
            Ok(id.zip(first).map(|(id, first)| Listed { id, first, meta }))
        });
        Ok(listed.try_collect().await?)
    }
}

/// An object, and the folder that it belongs to.
struct Listed {
    id: Uuid,
    /// The next part of its key: a name, or an attempt.
    first: String,
    meta: ObjectMeta,
}

#[async_trait]
impl Backend for Objects {
    fn describe(&self) -> String {
        self.url.clone()
    }

    fn place(&self, _: Shelf) -> String {
        format!("{} (STORAGE_URL)", self.url)
    }

    fn scratch(&self, _: Shelf) -> io::Result<NamedTempFile> {
        self.scratch.file()
    }

    fn stage(&self, _: Shelf) -> io::Result<TempDir> {
        self.scratch.folder()
    }

    async fn publish(&self, shelf: Shelf, id: Uuid, staged: TempDir) -> io::Result<bool> {
        let attempt = Uuid::new_v4();
        let place = self.folder_path(shelf, id).join(attempt.to_string());
        let files = self.upload_all(names(staged.path()).await?, staged.path(), &place).await?;
        let manifest = serde_json::to_vec_pretty(&Manifest { attempt, files })?;
        let is_first = self.create(&self.folder_path(shelf, id).join(MANIFEST), manifest).await?
            // An answer that got lost makes the client ask again, and find its own.
            || self.manifest(shelf, id).await?.is_some_and(|standing| standing.attempt == attempt);
        if !is_first {
            self.delete_all(&place).await?;
        }
        Ok(is_first)
    }

    async fn folder(&self, shelf: Shelf, id: Uuid) -> io::Result<Option<Arc<dyn Folder>>> {
        let Some(manifest) = self.manifest(shelf, id).await? else { return Ok(None) };
        let (store, signer) = (Arc::clone(&self.store), self.signer.clone());
        Ok(Some(Arc::new(ObjectFolder { store, signer, path: self.folder_path(shelf, id), manifest })))
    }

    async fn change(&self, shelf: Shelf, id: Uuid, name: &str, change: Change, deadline: Instant) -> io::Result<bool> {
        if self.manifest(shelf, id).await?.is_none() {
            return Ok(false);
        }
        let path = self.folder_path(shelf, id).join(name);
        loop {
            let (before, mode) = self.version(&path).await?;
            let Some(after) = change(before.as_deref())? else { return Ok(true) };
            match self.store.put_opts(&path, PutPayload::from(after), mode.into()).await {
                Ok(_) => return Ok(true),
                // Somebody else was faster: on top of theirs then.
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {}
                Err(err) => return Err(err.into()),
            }
            if Instant::now() >= deadline {
                return Err(io::Error::new(ErrorKind::ResourceBusy, "others keep changing it"));
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(5..100))).await;
        }
    }

    async fn add(&self, shelf: Shelf, id: Uuid, name: &str, file: NamedTempFile) -> io::Result<bool> {
        if self.manifest(shelf, id).await?.is_none() {
            return Ok(false);
        }
        let path = self.folder_path(shelf, id).join(name);
        self.upload(file.path(), path.clone()).await?;
        // Deleted meanwhile: what is left of a folder would stay until it is swept.
        let is_there = self.manifest(shelf, id).await?.is_some();
        if !is_there {
            self.delete(&path).await?;
        }
        Ok(is_there)
    }

    async fn added(&self, shelf: Shelf, id: Uuid) -> io::Result<Vec<(String, OffsetDateTime)>> {
        // Without what lies in folders: an attempt's files.
        let listed = self.store.list_with_delimiter(Some(&self.folder_path(shelf, id))).await?;
        let name = |meta: &ObjectMeta| meta.location.filename().map(|name| (name.to_owned(), written_at(meta)));
        Ok(listed.objects.iter().filter_map(name).collect())
    }

    async fn remove_added(&self, shelf: Shelf, id: Uuid, name: &str) -> io::Result<()> {
        self.delete(&self.folder_path(shelf, id).join(name)).await
    }

    async fn remove(&self, shelf: Shelf, id: Uuid) -> io::Result<bool> {
        if self.manifest(shelf, id).await?.is_none() {
            return Ok(false);
        }
        // Out of sight first: a crash in between leaves leftovers, no half of a folder.
        self.delete(&self.folder_path(shelf, id).join(MANIFEST)).await?;
        self.delete_all(&self.folder_path(shelf, id)).await?;
        Ok(true)
    }

    async fn published_before(&self, shelf: Shelf, cutoff: OffsetDateTime) -> io::Result<Vec<Uuid>> {
        let is_old = |listed: &Listed| listed.first == MANIFEST && written_at(&listed.meta) < cutoff;
        Ok(self.list(shelf).await?.into_iter().filter(is_old).map(|listed| listed.id).collect())
    }

    async fn sizes(&self, shelf: Shelf) -> io::Result<Vec<(Uuid, u64)>> {
        let mut sizes: BTreeMap<Uuid, u64> = BTreeMap::new();
        for listed in self.list(shelf).await? {
            *sizes.entry(listed.id).or_default() += listed.meta.size;
        }
        Ok(sizes.into_iter().collect())
    }

    async fn sweep(&self, cutoff: OffsetDateTime) -> io::Result<usize> {
        let scratch = self.scratch.clone();
        let on_disk = blocking(move || scratch.sweep(cutoff)).await?;
        let mut swept = HashSet::new();
        for shelf in Shelf::ALL {
            let listed = self.list(shelf).await?;
            let mut folders: BTreeMap<Uuid, Vec<Listed>> = BTreeMap::new();
            for object in listed {
                folders.entry(object.id).or_default().push(object);
            }
            for (id, objects) in folders {
                let attempts: HashSet<&str> = objects
                    .iter()
                    .map(|object| object.first.as_str())
                    .filter(|first| first.parse::<Uuid>().is_ok())
                    .collect();
                let is_whole = objects.iter().any(|object| object.first == MANIFEST) && attempts.len() <= 1;
                if is_whole || objects.iter().all(|object| written_at(&object.meta) >= cutoff) {
                    continue;
                }
                // Asked for after listing: what was published meanwhile stays.
                let standing = self.manifest(shelf, id).await?.map(|manifest| manifest.attempt.to_string());
                for object in &objects {
                    let is_kept = match &standing {
                        Some(attempt) => object.first == *attempt || object.first.parse::<Uuid>().is_err(),
                        None => false,
                    };
                    if !is_kept && written_at(&object.meta) < cutoff {
                        self.delete(&object.meta.location).await?;
                        swept.insert((shelf.name(), id, object.first.clone()));
                    }
                }
            }
        }
        Ok(on_disk + swept.len())
    }

    async fn check(&self, shelf: Shelf) -> io::Result<()> {
        match shelf {
            Shelf::Uploads => {
                let scratch = self.scratch.clone();
                let probe = move || {
                    scratch.file().and_then(|file| probe(file, scratch.place())).map_err(|err| scratch.failed(&err))
                };
                blocking(probe).await
            }
            Shelf::Results => self.prepare().await,
        }
    }
}

/// What a browser that is sent to the bucket is told of a file.
fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "png")) => "image/png",
        Some((_, "jpg")) => "image/jpeg",
        Some((_, "json")) => "application/json",
        _ => "application/octet-stream",
    }
}

async fn names(folder: &FilePath) -> io::Result<Vec<String>> {
    let mut entries = tokio::fs::read_dir(folder).await?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().into_string();
        names.push(name.map_err(|name| io::Error::other(format!("{} is not a valid name", name.display())))?);
    }
    Ok(names)
}

fn written_at(meta: &ObjectMeta) -> OffsetDateTime {
    let at = meta.last_modified;
    let nanoseconds = i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos());
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
