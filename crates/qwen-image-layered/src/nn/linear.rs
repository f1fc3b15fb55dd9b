use candle_core::{D, DType, Device, Tensor};
use rayon::prelude::*;

use super::additions::{Addition, Place};
use super::composed;
use super::cpu::{self, Element, Values, with_element};
#[cfg(feature = "cuda")]
use super::fused;
use super::gelu_tanh;
use super::packed::Packed;
use super::panels::{COLUMNS, Panels, Product, multiply};
use super::word::{Pair, Word, pairs_pay};
use crate::Result;

/// `y = x W^T + b`, with dense or quantized weights, and what is added at its place in the model.
///
/// The models use no other type, so the same code runs from every packaging.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    place: Option<Place>,
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
        Self { weight: Weight::Dense(weight), bias, place: None }
    }

    /// A compressed matrix and a `bias` (out) in the type that the model computes in.
    pub fn packed(weight: Packed, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Packed(weight, MatmulPrecision::Widened), bias, place: None }
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

    /// The same layer at `place`, where something may be added to its product.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// `x` (..., in) -> (..., out), in the type of `x`.
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let additions = self.place.as_ref().and_then(Place::additions);
        let additions = additions.as_deref().unwrap_or_default();
        if cpu::takes(x) && !self.in_float8(x) {
            return self.on_cpu(x, additions);
        }
        additions.iter().try_fold(self.own(x)?, |y, addition| plus(&y, x, addition))
    }

    /// The layer's own product, without additions.
    fn own(&self, x: &Tensor) -> Result<Tensor> {
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
            return self.on_cpu(x, &[]);
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
            && self.place.as_ref().and_then(Place::additions).is_none()
            && fused::takes_product(x, weight)
        {
            return fused::product(x, weight, bias, true);
        }
        gelu_tanh(&self.forward(x)?)
    }

    fn on_cpu(&self, x: &Tensor, additions: &[Addition]) -> Result<Tensor> {
        let (rows, columns) = match &self.weight {
            Weight::Dense(weight) => weight.dims2()?,
            Weight::Packed(packed, _) => (packed.rows(), packed.columns()),
        };
        let shape = [&x.dims()[..x.rank() - 1], &[rows]].concat();
        let flat = x.reshape(((), columns))?.contiguous()?;
        let mut bias = match &self.bias {
            Some(bias) => bias.to_dtype(DType::F32)?.to_vec1::<f32>()?,
            None => vec![0.0; rows],
        };
        for addition in additions {
            if let Addition::Bias { bias: more, scale } = addition {
                let more = more.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                bias.iter_mut().zip(more).for_each(|(bias, more)| *bias += scale * more);
            }
        }
        let few = flat.dim(0)? <= FEW_ROWS;
        let beside = additions.iter().filter_map(|addition| Beside::of(addition, &flat, few).transpose());
        let beside = beside.collect::<Result<Vec<_>>>()?;
        with_element!(x, T => {
            let out = match few {
                true if beside.is_empty() => self.few_rows::<T>(&flat, &bias)?,
                true => self.few_rows_and::<T>(&flat, &bias, &beside)?,
                _ if x.dtype() == DType::BF16 && pairs_pay() => self.many_rows::<T, Pair>(&flat, &bias, &beside)?,
                _ => self.many_rows::<T, f32>(&flat, &bias, &beside)?,
            };
            Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
        })
    }

    /// `x` (m, in) for small m, as dot products.
    fn few_rows<T: Element>(&self, x: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
        match &self.weight {
            Weight::Dense(weight) => few_rows(x, weight, bias),
            Weight::Packed(packed, _) => {
                let sums = packed.multiply_few(Values::of(&x.to_dtype(DType::F32)?).slice::<f32>()?)?;
                Ok(sums.iter().zip(bias.iter().cycle()).map(|(sum, bias)| T::narrow(sum + bias)).collect())
            }
        }
    }

    /// The same with other products beside it, rounded once.
    fn few_rows_and<T: Element>(&self, x: &Tensor, bias: &[f32], beside: &[Beside]) -> Result<Vec<T>> {
        let mut sums = self.few_rows::<f32>(&x.to_dtype(DType::F32)?, bias)?;
        let none = vec![0.0; bias.len()];
        for Beside { left, weight, scale } in beside {
            let more: Vec<f32> = few_rows(left, weight, &none)?;
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += scale * more);
        }
        Ok(sums.into_iter().map(T::narrow).collect())
    }

    /// `x` (m, in) in tiles of columns: neither the wide nor the packed matrix ever exists as a whole.
    fn many_rows<T: Element, W: Word>(&self, x: &Tensor, bias: &[f32], beside: &[Beside]) -> Result<Vec<T>> {
        let (m, depth) = x.dims2()?;
        let n = bias.len();
        let lefts: Vec<Values> =
            std::iter::once(x).chain(beside.iter().map(|beside| &beside.left)).map(Values::of).collect();
        let lefts = lefts.iter().map(Values::slice::<T>).collect::<Result<Vec<_>>>()?;
        let mut panels = vec![Panels::<W>::default(); lefts.len()];
        let mut out = vec![T::default(); m * n];
        for start in (0..n).step_by(COLUMNS) {
            let count = COLUMNS.min(n - start);
            match &self.weight {
                Weight::Dense(weight) => {
                    let weight = weight.narrow(0, start, count)?.contiguous()?;
                    with_element!(weight, V => {
                        panels[0].refill_transposed(Values::of(&weight).slice::<V>()?, depth, count, depth);
                    });
                }
                Weight::Packed(packed, _) => {
                    let weight = packed.unpack_rows(start, count, DType::F32)?;
                    panels[0].refill_transposed(Values::of(&weight).slice::<f32>()?, depth, count, depth);
                }
            }
            for (panels, beside) in panels[1..].iter_mut().zip(beside) {
                let weight = beside.scaled_rows(start, count)?;
                let depth = weight.dim(1)?;
                panels.refill_transposed(Values::of(&weight).slice::<f32>()?, depth, count, depth);
            }
            let strides = std::iter::once(depth).chain(beside.iter().map(Beside::depth));
            let products = lefts.iter().zip(strides).zip(&panels);
            let products: Vec<_> = products.map(|((left, stride), right)| Product { left, stride, right }).collect();
            multiply(&products, &bias[start..start + count], &mut out, n, start);
        }
        Ok(out)
    }
}

