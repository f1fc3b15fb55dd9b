//! One memory-mapped file of tensors, whatever its format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;

use crate::bytes::{Bytes, Target};
use crate::finite::all_finite;
use crate::{Error, Result};

/// How the values of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// One number after another.
    Plain(DType),
    /// GGUF blocks along the last dimension.
    Blocks(GgmlDType),
    /// A type that is not supported.
    Other(safetensors::Dtype),
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(dtype) => write!(f, "{}", dtype.as_str()),
            Self::Blocks(dtype) => write!(f, "{dtype:?}"),
            Self::Other(dtype) => write!(f, "{dtype:?}"),
        }
    }
}

/// A tensor of a file: how and where it is stored.
#[derive(Debug, Clone)]
pub struct Entry {
    pub stored: Stored,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Its bytes in the file.
    pub range: Range<usize>,
}

/// A file of tensors whose header has been read and checked against the file's length.
pub struct MappedFile {
    pub path: PathBuf,
    pub entries: BTreeMap<String, Entry>,
    content: Content,
    /// Tensors whose values are known to be finite: streamed ones are read at every step but checked once.
    finite: Mutex<BTreeSet<String>>,
}

/// Where a file's bytes come from.
enum Content {
    Map(Arc<Mmap>),
    #[cfg_attr(not(feature = "synthetic"), allow(dead_code, reason = "only the generator of weights makes it"))]
    Virtual(Arc<dyn ReadRange>),
}

/// Bytes that are not in a mapped file.
pub trait ReadRange: Send + Sync {
    /// The bytes `range`, which lie within one tensor.
    ///
    /// # Errors
    /// When there is no such tensor.
    fn read(&self, range: Range<usize>) -> candle_core::Result<Vec<u8>>;
}

/// A file of tensors whose bytes come from a [`ReadRange`].
#[cfg(feature = "synthetic")]
pub struct VirtualFile {
    /// For error messages.
    pub path: PathBuf,
    pub entries: BTreeMap<String, Entry>,
    pub content: Arc<dyn ReadRange>,
}

#[cfg(feature = "synthetic")]
impl From<VirtualFile> for MappedFile {
    fn from(file: VirtualFile) -> Self {
        Self {
            path: file.path,
            entries: file.entries,
            content: Content::Virtual(file.content),
            finite: Mutex::default(),
        }
    }
}

impl MappedFile {
    /// Maps `path` and reads its header with `parse`, which gets the whole file
    /// and returns its tensors, or what is wrong with it.
    pub fn open(
        path: &Path,
        parse: impl FnOnce(&[u8]) -> std::result::Result<BTreeMap<String, Entry>, String>,
    ) -> Result<Self> {
        let unreadable = |source| Error::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        #[allow(unsafe_code, reason = "reading 54 GB into memory instead is not an option")]
        // SAFETY: the mapping is read-only. If another process truncates the file while it is in use, an access faults;
        // model folders are not edited while they are in use.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let entries = parse(&map).map_err(|reason| Error::Checkpoint { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), entries, content: Content::Map(Arc::new(map)), finite: Mutex::default() })
    }

    /// The bytes of `entry`.
    ///
    /// # Errors
    /// When virtual content cannot be read.
    pub fn bytes(&self, entry: &Entry) -> Result<Bytes> {
        self.part(entry.range.clone())
    }

    fn part(&self, range: Range<usize>) -> Result<Bytes> {
        Ok(match &self.content {
            Content::Map(map) => Bytes::Mapped { map: map.clone(), range },
            Content::Virtual(content) => Bytes::Owned(Arc::new(content.read(range)?)),
        })
    }

    /// The plain tensor `name` in the type it is stored in; `wanted` is for the error message.
    pub fn plain(&self, name: &str, entry: &Entry, wanted: DType, target: &Target) -> Result<Tensor> {
        let stored = self.number_type(name, entry, wanted)?;
        let bytes = self.bytes(entry)?;
        if !self.is_finite(name, bytes.as_slice(), stored) {
            let reason = format!(
                "tensor `{name}` holds values that are not finite numbers; the file is damaged, delete it and download \
                 it again"
            );
            return Err(Error::Checkpoint { path: self.path.clone(), reason });
        }
        Ok(Tensor::from_raw_buffer(target.staged(bytes).as_slice(), stored, &entry.shape, target.device())?)
    }

    fn is_finite(&self, name: &str, bytes: &[u8], stored: DType) -> bool {
        let found = || self.finite.lock().unwrap_or_else(PoisonError::into_inner);
        if found().contains(name) {
            return true;
        }
        let finite = all_finite(bytes, stored);
        if finite {
            found().insert(name.to_owned());
        }
        finite
    }

    /// Rows `ids`, all of which exist, of the plain matrix `name`, on the CPU.
    pub fn plain_rows(&self, name: &str, entry: &Entry, ids: &[u32], wanted: DType) -> Result<Tensor> {
        let stored = self.number_type(name, entry, wanted)?;
        let columns = entry.shape.last().copied().unwrap_or(1);
        let width = columns * stored.size_in_bytes();
        let mut rows = Vec::with_capacity(ids.len() * width);
        for &id in ids {
            let start = entry.range.start + id as usize * width;
            rows.extend_from_slice(self.part(start..start + width)?.as_slice());
        }
        Ok(Tensor::from_raw_buffer(&rows, stored, &[ids.len(), columns], &Device::Cpu)?)
    }

    fn number_type(&self, name: &str, entry: &Entry, wanted: DType) -> Result<DType> {
        match entry.stored {
            Stored::Plain(stored @ (DType::F32 | DType::F16 | DType::BF16 | DType::F64)) => Ok(stored),
            _ => {
                let found = entry.stored.to_string();
                Err(Error::TensorType { path: self.path.clone(), tensor: name.to_owned(), found, wanted })
            }
        }
    }
}
