//! Name, kind and free memory of the device that the model is planned for.

use qwen_image_layered::gpu;
use qwen_image_layered::plan::{DeviceInfo, Kind};

use super::DeviceChoice;
use crate::advice;
use crate::memory::{free_bytes, total_bytes};

impl DeviceChoice {
    /// Measures the device. At most `limit` bytes of it count as free (`DEVICE_MEMORY_LIMIT`); on the CPU `job_limit`
    /// (`JOB_MEMORY_LIMIT`, in bytes) applies in its place.
    ///
    /// # Errors
    /// Why the device cannot be used, and what to do.
    pub fn info(self, limit: Option<u64>, job_limit: Option<u64>) -> Result<DeviceInfo, String> {
        let host_free = free_bytes().unwrap_or(u64::MAX);
        let capped = |free: u64| limit.map_or(free, |limit| free.min(limit));
        match self {
            Self::Auto => self.resolved().info(limit, job_limit),
            Self::Cpu => Ok(DeviceInfo {
                name: "this computer".to_owned(),
                kind: Kind::Cpu,
                // A limit that was set counts, even if the system reports less.
                free: limit.or(job_limit).unwrap_or(host_free),
                total: total_bytes().unwrap_or(host_free),
                host_free,
                fused_attention: true,
            }),
            Self::Cuda(number) => {
                let gpu = gpu::probe(number).map_err(|error| advice::gpu(&error))?;
                Ok(DeviceInfo {
                    name: gpu.name,
                    kind: Kind::Cuda { capability: gpu.capability },
                    free: capped(gpu.free),
                    total: gpu.total,
                    host_free,
                    fused_attention: cfg!(feature = "flash-attn"),
                })
            }
            // The GPU shares the computer's memory.
            Self::Metal => Ok(DeviceInfo {
                name: "this computer".to_owned(),
                kind: Kind::Metal,
                free: capped(host_free),
                total: total_bytes().unwrap_or(host_free),
                host_free,
                fused_attention: false,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_this_computers_memory() {
        let device = DeviceChoice::Cpu.info(None, None).expect("always there");
        assert!(device.free > 0 && device.free <= device.total);
        for (limit, job_limit) in [(Some(1 << 30), None), (None, Some(1 << 30)), (Some(1 << 30), Some(1 << 20))] {
            assert_eq!(DeviceChoice::Cpu.info(limit, job_limit).expect("always there").free, 1 << 30);
        }
    }
}
