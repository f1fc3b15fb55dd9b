//! Stored files, block by block. No thread waits for a client: a block is read when the connection asks for one. While
//! descriptors are plentiful a file stays open from its first block to its last. Once they are short, further files are
//! reopened for every block, so that clients that do not read hold no descriptors but their sockets.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use jobs::Store;
use jobs::document::PictureId;
use jobs::store::{Reader, StoreError, StoredFile, StoredResult};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Bytes of a block; the last one of a file may be shorter.
pub(crate) const BLOCK: usize = 64 << 10;

/// One in so many of the process's descriptors may be a file that is kept open between two blocks.
const KEPT_SHARE: usize = 8;

/// Used when the process's limit of descriptors is unknown or unlimited.
const KEPT_BY_DEFAULT: usize = 128;
const KEPT_AT_MOST: usize = 4096;

static KEPT: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let limit = std::fs::read_to_string("/proc/self/limits").ok().and_then(|text| descriptor_limit(&text));
    let kept = limit.map_or(KEPT_BY_DEFAULT, |limit| (limit / KEPT_SHARE).clamp(1, KEPT_AT_MOST));
    Arc::new(Semaphore::new(kept))
});

/// Files that may be reopened at the same time, each for one block.
static REOPENED: Semaphore = Semaphore::const_new(16);

/// The soft limit, from Linux's `/proc/self/limits`.
fn descriptor_limit(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A permit to keep files open, held as long as they are.
pub(crate) fn keep_open(files: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(&KEPT).try_acquire_many_owned(u32::try_from(files).ok()?).ok()
}

/// A stored file, and where to open it.
#[derive(Debug, Clone)]
pub(crate) enum FileName {
    Upload(Store, Uuid),
    Result(StoredResult, String),
    Picture(StoredResult, PictureId),
}

impl FileName {
    pub(crate) async fn open(&self) -> Result<Option<StoredFile>, StoreError> {
        match self {
            Self::Upload(store, id) => store.upload_file(*id).await,
            Self::Result(result, name) => result.open(name).await,
            Self::Picture(result, id) => result.open_picture(*id).await,
        }
    }
}

/// Reads a stored file block by block.
pub(crate) struct BlockReader {
    name: FileName,
    position: u64,
    /// Known once the file was opened.
    end: Option<u64>,
    open: Option<OpenFile>,
}

/// An open file.
struct OpenFile {
    content: Content,
    _permit: OwnedSemaphorePermit,
}

enum Content {
    /// Nothing was requested yet: a remote storage would not keep an answer open for long.
    Unread(StoredFile),
    Reading(Reader),
}

impl BlockReader {
    /// Reopens the file for every block.
    pub(crate) fn reopening(name: FileName) -> Self {
        Self { name, position: 0, end: None, open: None }
    }

    /// Keeps an open file open if there is a permit for it; otherwise as [`BlockReader::reopening`].
    pub(crate) fn opened(name: FileName, file: StoredFile, permit: Option<OwnedSemaphorePermit>) -> Self {
        let end = Some(file.len);
        let open = permit.map(|permit| OpenFile { content: Content::Unread(file), _permit: permit });
        Self { end, open, ..Self::reopening(name) }
    }

    /// Reads only these bytes, which lie within the file.
    pub(crate) async fn within(mut self, range: Range<u64>) -> io::Result<Self> {
        (self.position, self.end) = (range.start, Some(range.end));
        if let Some(open) = self.open.take() {
            let content = match open.content {
                Content::Unread(file) => Content::Reading(file.read_range(range).await?),
                reading @ Content::Reading(_) => reading,
            };
            self.open = Some(OpenFile { content, ..open });
        }
        Ok(self)
    }

    /// The next block; the last one may be shorter, and it is empty after the end.
    pub(crate) async fn next(&mut self) -> io::Result<Bytes> {
        let left = self.end.map_or(BLOCK as u64, |end| end.saturating_sub(self.position));
        // At most a block, which is a usize.
        let wanted = left.min(BLOCK as u64) as usize;
        if wanted == 0 {
            self.open = None;
            return Ok(Bytes::new());
        }
        let block = match self.open.take() {
            Some(open) => {
                let mut reader = match open.content {
                    Content::Unread(file) => file.read().await?,
                    Content::Reading(reader) => reader,
                };
                let block = read_block(&mut reader, wanted).await?;
                self.open = Some(OpenFile { content: Content::Reading(reader), ..open });
                block
            }
            None => self.reopen(wanted).await?,
        };
        self.position += block.len() as u64;
        match self.end {
            Some(end) if self.position < end && block.len() < wanted => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(block),
        }
    }

    async fn reopen(&mut self, wanted: usize) -> io::Result<Bytes> {
        let _permit = REOPENED.acquire().await.map_err(io::Error::other)?;
        let file = self.name.open().await.map_err(io::Error::other)?;
        let file = file
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the file was deleted while it was being sent"))?;
        let end = *self.end.get_or_insert(file.len);
        let range = self.position..end.min(self.position + wanted as u64);
        let length = (range.end - range.start) as usize;
        if length == 0 {
            return Ok(Bytes::new());
        }
        read_block(&mut file.read_range(range).await?, length).await
    }

    /// The blocks as a stream, for the body of an answer.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self, |mut blocks| async move {
            let block = blocks.next().await?;
            Ok((!block.is_empty()).then_some((block, blocks)))
        })
    }
}

