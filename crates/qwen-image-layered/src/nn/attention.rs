use candle_core::{D, DType, Device, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Matrix, Threads, Values};
use crate::{Monitor, Result};

/// Queries of one task on the CPU, and keys that it looks at together: 128 x 512 scores fit the second-level cache.
const QUERY_TILE: usize = 128;
const KEY_TILE: usize = 512;
/// Scores that may exist at one time on another device: 1 GiB in f32.
const DEVICE_SCORES: usize = 1 << 28;
/// Multiply-adds between two looks at the monitor: some tenths of a second on a desktop core.
const CHECK_EVERY: usize = 20_000_000_000;

#[derive(Debug, Clone, Copy)]
pub struct AttentionOptions {
    /// What scores are multiplied by, usually `1 / sqrt(d)`.
    pub scale: f32,
    /// Query i of n sees the keys up to i + (m - n) of m.
    pub causal: bool,
}

/// `softmax(scale q k^T) v`, without the score matrix ever existing as a whole.
///
/// `q` (b, h, n, d), `k` and `v` (b, g, m, d) with h a multiple of g (query head i
/// uses key head i * g / h), any strides -> (b, h, n, d), contiguous, in the type of `q`.
///
/// # Errors
/// On shapes that do not fit, on a device failure, or when the monitor says stop.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, monitor: &Monitor) -> Result<Tensor> {
    if cpu::takes(q) { on_cpu(q, k, v, options, monitor) } else { on_device(q, k, v, options, monitor) }
}

fn on_cpu(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, monitor: &Monitor) -> Result<Tensor> {
    let (batch, heads, n, d) = q.dims4()?;
    let (_, groups, m, _) = k.dims4()?;
    // Keys are read many times, queries once per tile: widen them here.
    let (q32, k32, v32) = (rows_f32(q)?, rows_f32(k)?, rows_f32(v)?);
    let (q_values, k_values, v_values) = (Values::of(&q32), Values::of(&k32), Values::of(&v32));
    let (q_values, k_values, v_values) =
        (q_values.strided::<f32>()?, k_values.strided::<f32>()?, v_values.strided::<f32>()?);
    let head = |values, tensor: &Tensor, b: usize, h: usize, rows: usize| Head::new(values, tensor, b, h, rows, d);

    let mut out = vec![0.0_f32; batch * heads * n * d];
    let per_wave = (CHECK_EVERY / (2 * n * m * d).max(1)).clamp(1, heads * batch);
    for (wave, out) in out.chunks_mut(per_wave * n * d).enumerate() {
        monitor.check()?;
        out.par_chunks_mut(n * d)
            .enumerate()
            .flat_map(|(i, out)| out.par_chunks_mut(QUERY_TILE * d).enumerate().map(move |(tile, out)| (i, tile, out)))
            .for_each(|(i, tile, out)| {
                let (b, h) = ((wave * per_wave + i) / heads, (wave * per_wave + i) % heads);
                let group = h * groups / heads;
                let queries = head(q_values, &q32, b, h, n);
                let (keys, values) = (head(k_values, &k32, b, group, m), head(v_values, &v32, b, group, m));
                one_tile(out, tile * QUERY_TILE, n, &queries, &keys, &values, options);
            });
    }
    Ok(Tensor::from_vec(out, (batch, heads, n, d), &Device::Cpu)?.to_dtype(q.dtype())?)
}

/// As f32 with neighbouring values of a row next to each other.
fn rows_f32(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.to_dtype(DType::F32)?;
    Ok(if tensor.stride()[3] == 1 { tensor } else { tensor.contiguous()? })
}

/// One head's rows of queries, keys or values.
struct Head<'a> {
    values: &'a [f32],
    rows: usize,
    d: usize,
    stride: usize,
}

impl<'a> Head<'a> {
    fn new(values: &'a [f32], tensor: &Tensor, batch: usize, head: usize, rows: usize, d: usize) -> Self {
        let strides = tensor.stride();
        Self { values: &values[batch * strides[0] + head * strides[1]..], rows, d, stride: strides[2] }
    }

    fn tile(&self, start: usize, count: usize) -> Matrix<'a> {
        let values = &self.values[start * self.stride..];
        Matrix { values, rows: count, columns: self.d, row_stride: self.stride, column_stride: 1 }
    }
}

