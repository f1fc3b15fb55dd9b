use candle_core::{D, DType, Device, Tensor};
use rayon::prelude::*;

use super::composed;
use super::cpu::{self, Element, Values, with_element};
#[cfg(feature = "cuda")]
use super::fused;
use super::gelu_tanh;
use super::packed::Packed;
use super::panels::{COLUMNS, Panels};
use super::word::{Pair, Word, pairs_pay};
use crate::Result;

/// `y = x W^T + b`, with dense or quantized weights.
///
/// The models use no other type, so the same code runs from every packaging.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
enum Weight {
    /// (out, in), in the type that the model computes in.
    Dense(Tensor),
    /// GGUF blocks or scaled fp8.
    Packed(Packed, MatmulPrecision),
}

/// The number format that products with compressed matrices are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MatmulPrecision {
    /// The matrix is widened to the type of the activations, without loss.
    #[default]
    Widened,
    /// Matrices in scaled fp8 (E4M3) are multiplied in fp8: the activations are rounded to fp8 too, with one scale for
    /// all rows. Faster and less exact on NVIDIA GPUs from compute capability 8.9 on, for bf16 activations of more than
    /// a few rows. The CPU rounds the same way without being faster; other devices widen.
    Float8,
}

impl Linear {
    /// `weight` (out, in) and `bias` (out) of one dtype.
    pub fn dense(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Dense(weight), bias }
    }

    /// A compressed matrix and a `bias` (out) in the type that the model computes in.
    pub fn packed(weight: Packed, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Packed(weight, MatmulPrecision::Widened), bias }
    }

    /// The same layer, which multiplies in `precision` as far as its weights allow.
    #[must_use]
    pub fn with_precision(self, precision: MatmulPrecision) -> Self {
        let weight = match self.weight {
            Weight::Packed(packed, _) if packed.is_float8() => Weight::Packed(packed, precision),
            other => other,
        };
        Self { weight, ..self }
    }

    /// `x` (..., in) -> (..., out), in the type of `x`.
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.in_float8(x) && x.device().is_cpu() {
            return self.widened(&composed::as_float8(x)?);
        }
        #[cfg(feature = "cuda")]
        if let Weight::Packed(packed, _) = &self.weight
            && self.in_float8(x)
            && let Some((values, scale)) = packed.float8_values()?
            && fused::takes_float8(x, packed.rows())
        {
            return fused::product_float8(x, [&values, &scale], packed.rows(), self.bias.as_ref());
        }
        self.widened(x)
    }

    /// Whether the rows of `x` are to be rounded to fp8.
    fn in_float8(&self, x: &Tensor) -> bool {
        match &self.weight {
            Weight::Packed(packed, MatmulPrecision::Float8) => x.elem_count() > FEW_ROWS * packed.columns(),
            _ => false,
        }
    }

    /// The product with the widened matrix.
    fn widened(&self, x: &Tensor) -> Result<Tensor> {
        if cpu::takes(x) {
            return self.on_cpu(x);
        }
        match &self.weight {
            Weight::Dense(weight) => {
                #[cfg(feature = "cuda")]
                if let Some(bias) = self.bias.as_ref().filter(|_| fused::takes_product(x, weight)) {
                    return fused::product(x, weight, bias, false);
                }
                composed::product(x, weight, self.bias.as_ref())
            }
            Weight::Packed(packed, _) => {
                let part = |(start, count)| -> Result<Tensor> {
                    composed::product(x, &packed.unpack_rows(start, count, x.dtype())?, None)
                };
                let mut parts = packed.tiles().map(part).collect::<Result<Vec<_>>>()?;
                let y = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(&parts, D::Minus1)? };
                Ok(match &self.bias {
                    Some(bias) => y.broadcast_add(bias)?,
                    None => y,
                })
            }
        }
    }

    /// [`forward`](Self::forward), then GELU in its tanh form.
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn forward_gelu(&self, x: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let (Weight::Dense(weight), Some(bias)) = (&self.weight, &self.bias)
            && fused::takes_product(x, weight)
        {
            return fused::product(x, weight, bias, true);
        }
        gelu_tanh(&self.forward(x)?)
    }

    fn on_cpu(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, columns) = match &self.weight {
            Weight::Dense(weight) => weight.dims2()?,
            Weight::Packed(packed, _) => (packed.rows(), packed.columns()),
        };
        let shape = [&x.dims()[..x.rank() - 1], &[rows]].concat();
        let flat = x.reshape(((), columns))?.contiguous()?;
        let bias = match &self.bias {
            Some(bias) => bias.to_dtype(DType::F32)?.to_vec1::<f32>()?,
            None => vec![0.0; rows],
        };
        with_element!(x, T => {
            let out = match flat.dim(0)? {
                0..=FEW_ROWS => self.few_rows::<T>(&flat, &bias)?,
                _ if x.dtype() == DType::BF16 && pairs_pay() => self.many_rows::<T, Pair>(&flat, &bias)?,
                _ => self.many_rows::<T, f32>(&flat, &bias)?,
            };
            Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
        })
    }

    /// `x` (m, in) for small m, as dot products.
    fn few_rows<T: Element>(&self, x: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
        match &self.weight {
            Weight::Dense(weight) => {
                let weight = weight.contiguous()?;
                with_element!(weight, V => few_rows::<T, V>(x, &weight, bias))
            }
            Weight::Packed(packed, _) => {
                let sums = packed.multiply_few(Values::of(&x.to_dtype(DType::F32)?).slice::<f32>()?)?;
                Ok(sums.iter().zip(bias.iter().cycle()).map(|(sum, bias)| T::narrow(sum + bias)).collect())
            }
        }
    }

    /// `x` (m, in) in tiles of columns: neither the wide nor the packed matrix ever exists as a whole.
    fn many_rows<T: Element, W: Word>(&self, x: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
        let (m, depth) = x.dims2()?;
        let n = bias.len();
        let values = Values::of(x);
        let x = values.slice::<T>()?;
        let mut out = vec![T::default(); m * n];
        let mut panels = Panels::<W>::default();
        for start in (0..n).step_by(COLUMNS) {
            let count = COLUMNS.min(n - start);
            match &self.weight {
                Weight::Dense(weight) => {
                    let weight = weight.narrow(0, start, count)?.contiguous()?;
                    with_element!(weight, V => {
                        panels.refill_transposed(Values::of(&weight).slice::<V>()?, depth, count, depth);
                    });
                }
                Weight::Packed(packed, _) => {
                    let weight = packed.unpack_rows(start, count, DType::F32)?;
                    panels.refill_transposed(Values::of(&weight).slice::<f32>()?, depth, count, depth);
                }
            }
            panels.multiply(x, depth, &bias[start..start + count], &mut out, n, start);
        }
        Ok(out)
    }
}

