//! The bytes of a tensor on their way from a file to a device.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Device;
use memmap2::Mmap;

use crate::stream::{Staged, Staging};

/// Some bytes of a file.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// Of a mapped file, which they keep alive.
    Mapped {
        map: Arc<Mmap>,
        range: Range<usize>,
    },
    Owned(Arc<Vec<u8>>),
    /// A copy in page-locked memory, from which the device copies by itself.
    Staged(Staged),
}

impl Bytes {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped { map, range } => &map[range.clone()],
            Self::Owned(bytes) => bytes,
            Self::Staged(staged) => staged.as_slice(),
        }
    }
}

/// The device that tensors are loaded to, and the page-locked memory that they pass on the way.
#[derive(Clone)]
pub struct Target {
    device: Device,
    staging: Option<Arc<Staging>>,
}

impl Target {
    /// Directly to `device`.
    pub fn on(device: &Device) -> Self {
        Self { device: device.clone(), staging: None }
    }

    /// The computer's own memory.
    pub fn host() -> Self {
        Self::on(&Device::Cpu)
    }

    /// The same device, by way of `staging` as far as it has room.
    pub(crate) fn through(&self, staging: Arc<Staging>) -> Self {
        Self { device: self.device.clone(), staging: Some(staging) }
    }

    /// The device that tensors are loaded to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `bytes` where the device is to copy them from.
    pub(crate) fn staged(&self, bytes: Bytes) -> Bytes {
        let staged = self.staging.as_ref().and_then(|staging| staging.stage(bytes.as_slice()));
        staged.map_or(bytes, Bytes::Staged)
    }
}
