use std::fmt;
use std::panic::catch_unwind;
use std::str::FromStr;

use candle_core::{DType, Device};
use qwen_image_layered::gpu;

/// The device of the qwen engine (`DEVICE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU that this build can use, or the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
    /// The GPU of a Mac.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            "metal" => return Ok(Self::Metal),
            _ => {}
        }
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        number
            .map(Self::Cuda)
            .ok_or_else(|| format!("\"{text}\" is not a valid device; use auto, cpu, cuda, cuda:N or metal"))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl DeviceChoice {
    /// Resolves `auto` to a device that this build can use on this machine; returns any other choice unchanged.
    pub fn resolved(self) -> Self {
        if self != Self::Auto {
            return self;
        }
        let best = if cfg!(feature = "cuda") {
            Self::Cuda(0)
        } else if cfg!(feature = "metal") {
            Self::Metal
        } else {
            Self::Cpu
        };
        if best.open().is_ok() { best } else { Self::Cpu }
    }

    /// Whether the device is a GPU with fp8 matrix products.
    pub fn supports_float8_matmul(self) -> bool {
        match self.resolved() {
            Self::Cuda(number) => gpu::probe(number).is_ok_and(|gpu| gpu.capability >= gpu::FLOAT8_CAPABILITY),
            _ => false,
        }
    }

    /// Opens the device for candle.
    ///
    /// # Errors
    /// Why the device cannot be used, and what to do.
    pub fn open(self) -> Result<Device, String> {
        match self {
            Self::Auto => self.resolved().open(),
            Self::Cpu => Ok(Device::Cpu),
            Self::Metal if !cfg!(feature = "metal") => {
                Err("this build does not support Metal; build it with --features metal, or use --device cpu".to_owned())
            }
            Self::Cuda(number) => {
                gpu::probe(number).map_err(|error| crate::advice::gpu(&error))?;
                // The CUDA bindings panic when a library lacks a symbol.
                catch_unwind(|| Device::new_cuda(number))
                    .map_err(|_| {
                        "a CUDA library is too old for this program; install the CUDA 13 libraries".to_owned()
                    })?
                    .map_err(|error| format!("GPU {number} cannot be used: {error}; see nvidia-smi"))
            }
            Self::Metal => {
                Device::new_metal(0).map_err(|error| format!("the GPU cannot be used: {error}; use --device cpu"))
            }
        }
    }
}

/// The number format that the model computes in (`DTYPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// The format of the published weights.
    #[default]
    Bf16,
    /// Twice the memory of bf16.
    F32,
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "bf16" => Ok(Self::Bf16),
            "f32" => Ok(Self::F32),
            _ => Err(format!("\"{text}\" is not a valid dtype; use bf16 or f32")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        })
    }
}

impl From<Precision> for DType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Bf16 => Self::BF16,
            Precision::F32 => Self::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, device) in [
            ("auto", DeviceChoice::Auto),
            ("CPU", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:1", DeviceChoice::Cuda(1)),
            ("metal", DeviceChoice::Metal),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_device_is_refused_with_advice() {
        // No machine has this many GPUs.
        let error = DeviceChoice::Cuda(4000).open().expect_err("no such GPU");
        let advice = ["--features cuda", "--device cpu", "nvidia-smi"];
        assert!(advice.iter().any(|advice| error.contains(advice)), "{error}");
        if cfg!(not(feature = "cuda")) {
            assert!(error.contains("--features cuda"), "{error}");
            assert_eq!(DeviceChoice::Auto.resolved(), DeviceChoice::Cpu);
        }
        assert!(DeviceChoice::Auto.open().is_ok(), "the CPU is always there");
    }
}
