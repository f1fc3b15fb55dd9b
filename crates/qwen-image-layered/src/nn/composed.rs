//! The operations in candle's own terms, for devices other than the CPU.

use candle_core::{DType, Module as _, Tensor};

use super::rms_norm;
use crate::Result;

/// See [`rms_norm_rotate`](super::rms_norm_rotate).
pub fn rms_norm_rotate(x: &Tensor, weight: &Tensor, eps: f64, rotation: &Tensor) -> Result<Tensor> {
    let (_, n, h, d) = x.dims4()?;
    let normed = rms_norm(x, weight, eps)?.to_dtype(DType::F32)?.reshape((n, h, 1, d))?;
    let turn = rotation.reshape((n, 1, d / 2, 2))?;
    let part = |i: usize| turn.narrow(3, i, 1)?.squeeze(3)?.contiguous();
    // The kernel sees each token as a batch with its own angles.
    let turned = candle_nn::rotary_emb::rope_i(&normed, &part(0)?, &part(1)?)?;
    drop(normed);
    Ok(turned.reshape((1, n, h, d))?.to_dtype(x.dtype())?)
}

/// See [`add_gated`](super::add_gated).
pub fn add_gated(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok((x + y.broadcast_mul(&gate.unsqueeze(1)?)?)?)
}

/// `x W^T + b`: `x` (..., in), `weight` (out, in), `bias` (out) -> (..., out).
pub fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = candle_nn::Linear::new(weight.clone(), None).forward(x)?;
    Ok(match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    })
}

/// The largest float8 E4M3.
const LARGEST_FLOAT8: f32 = 448.0;

/// `x` as a product in fp8 takes it: rounded to float8 E4M3 with one scale, so that its largest value is the largest
/// there is. In the type of `x`, on the CPU.
pub fn as_float8(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let largest = wide.abs()?.max_all()?.to_scalar::<f32>()?;
    if largest <= 1e-30 {
        return Ok(x.zeros_like()?);
    }
    let narrow = (wide * f64::from(LARGEST_FLOAT8 / largest))?.to_dtype(DType::F8E4M3)?;
    Ok((narrow.to_dtype(DType::F32)? * f64::from(largest / LARGEST_FLOAT8))?.to_dtype(x.dtype())?)
}
