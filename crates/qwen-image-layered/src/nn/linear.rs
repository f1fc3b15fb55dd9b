use candle_core::quantized::QMatMul;
use candle_core::{Module, Tensor};

use crate::Result;

/// `y = x W^T + b`, with dense or quantised weights.
///
/// Models hold this type only, so one model runs from every packaging.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
enum Weight {
    /// (out, in), in the type that the model computes in.
    Dense(Tensor),
    /// GGUF blocks; `QMatMul` takes and gives f32 on the CPU.
    Quantised(QMatMul),
}

impl Linear {
    /// `weight` (out, in) and `bias` (out) of one dtype.
    pub fn dense(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Dense(weight), bias }
    }

    /// `bias` is in the type that the model computes in.
    pub fn quantised(weight: QMatMul, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Quantised(weight), bias }
    }

    /// `x` (..., in) -> (..., out), in the type of `x`.
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Dense(weight) => candle_nn::Linear::new(weight.clone(), None).forward(x)?,
            Weight::Quantised(weight) => {
                let dtype = x.dtype();
                weight.forward(&x.to_dtype(candle_core::DType::F32)?)?.to_dtype(dtype)?
            }
        };
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}
