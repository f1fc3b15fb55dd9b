//! Classifier-free guidance (Ho and Salimans, 2022) with the renormalisation of `QwenImageLayeredPipeline`.

use candle_core::{D, DType, Tensor};

use crate::Result;

/// `negative + scale * (positive - negative)`, (1, n, c) each; with `normalize` each token is then scaled to the L2 norm
/// of the positive one. Computed in f32, returned in the type of `positive`.
pub fn combine(positive: &Tensor, negative: &Tensor, scale: f64, normalize: bool) -> Result<Tensor> {
    let dtype = positive.dtype();
    let (positive, negative) = (positive.to_dtype(DType::F32)?, negative.to_dtype(DType::F32)?);
    let mut combined = (&negative + ((&positive - &negative)? * scale)?)?;
    if normalize {
        let length = |x: &Tensor| x.sqr()?.sum_keepdim(D::Minus1)?.sqrt();
        combined = combined.broadcast_mul(&(length(&positive)? / length(&combined)?)?)?;
    }
    Ok(combined.to_dtype(dtype)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn normalised_guidance_keeps_lengths() {
        let row = |values: [f32; 2]| Tensor::new(&[[values]], &Device::Cpu).unwrap();
        let guided = combine(&row([3.0, 4.0]), &row([3.0, 0.0]), 4.0, true).unwrap();
        let [x, y] = guided.flatten_all().unwrap().to_vec1::<f32>().unwrap()[..] else { panic!("two values") };
        assert!((x.hypot(y) - 5.0).abs() < 1e-5);
        assert!((y / x - 16.0 / 3.0).abs() < 1e-4);
    }
}