/// Attention of the queries from `first` on, as many as `out` has rows of d, by online softmax
/// (Milakov and Gimelshein 2018): a running maximum and sum per query.
fn one_tile(out: &mut [f32], first: usize, n: usize, q: &Head, k: &Head, v: &Head, options: AttentionOptions) {
    let (m, d) = (k.rows, k.d);
    let count = out.len() / d;
    let mut scores = vec![0.0_f32; count * KEY_TILE.min(m)];
    let (mut maxima, mut sums) = (vec![f32::NEG_INFINITY; count], vec![0.0_f32; count]);
    let visible = |query: usize| if options.causal { (first + query + 1 + m).saturating_sub(n).min(m) } else { m };
    let end = visible(count - 1);
    for start in (0..end).step_by(KEY_TILE) {
        let width = KEY_TILE.min(end - start);
        let keys = k.tile(start, width).transposed();
        cpu::multiply(&mut scores, width, false, q.tile(first, count), keys, Threads::One);
        pulp::Arch::new().dispatch(|| {
            for query in 0..count {
                let seen = visible(query).saturating_sub(start).min(width);
                let row = &mut scores[query * width..][..width];
                let out = &mut out[query * d..][..d];
                weigh(row, seen, &mut maxima[query], &mut sums[query], out, options.scale);
            }
        });
        let weights = Matrix::new(&scores[..count * width], count, width);
        cpu::multiply(out, d, true, weights, v.tile(start, width), Threads::One);
    }
    for (row, sum) in out.chunks_mut(d).zip(&sums) {
        row.iter_mut().for_each(|value| *value /= sum);
    }
}

/// Turns the first `seen` of a row of scores into weights relative to the running maximum, the rest into 0,
/// and brings what was summed so far to a new maximum.
#[inline(always)]
fn weigh(row: &mut [f32], seen: usize, maximum: &mut f32, sum: &mut f32, out: &mut [f32], scale: f32) {
    let (row, hidden) = row.split_at_mut(seen);
    hidden.fill(0.0);
    if row.is_empty() {
        return;
    }
    let largest = largest(row) * scale;
    if largest > *maximum {
        let shrink = if *maximum == f32::NEG_INFINITY { 0.0 } else { cpu::exp(*maximum - largest) };
        *maximum = largest;
        *sum *= shrink;
        out.iter_mut().for_each(|value| *value *= shrink);
    }
    let offset = *maximum;
    for score in row.iter_mut() {
        *score = cpu::exp(*score * scale - offset);
    }
    *sum += cpu::sum(row.len(), |i| row[i]);
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let mut chunks = row.chunks_exact(16);
    for chunk in &mut chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(chunks.remainder()).fold(f32::NEG_INFINITY, |a, &b| a.max(b))
}

/// Matrix products of the device over tiles of queries; scores and softmax in f32.
fn on_device(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, monitor: &Monitor) -> Result<Tensor> {
    let (batch, heads, n, d) = q.dims4()?;
    let (_, groups, m, _) = k.dims4()?;
    let spread = |x: &Tensor| -> Result<Tensor> {
        if groups == heads {
            return Ok(x.contiguous()?);
        }
        let wide = x.unsqueeze(2)?.broadcast_as((batch, groups, heads / groups, m, d))?;
        Ok(wide.contiguous()?.reshape((batch, heads, m, d))?)
    };
    let (keys, values) = (spread(k)?.t()?, spread(v)?); // (b, h, d, m), (b, h, m, d)
    let tile = (DEVICE_SCORES / (batch * heads * m).max(1)).clamp(1, n);
    let mut out = Vec::new();
    for start in (0..n).step_by(tile) {
        monitor.check()?;
        let count = tile.min(n - start);
        // Scaling the queries first keeps scores small in 16 bit.
        let queries = (q.narrow(2, start, count)?.contiguous()? * f64::from(options.scale))?;
        let mut scores = queries.matmul(&keys)?.to_dtype(DType::F32)?; // (b, h, count, m)
        if options.causal {
            let hidden: Vec<f32> =
                (0..count * m).map(|i| if i % m + n > start + i / m + m { f32::NEG_INFINITY } else { 0.0 }).collect();
            scores = scores.broadcast_add(&Tensor::from_vec(hidden, (count, m), q.device())?)?;
        }
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.to_dtype(q.dtype())?;
        out.push(weights.matmul(&values)?);
    }
    Ok(Tensor::cat(&out, 2)?)
}
