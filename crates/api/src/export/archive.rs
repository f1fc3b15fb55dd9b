//! A stored result as a ZIP that is written while it is sent: only a few blocks of it are in memory at any time, and no
//! thread waits for the client.

use std::io;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use jobs::Metadata;
use jobs::store::StoredResult;
use layers::{ArchiveError, ZipStream};
use tokio::sync::Semaphore;

use crate::http::blocks::{self, BLOCK, BlockReader, FileName};
use crate::http::error::Error;

/// Bytes that are deflated in one call. The archive's bytes depend on it.
const PIECE: usize = 8 << 10;

/// Blocks that are deflated at once: more than there are processors would only slow other work down.
static DEFLATING: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(2, usize::from))));

/// The ZIP of a result as the body of an answer.
pub(crate) async fn body(result: &StoredResult, metadata: &Metadata) -> Result<Body, Error> {
    let layers = metadata.layers.iter().map(|layer| layer.file.as_str());
    let names: Vec<&str> = layers.chain(metadata.other_files()).chain(["metadata.json", "preview.jpg"]).collect();
    let files = open_all(result, &names).await?;
    let span = tracing::Span::current();
    // An error breaks the transfer off, so that the client does not take half an archive for a whole one.
    let archive = write(files).inspect_err(move |err| {
        let _span = span.enter();
        tracing::error!(error = %err, "a download broke off");
    });
    Ok(Body::from_stream(archive))
}

/// The files of a result, in their order.
async fn open_all(result: &StoredResult, names: &[&str]) -> Result<Vec<(String, BlockReader)>, Error> {
    let mut permit = blocks::keep_open(names.len());
    let mut files = Vec::new();
    for name in names {
        let file_name = FileName::Result(result.clone(), (*name).to_owned());
        let blocks = match permit.as_mut().and_then(|permit| permit.split(1)) {
            // All files are open before the first byte is sent, so a result that is deleted meanwhile arrives whole.
            Some(permit) => {
                let file = file_name.open().await?.ok_or_else(Error::job_not_found)?;
                BlockReader::opened(file_name, file, Some(permit))
            }
            None => BlockReader::reopening(file_name),
        };
        files.push(((*name).to_owned(), blocks));
    }
    Ok(files)
}

/// The archive as it grows. The connection pulls it, and it ends with the connection.
fn write(files: Vec<(String, BlockReader)>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    async_stream::try_stream! {
        let mut archive = ZipStream::new();
        for (name, mut file) in files {
            let mut name = Some(name);
            loop {
                let block = file.next().await?;
                let is_end = block.is_empty();
                if !is_end || name.is_some() {
                    archive = deflate(archive, name.take(), block).await?;
                }
                if is_end {
                    break;
                }
                if archive.ready() >= BLOCK {
                    yield Bytes::from(archive.take());
                }
            }
        }
        yield Bytes::from(archive.finish().map_err(io::Error::other)?);
    }
}

/// Adds a block to an archive; a name starts the next file. Runs on the blocking pool, so that many downloads do not keep
/// the threads of the connections from answering others.
async fn deflate(mut archive: ZipStream, name: Option<String>, block: Bytes) -> io::Result<ZipStream> {
    let permit = Arc::clone(&DEFLATING).acquire_owned().await.map_err(io::Error::other)?;
    let work = move || {
        let _permit = permit;
        if let Some(name) = name {
            archive.start(&name)?;
        }
        for piece in block.chunks(PIECE) {
            archive.write(piece)?;
        }
        Ok::<_, ArchiveError>(archive)
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::blocks::{keep_open, stored};

    #[tokio::test]
    async fn an_archive_is_the_same_whether_its_files_stay_open_or_not() {
        // Numbers that look random (xorshift32), so that the archive is as long as its files.
        let random = std::iter::successors(Some(1_u32), |n| {
            let n = n ^ (n << 13);
            let n = n ^ (n >> 17);
            Some(n ^ (n << 5))
        });
        let layer: Vec<u8> = random.take(150_000).map(|n| n as u8).collect();
        let (_dir, _store, result) = stored(&layer).await;
        let names = ["layer_0.png", "metadata.json"];
        let all = async |files| write(files).try_collect::<Vec<_>>().await.unwrap().concat();
        let kept = all(open_all(&result, &names).await.unwrap()).await;
        let anew =
            |name: &str| (name.to_owned(), BlockReader::reopening(FileName::Result(result.clone(), name.to_owned())));
        assert!(all(names.map(anew).into()).await == kept);
        assert!(kept.len() > 100_000);
    }

    #[tokio::test]
    async fn a_deleted_result_breaks_the_transfer_off_where_its_files_are_not_open() {
        let (_dir, _store, result) = stored(&vec![7; 8 * BLOCK]).await;
        let file = BlockReader::reopening(FileName::Result(result.clone(), "layer_0.png".to_owned()));
        let missing = BlockReader::reopening(FileName::Result(result, "preview.jpg".to_owned()));
        let files = vec![("layer_0.png".to_owned(), file), ("preview.jpg".to_owned(), missing)];
        let sent: Result<Vec<_>, _> = write(files).try_collect().await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(keep_open(usize::MAX).is_none());
    }
}
