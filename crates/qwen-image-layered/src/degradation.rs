use std::fmt;

use crate::units::gigabytes;

/// Something that runs slower than it could. The result is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Degradation {
    /// Page-locked memory for streamed blocks was refused: they are copied from their mapped file.
    NotPageLocked {
        /// Bytes that were asked for.
        bytes: u64,
        /// What the driver said.
        reason: String,
    },
    /// Kernels are not used, because on this device they did not give what candle's own operations give, or failed.
    KernelsRejected {
        /// Which kernels.
        kernels: KernelSet,
        /// How far they were off, or how they failed.
        reason: String,
    },
}

/// Kernels that are checked on a device, and then used or not, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelSet {
    /// Norms, sums, and products in bf16.
    Fused,
    /// FlashAttention 3, for Hopper GPUs only.
    Flash3,
    /// Products in fp8.
    Float8,
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPageLocked { bytes, reason } => {
                let need = gigabytes(*bytes);
                write!(
                    f,
                    "{need} of the computer's memory could not be page-locked ({reason}): blocks are copied from their \
                     file, which is slower"
                )
            }
            Self::KernelsRejected { kernels, reason } => {
                let consequence = match kernels {
                    KernelSet::Fused => "fused kernels are disabled, which is slower",
                    KernelSet::Flash3 => "FlashAttention 2 is used instead of 3, which is slower",
                    KernelSet::Float8 => "products are not in fp8, which is slower and exact",
                };
                write!(f, "{consequence}: {reason}")
            }
        }
    }
}
