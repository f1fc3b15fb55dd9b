//! A result as a ZIP that is written while it is sent: only a few blocks of it
//! are in memory at any time.

use std::io;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use jobs::store::StoredFile;
use jobs::{JobId, Metadata, Store};
use layers::ArchiveEntry;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::SyncIoBridge;

use crate::error::Error;

const BLOCK: usize = 64 << 10;

/// Blocks that may wait for a slow client before the writer pauses.
const BLOCKS_AHEAD: usize = 4;

/// The result of `id` as the body of an answer.
pub async fn body(store: &Store, id: JobId, metadata: &Metadata) -> Result<Body, Error> {
    let mut files = Vec::new();
    let layers = metadata.layers.iter().map(|layer| layer.file.as_str());
    for name in layers.chain(metadata.other_files()).chain(["metadata.json", "preview.jpg"]) {
        // All are open before the first byte goes out: a result that is deleted
        // meanwhile still arrives whole.
        let file = store.result_file(id, name).await?.ok_or_else(Error::job_not_found)?;
        files.push((name.to_owned(), file));
    }
    let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        let _span = span.enter();
        write(files, &sender);
    });
    Ok(Body::from_stream(ReceiverStream::new(blocks).boxed()))
}

fn write(files: Vec<(String, StoredFile)>, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let entries = files.into_iter().map(|(name, file)| {
        // Read when its turn comes: a storage far away would not wait with it open.
        let reader = Handle::current().block_on(file.read())?;
        Ok(ArchiveEntry { name, content: SyncIoBridge::new(reader) })
    });
    let blocks = Blocks { block: BytesMut::with_capacity(BLOCK), sender };
    let written = layers::stream_zip(blocks, entries).map_err(io::Error::other);
    if let Err(err) = written.and_then(|mut blocks| blocks.send()) {
        if sender.is_closed() {
            tracing::debug!("the client left before the end of a download");
            return;
        }
        tracing::error!(error = %err, "a download broke off");
        // Breaks the transfer off: the client must not take half an archive for a whole one.
        let _ = sender.blocking_send(Err(err));
    }
}

/// Cuts what is written into blocks and hands them to the sending side.
struct Blocks<'a> {
    block: BytesMut,
    sender: &'a mpsc::Sender<io::Result<Bytes>>,
}

impl Blocks<'_> {
    fn send(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.block, BytesMut::with_capacity(BLOCK)).freeze();
        self.sender.blocking_send(Ok(block)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl io::Write for Blocks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Small blocks would cost more than they hasten.
        Ok(())
    }
}
