//! CUDA kernels for what candle does in several passes over memory.
//!
//! They are used on a device only after they gave there what candle's own operations give ([`checks`]).

#[cfg(feature = "cuda")]
mod checks;
mod launch;
#[cfg(feature = "cuda")]
mod library;
#[cfg(feature = "cuda")]
mod ops;
#[cfg(feature = "cuda")]
mod product;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use candle_core::{DType, Tensor};

#[cfg(feature = "cuda")]
use crate::KernelSet;
#[cfg(feature = "cuda")]
use crate::nn::trial::passed;

#[cfg(feature = "cuda")]
pub use ops::{add_gated, rms_norm_rotate};
#[cfg(feature = "cuda")]
pub use product::{product, product_float8};

/// Whether [`rms_norm_rotate`] and [`add_gated`] take a tensor like this one.
#[cfg(feature = "cuda")]
pub fn takes(x: &Tensor) -> bool {
    matches!(x.dtype(), DType::F32 | DType::BF16) && passed(x.device(), KernelSet::Fused, checks::fused)
}

/// Whether [`product`] takes these: bf16 only. In f32 the library would round the factors to 10 bits.
#[cfg(feature = "cuda")]
pub fn takes_product(x: &Tensor, weight: &Tensor) -> bool {
    let is_bf16 = x.dtype() == DType::BF16 && weight.dtype() == DType::BF16;
    is_bf16 && passed(x.device(), KernelSet::Fused, checks::fused)
}

/// Whether [`product_float8`] takes `x` and a matrix with this number of rows: tensor cores take fp8 in pieces of 16.
#[cfg(feature = "cuda")]
pub fn takes_float8(x: &Tensor, rows: usize) -> bool {
    let fits = x.dims().last().is_some_and(|columns| columns.is_multiple_of(16)) && rows.is_multiple_of(16);
    fits && x.dtype() == DType::BF16 && passed(x.device(), KernelSet::Float8, checks::float8)
}