/// A product that is added: `scale * left weight^T`, `left` (m, depth), `weight` (out, depth).
struct Beside<'a> {
    left: Tensor,
    weight: &'a Tensor,
    scale: f32,
}

impl<'a> Beside<'a> {
    /// That of `addition` to the product of `x` (m, in); its first factor is in f32 where there are few rows.
    fn of(addition: &'a Addition, x: &Tensor, few: bool) -> Result<Option<Self>> {
        let x = if few { &x.to_dtype(DType::F32)? } else { x };
        Ok(match addition {
            Addition::LowRank { down, up, scale } => {
                let left = Linear::dense(down.clone(), None).on_cpu(x, &[])?;
                Some(Self { left, weight: up, scale: *scale })
            }
            Addition::Matrix { weight, scale } => Some(Self { left: x.clone(), weight, scale: *scale }),
            Addition::Bias { .. } => None,
        })
    }

    fn depth(&self) -> usize {
        self.weight.dims().last().copied().unwrap_or(0)
    }

    /// Rows `start..start + count` of the weight in f32, scaled.
    fn scaled_rows(&self, start: usize, count: usize) -> Result<Tensor> {
        Ok((self.weight.narrow(0, start, count)?.to_dtype(DType::F32)? * f64::from(self.scale))?.contiguous()?)
    }
}

/// `y` and the `addition` to the product of `x`, each rounded to the type of `y`.
fn plus(y: &Tensor, x: &Tensor, addition: &Addition) -> Result<Tensor> {
    let product = |x: &Tensor, weight: &Tensor| Linear::dense(weight.clone(), None).forward(x);
    Ok(match addition {
        Addition::LowRank { down, up, scale } => {
            let between = (product(x, down)? * f64::from(*scale))?;
            (y + product(&between, up)?)?
        }
        Addition::Matrix { weight, scale } => (y + (product(x, weight)? * f64::from(*scale))?)?,
        Addition::Bias { bias, scale } => y.broadcast_add(&(bias * f64::from(*scale))?)?,
    })
}

/// Up to here reading the weights once, as they are, beats packing them for a matrix product.
const FEW_ROWS: usize = 4;

/// `x` (m, in) for small m times `weight` (out, in), as dot products.
fn few_rows<T: Element>(x: &Tensor, weight: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
    let weight = weight.contiguous()?;
    with_element!(weight, V => dot_products::<T, V>(x, &weight, bias))
}

fn dot_products<T: Element, V: Element>(x: &Tensor, weight: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
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

    /// What docs/gpu.md says of it: with outlier channels or without, about ten times the error of bf16.
    #[test]
    fn in_float8_the_error_is_that_of_three_bits_with_outliers_too() {
        let (rows, takes, gives) = (64, 3072, 128);
        let bytes = (0..gives * takes).map(|i| (i * 7919 % 100 + i % 3 % 2 * 128) as u8).collect();
        let layer = Linear::packed(Packed::float8_of(bytes, 0.02, gives, takes, &Device::Cpu).unwrap(), None);
        let in_float8 = layer.clone().with_precision(MatmulPrecision::Float8);
        let values = Tensor::randn(0.0_f32, 1.0, (rows, takes), &Device::Cpu).unwrap();
        let channels = (0..takes).map(|i| if i % 400 == 7 { 100.0_f32 } else { 1.0 }).collect::<Vec<_>>();
        let channels = Tensor::from_vec(channels, (1, takes), &Device::Cpu).unwrap();
        for x in [values.clone(), values.broadcast_mul(&channels).unwrap()] {
            let exact = layer.forward(&x).unwrap();
            let error = |y: Tensor| {
                let y = y.to_dtype(DType::F32).unwrap();
                let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
                norm(&(y - &exact).unwrap()) / norm(&exact)
            };
            let bf16 = error(layer.forward(&x.to_dtype(DType::BF16).unwrap()).unwrap());
            let float8 = error(in_float8.forward(&x).unwrap());
            assert!((0.01..0.04).contains(&float8) && float8 > 4.0 * bf16, "{float8} and {bf16}");
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
