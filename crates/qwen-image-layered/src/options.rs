use candle_core::{DType, Device};

use crate::nn::MatmulPrecision;
use crate::placement::Placement;

/// How a model is loaded. By default everything is on the CPU and computes in bf16.
///
/// ```
/// use candle_core::{DType, Device};
/// use qwen_image_layered::LoadOptions;
///
/// let options = LoadOptions { dtype: DType::F32, device: Device::Cpu, ..LoadOptions::default() };
/// ```
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What the model computes in: `BF16` or `F32`.
    pub dtype: DType,
    /// What the model computes on.
    pub device: Device,
    /// Where the parts of the model are while it runs. [`plan::choose`](crate::plan::choose) finds the one that fits.
    pub placement: Placement,
    /// The number format that the transformer's blocks multiply in.
    pub matmul_precision: MatmulPrecision,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            dtype: DType::BF16,
            device: Device::Cpu,
            placement: Placement::default(),
            matmul_precision: MatmulPrecision::default(),
        }
    }
}
