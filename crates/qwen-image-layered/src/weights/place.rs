use std::sync::Arc;

use candle_core::Device;

use super::file::Bytes;
use crate::stream::Staging;

/// Where tensors go, and what they go through on their way.
#[derive(Clone)]
pub struct Place {
    device: Device,
    staging: Option<Arc<Staging>>,
}

impl Place {
    /// Straight to `device`.
    pub fn on(device: &Device) -> Self {
        Self { device: device.clone(), staging: None }
    }

    /// In the computer's own memory.
    pub fn host() -> Self {
        Self::on(&Device::Cpu)
    }

    /// Through `staging`, as far as there is room in it.
    pub(super) fn through(&self, staging: Arc<Staging>) -> Self {
        Self { device: self.device.clone(), staging: Some(staging) }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `bytes` where the device is to copy them from.
    pub(super) fn staged(&self, bytes: Bytes) -> Bytes {
        let staged = self.staging.as_ref().and_then(|staging| staging.stage(bytes.as_slice()));
        staged.map_or(bytes, Bytes::Staged)
    }
}
