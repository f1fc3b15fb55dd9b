//! Published folders of a bucket, and the objects in them.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use tokio_util::io::StreamReader;

use super::Manifest;
use crate::store::backend::{Content, Folder, MAX_CHANGED, Reader, StoredFile, too_large};

/// A folder that stands, with its manifest: its published files are found without asking the bucket.
#[derive(Debug)]
pub(super) struct ObjectFolder {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) path: Path,
    pub(super) manifest: Manifest,
}

impl ObjectFolder {
    /// The key and length of a published file.
    fn locate(&self, name: &str) -> Option<(Path, u64)> {
        let len = *self.manifest.files.get(name)?;
        Some((self.path.clone().join(self.manifest.attempt.to_string()).join(name), len))
    }
}

#[async_trait]
impl Folder for ObjectFolder {
    async fn open(&self, name: &str) -> io::Result<Option<StoredFile>> {
        let found = self.locate(name).map(|(path, len)| {
            let content = Box::new(Object { store: Arc::clone(&self.store), path });
            StoredFile { len, content }
        });
        Ok(found)
    }

    async fn open_added(&self, name: &str) -> io::Result<Option<StoredFile>> {
        let path = self.path.clone().join(name);
        match self.store.head(&path).await {
            Ok(meta) => {
                let content = Box::new(Object { store: Arc::clone(&self.store), path });
                Ok(Some(StoredFile { len: meta.size, content }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    async fn read_changing(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.store.get(&self.path.clone().join(name)).await {
            Ok(found) if found.meta.size > MAX_CHANGED => Err(too_large()),
            Ok(found) => Ok(Some(found.bytes().await?.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    async fn signed_url(&self, name: &str, valid: Duration) -> io::Result<Option<String>> {
        let (Some(signer), Some((path, _))) = (&self.signer, self.locate(name)) else { return Ok(None) };
        Ok(Some(signer.signed_url(http::Method::GET, &path, valid).await?.into()))
    }
}

/// An object that was found.
struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

#[async_trait]
impl Content for Object {
    async fn read(self: Box<Self>, range: Option<Range<u64>>) -> io::Result<Reader> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store.get_opts(&self.path, options).await?;
        Ok(Box::pin(StreamReader::new(found.into_stream().map_err(io::Error::from))))
    }
}
