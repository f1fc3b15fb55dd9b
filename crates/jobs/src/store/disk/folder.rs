//! Published folders, and the files in them.

use std::io::{self, ErrorKind, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::identity::FolderIdentity;
use crate::store::backend::{Content, Folder, MAX_CHANGED, Reader, StoredFile, blocking, read_whole, too_large};

/// The folder of one upload or result.
#[derive(Debug)]
pub(super) struct DiskFolder {
    pub(super) place: PathBuf,
    /// The folder of the shelf, and what it was when it was opened.
    pub(super) shelf: Arc<Path>,
    pub(super) identity: Arc<FolderIdentity>,
}

#[async_trait]
impl Folder for DiskFolder {
    async fn open(&self, name: &str) -> io::Result<Option<StoredFile>> {
        let file = match tokio::fs::File::open(self.place.join(name)).await {
            Ok(file) => file,
            Err(err) if err.kind() == ErrorKind::NotFound => {
                // Before it is said that something is not there.
                let (identity, shelf) = (Arc::clone(&self.identity), Arc::clone(&self.shelf));
                return blocking(move || identity.verify(&shelf)).await.map(|()| None);
            }
            Err(err) => return Err(err),
        };
        let len = file.metadata().await?.len();
        Ok(Some(StoredFile { len, content: Box::new(Opened(file)) }))
    }

    async fn open_added(&self, name: &str) -> io::Result<Option<StoredFile>> {
        self.open(name).await
    }

    async fn read_changing(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.open(name).await? {
            Some(file) if file.len > MAX_CHANGED => Err(too_large()),
            Some(file) => read_whole(file).await,
            None => Ok(None),
        }
    }

    async fn signed_url(&self, _: &str, _: Duration) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// Stays readable when its folder is deleted meanwhile.
struct Opened(tokio::fs::File);

#[async_trait]
impl Content for Opened {
    async fn read(self: Box<Self>, range: Option<Range<u64>>) -> io::Result<Reader> {
        let Self(mut file) = *self;
        let Some(range) = range else { return Ok(Box::pin(file)) };
        file.seek(SeekFrom::Start(range.start)).await?;
        Ok(Box::pin(file.take(range.end - range.start)))
    }
}
