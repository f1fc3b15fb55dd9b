//! A font file: read when it is listed, and again when one of its faces is first drawn.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use harfrust::font::Blob;

use super::face::Origin;
use super::woff;

/// A font file and, once it was drawn with, its bytes.
#[derive(Clone)]
pub(super) struct File(Arc<Inner>);

struct Inner {
    origin: Origin,
    bytes: Bytes,
    font: OnceLock<Option<Blob>>,
}

enum Bytes {
    Static(&'static [u8]),
    Path(PathBuf),
}

impl File {
    pub(super) fn shipped(name: &str, bytes: &'static [u8]) -> Self {
        Self::new(Origin::Shipped(name.to_owned()), Bytes::Static(bytes))
    }

    pub(super) fn at(path: PathBuf, origin: fn(PathBuf) -> Origin) -> Self {
        Self::new(origin(path.clone()), Bytes::Path(path))
    }

    fn new(origin: Origin, bytes: Bytes) -> Self {
        Self(Arc::new(Inner { origin, bytes, font: OnceLock::new() }))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The font's bytes, unpacked; or why there are none. Not kept, but for what ships.
    pub(super) fn read(&self) -> Result<Blob, String> {
        match &self.0.bytes {
            Bytes::Static(_) => self.kept().ok_or_else(|| "the file is damaged".to_owned()),
            Bytes::Path(path) => {
                let file = fs::File::open(path).map_err(|error| error.to_string())?;
                let mut bytes = Vec::new();
                file.take(woff::MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
                if bytes.len() > woff::MOST_BYTES {
                    return Err("the file is larger than 64 MiB".to_owned());
                }
                if woff::is_woff(&bytes) {
                    bytes = woff::unpack(&bytes)?;
                }
                Ok(Blob::from(bytes))
            }
        }
    }

    /// The font's bytes, kept from the first call on. `None` if the file has gone or changed to something unreadable.
    pub(super) fn kept(&self) -> Option<Blob> {
        let load = || match self.0.bytes {
            Bytes::Static(bytes) if woff::is_woff(bytes) => woff::unpack(bytes).ok().map(Blob::from),
            Bytes::Static(bytes) => Some(Blob::from(bytes)),
            Bytes::Path(_) => self.read().ok(),
        };
        self.0.font.get_or_init(load).clone()
    }
}
