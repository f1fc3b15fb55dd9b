//! The device that the model is planned for, as it is now.

use qwen_image_layered::gpu;
use qwen_image_layered::plan::{DeviceInfo, Kind};

use super::DeviceChoice;
use crate::advice;
use crate::memory::{free_bytes, total_bytes};

impl DeviceChoice {
    /// What memory it has. No more than `limit` of it is counted as free; `job_limit` says the same of the computer's
    /// own memory, and so counts where the model runs in that.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do.
    pub fn card(self, limit: Option<u64>, job_limit: Option<u64>) -> Result<DeviceInfo, String> {
        let host_free = free_bytes().unwrap_or(u64::MAX);
        let capped = |free: u64| limit.map_or(free, |limit| free.min(limit));
        match self {
            Self::Auto => self.settled().card(limit, job_limit),
            Self::Cpu => Ok(DeviceInfo {
                name: "this computer".to_owned(),
                kind: Kind::Cpu,
                // A limit that was set is meant, also where the system counts otherwise.
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
            // Its GPU uses the computer's memory.
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
    fn a_processor_has_this_computers_memory() {
        let card = DeviceChoice::Cpu.card(None, None).expect("always there");
        assert!(card.free > 0 && card.free <= card.total);
        for (limit, job_limit) in [(Some(1 << 30), None), (None, Some(1 << 30)), (Some(1 << 30), Some(1 << 20))] {
            assert_eq!(DeviceChoice::Cpu.card(limit, job_limit).expect("always there").free, 1 << 30);
        }
    }
}
