//! Layers that the text model and the vision tower share.

use candle_core::{D, Tensor};

use crate::Result;
use crate::nn::{Linear, rms_norm, silu};
use crate::weights::Weights;

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension.
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub fn load(width: usize, eps: f64, weights: &Weights) -> Result<Self> {
        Ok(Self { weight: weights.get(width, "weight")?, eps })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.weight, self.eps)
    }
}

/// `down(silu(gate(x)) * up(x))`.
pub struct SwiGlu {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl SwiGlu {
    pub fn load(hidden: usize, inner: usize, bias: bool, weights: &Weights) -> Result<Self> {
        Ok(Self {
            gate_proj: weights.pp("gate_proj").linear(hidden, inner, bias)?,
            up_proj: weights.pp("up_proj").linear(hidden, inner, bias)?,
            down_proj: weights.pp("down_proj").linear(inner, hidden, bias)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = (silu(&self.gate_proj.forward(x)?)? * self.up_proj.forward(x)?)?;
        self.down_proj.forward(&inner)
    }
}

/// (a, b) -> (-b, a) for the halves of the last dimension.
pub fn rotate_half(x: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    Ok(Tensor::cat(&[&b.neg()?, &a], D::Minus1)?)
}