/// Up to here reading the weights once, as they are, beats packing them for a matrix product.
const FEW_ROWS: usize = 4;

/// `x` (m, in) for small m times `weight` (out, in), as dot products.
fn few_rows<T: Element, V: Element>(x: &Tensor, weight: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
    let (m, columns) = x.dims2()?;
    let (x_values, weight_values) = (Values::of(x), Values::of(weight));
    let (x, weight) = (x_values.slice::<T>()?, weight_values.slice::<V>()?);
    let n = bias.len();
    let mut out = vec![T::default(); m * n];
    for (out, x) in out.chunks_mut(n).zip(x.chunks(columns)) {
        out.par_chunks_mut(64).enumerate().for_each(|(chunk, out)| {
            pulp::Arch::new().dispatch(|| {
                for (i, out) in out.iter_mut().enumerate() {
                    let row = &weight[(chunk * 64 + i) * columns..][..columns];
                    *out = T::narrow(bias[chunk * 64 + i] + cpu::sum(columns, |k| x[k].widen() * row[k].widen()));
                }
            });
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::as_device;

    #[test]
    fn in_float8_many_rows_are_rounded_and_few_are_not() {
        let bytes = (0..16 * 32).map(|i| (i * 7919 % 127 + i % 2 * 128) as u8).collect();
        let packed = Packed::float8_of(bytes, 0.1, 16, 32, &Device::Cpu).unwrap();
        let bias = Tensor::randn(0.0_f32, 1.0, 16, &Device::Cpu).unwrap();
        let widened = Linear::packed(packed, Some(bias));
        let in_float8 = widened.clone().with_precision(MatmulPrecision::Float8);
        for (rows, rounded) in [(FEW_ROWS, false), (FEW_ROWS + 1, true)] {
            let x = Tensor::randn(0.0_f32, 1.0, (1, rows, 32), &Device::Cpu).unwrap();
            let expected = if rounded { composed::as_float8(&x).unwrap() } else { x.clone() };
            let expected = widened.forward(&expected).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let found = in_float8.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(found, expected);
            let exact = widened.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(found != exact, rounded);
            let device = as_device(|| in_float8.forward(&x)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            device.iter().zip(&found).for_each(|(a, b)| assert!((a - b).abs() < 1e-2, "{a} and {b}"));
        }
    }

    #[test]
    fn only_float8_weights_multiply_in_float8() {
        let weight = Tensor::randn(0.0_f32, 1.0, (16, 32), &Device::Cpu).unwrap();
        let x = Tensor::randn(0.0_f32, 1.0, (9, 32), &Device::Cpu).unwrap();
        let dense = Linear::dense(weight, None);
        let values = |linear: &Linear| linear.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(values(&dense.clone().with_precision(MatmulPrecision::Float8)), values(&dense));
    }
}
