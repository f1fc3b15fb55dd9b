use candle_core::{DType, Device, Module, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Element, Matrix, Threads, Values, with_element};
use crate::Result;
use crate::weights::Packed;

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
    /// GGUF blocks or scaled fp8, widened for each product.
    Packed(Packed),
}

impl Linear {
    /// `weight` (out, in) and `bias` (out) of one dtype.
    pub fn dense(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Dense(weight), bias }
    }

    /// `bias` is in the type that the model computes in.
    pub fn packed(weight: Packed, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Packed(weight), bias }
    }

    /// `x` (..., in) -> (..., out), in the type of `x`.
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if cpu::takes(x) {
            return self.on_cpu(x);
        }
        let y = match &self.weight {
            Weight::Dense(weight) => candle_nn::Linear::new(weight.clone(), None).forward(x)?,
            Weight::Packed(packed) => candle_nn::Linear::new(packed.unpack(x.dtype())?, None).forward(x)?,
        };
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }

    fn on_cpu(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, columns) = match &self.weight {
            Weight::Dense(weight) => weight.dims2()?,
            Weight::Packed(packed) => (packed.rows(), packed.columns()),
        };
        let shape = [&x.dims()[..x.rank() - 1], &[rows]].concat();
        let flat = x.reshape(((), columns))?.to_dtype(DType::F32)?.contiguous()?;
        let bias = match &self.bias {
            Some(bias) => bias.to_dtype(DType::F32)?.to_vec1::<f32>()?,
            None => vec![0.0; rows],
        };
        with_element!(x, T => {
            let out = match &self.weight {
                Weight::Dense(weight) if flat.dim(0)? <= FEW_ROWS && weight.is_contiguous() => {
                    with_element!(weight, W => few_rows::<T, W>(&flat, weight, &bias)?)
                }
                Weight::Dense(weight) => {
                    let tile = |start, count| Ok(weight.narrow(0, start, count)?.to_dtype(DType::F32)?.contiguous()?);
                    // f32 weights need no widening, so no tiles.
                    let tile_rows = if weight.dtype() == DType::F32 { rows } else { TILE_VALUES / columns.max(1) };
                    tiled::<T>(&flat, &bias, tile_rows, tile)?
                }
                Weight::Packed(packed) if flat.dim(0)? <= FEW_ROWS => {
                    let sums = packed.multiply_few(Values::of(&flat).slice::<f32>()?)?;
                    sums.iter().zip(bias.iter().cycle()).map(|(sum, bias)| T::narrow(sum + bias)).collect()
                }
                Weight::Packed(packed) => {
                    let tile = |start, count| packed.unpack_rows(start, count, DType::F32);
                    tiled::<T>(&flat, &bias, TILE_VALUES / columns.max(1), tile)?
                }
            };
            Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
        })
    }
}

/// Weight values that are widened together: 16 MiB in f32, enough for a fast product.
const TILE_VALUES: usize = 1 << 22;
/// Up to here reading the weights once, as they are, beats widening them for a matrix product.
const FEW_ROWS: usize = 4;

/// `x` (m, in) times the weight, whose rows `start..start + count` come from `tile` in f32: the wide matrix
/// never exists as a whole.
fn tiled<T: Element>(
    x: &Tensor,
    bias: &[f32],
    tile_rows: usize,
    tile: impl Fn(usize, usize) -> Result<Tensor>,
) -> Result<Vec<T>> {
    let (m, columns) = x.dims2()?;
    let n = bias.len();
    let tile_rows = tile_rows.clamp(1, n.max(1));
    let x_values = Values::of(x);
    let x = Matrix::new(x_values.slice::<f32>()?, m, columns);
    let mut out = vec![T::default(); m * n];
    let mut sums = Vec::with_capacity(m * tile_rows);
    for start in (0..n).step_by(tile_rows) {
        let count = tile_rows.min(n - start);
        let weight = tile(start, count)?;
        let weight_values = Values::of(&weight);
        let weight = Matrix::new(weight_values.slice::<f32>()?, count, columns).transposed();
        sums.clear();
        (0..m).for_each(|_| sums.extend_from_slice(&bias[start..start + count]));
        cpu::multiply(&mut sums, count, true, x, weight, Threads::All);
        out.par_chunks_mut(n).zip(sums.par_chunks(count)).for_each(|(out, sums)| {
            pulp::Arch::new().dispatch(|| {
                out[start..start + count].iter_mut().zip(sums).for_each(|(out, &sum)| *out = T::narrow(sum));
            });
        });
    }
    Ok(out)
}

/// `x` (m, in) for small m times `weight` (out, in), as dot products.
fn few_rows<T: Element, W: Element>(x: &Tensor, weight: &Tensor, bias: &[f32]) -> Result<Vec<T>> {
    let (m, columns) = x.dims2()?;
    let (x_values, weight_values) = (Values::of(x), Values::of(weight));
    let (x, weight) = (x_values.slice::<f32>()?, weight_values.slice::<W>()?);
    let n = bias.len();
    let mut out = vec![T::default(); m * n];
    for (out, x) in out.chunks_mut(n).zip(x.chunks(columns)) {
        out.par_chunks_mut(64).enumerate().for_each(|(chunk, out)| {
            pulp::Arch::new().dispatch(|| {
                for (i, out) in out.iter_mut().enumerate() {
                    let row = &weight[(chunk * 64 + i) * columns..][..columns];
                    *out = T::narrow(bias[chunk * 64 + i] + cpu::sum(columns, |k| x[k] * row[k].widen()));
                }
            });
        });
    }
    Ok(out)
}