/// The next `length` bytes, fewer only at the end.
async fn read_block(reader: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Bytes> {
    let mut block = BytesMut::with_capacity(length);
    let mut rest = reader.take(length as u64);
    while block.len() < length && rest.read_buf(&mut block).await? > 0 {}
    Ok(block.freeze())
}

/// A store with a result that has one layer with these bytes.
#[cfg(test)]
pub(crate) async fn stored(layer: &[u8]) -> (tempfile::TempDir, Store, StoredResult) {
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("uploads"), &dir.path().join("results")).await.unwrap();
    let id = Uuid::new_v4();
    let staging = store.stage(id).unwrap();
    std::fs::write(staging.dir().join("layer_0.png"), layer).unwrap();
    std::fs::write(staging.dir().join("metadata.json"), "{}").unwrap();
    store.publish(staging).await.unwrap();
    let result = store.result(id).await.unwrap().unwrap();
    (dir, store, result)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[test]
    fn the_limit_of_descriptors_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 1048576              files     \n";
        assert_eq!(descriptor_limit(text), Some(1024));
        assert_eq!(descriptor_limit(&text.replace("1024 ", "unlimited ")), None);
        assert_eq!(descriptor_limit("nothing"), None);
    }

    #[tokio::test]
    async fn a_file_is_the_same_kept_open_or_opened_anew() {
        let content: Vec<u8> = (0..200_001_u32).map(|n| n as u8).collect();
        let (_dir, _store, result) = stored(&content).await;
        let name = FileName::Result(result, "layer_0.png".to_owned());
        let all = |blocks: BlockReader| {
            blocks.into_stream().try_fold(Vec::new(), |sum, block| async move {
                assert!(block.len() <= BLOCK);
                Ok([sum, block.to_vec()].concat())
            })
        };
        for permit in [true, false] {
            let open = async || {
                let file = name.open().await.unwrap().unwrap();
                BlockReader::opened(name.clone(), file, permit.then(|| keep_open(1).unwrap()))
            };
            assert!(all(open().await).await.unwrap() == content, "kept: {permit}");
            let part = all(open().await.within(70_000..199_999).await.unwrap()).await.unwrap();
            assert!(part == content[70_000..199_999], "kept: {permit}");
        }
        assert!(all(BlockReader::reopening(name)).await.unwrap() == content);
    }

    #[tokio::test]
    async fn a_file_that_was_deleted_ends_in_an_error_unless_it_is_open() {
        let content = vec![7; 3 * BLOCK];
        let (_dir, store, result) = stored(&content).await;
        let id = result.id();
        let name = FileName::Result(result, "layer_0.png".to_owned());
        let file = name.open().await.unwrap().unwrap();
        let mut kept = BlockReader::opened(name.clone(), file, keep_open(1));
        let mut anew = BlockReader::reopening(name);
        assert_eq!((kept.next().await.unwrap().len(), anew.next().await.unwrap().len()), (BLOCK, BLOCK));
        store.delete_result(id).await.unwrap();
        assert_eq!(kept.next().await.unwrap().len(), BLOCK);
        assert_eq!(anew.next().await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
