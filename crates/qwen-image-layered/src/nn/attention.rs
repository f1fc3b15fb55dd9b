use candle_core::{DType, Device, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::cpu::{self, Element, Values, with_element};
use super::device_attention::on_device;
use super::panels::Panels;
use super::tile::{LANES, PANEL, ROWS};
use super::word::{Pair, Word, pairs_pay};
use crate::{Monitor, Result};

/// Queries of one task on the CPU, and keys that it looks at together: the scores fit the second-level cache.
const QUERY_TILE: usize = 128;
const KEY_TILE: usize = 10 * PANEL;
/// Multiply-adds between two checks of the monitor: some tenths of a second on a desktop core.
const CHECK_EVERY: usize = 20_000_000_000;

/// How attention scores are scaled and masked.
#[derive(Debug, Clone, Copy)]
pub struct AttentionOptions {
    /// Factor of the scores, usually `1 / sqrt(d)`.
    pub scale: f32,
    /// Whether query i of n attends only to the keys up to i + (m - n) of m.
    pub causal: bool,
}

/// `softmax(scale q k^T) v`; the score matrix never exists as a whole (Milakov and Gimelshein, 2018).
///
/// `q` (b, h, n, d), `k` and `v` (b, g, m, d) with h a multiple of g (query head i
/// uses key head i * g / h), any strides -> (b, h, n, d) in the type of `q`; on the CPU it lies
/// in memory as (b, n, h, d), ready for what comes next.
///
/// # Errors
/// On shapes that do not fit, on a device failure, or when the monitor says stop.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, monitor: &Monitor) -> Result<Tensor> {
    if !cpu::takes(q) {
        return on_device(q, k, v, options, monitor);
    }
    let (k, v) = (k.to_dtype(q.dtype())?, v.to_dtype(q.dtype())?);
    let (q, k, v) = (rows_of(q)?, rows_of(&k)?, rows_of(&v)?);
    if q.dtype() == DType::BF16 && pairs_pay() {
        return on_cpu::<bf16, Pair>(&q, &k, &v, options, monitor);
    }
    with_element!(q, T => on_cpu::<T, f32>(&q, &k, &v, options, monitor))
}

/// Weights of keys are rounded to what `W` holds, as the values are.
fn on_cpu<T: Element, W: Word>(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    options: AttentionOptions,
    monitor: &Monitor,
) -> Result<Tensor> {
    let (batch, heads, n, d) = q.dims4()?;
    let (_, groups, m, _) = k.dims4()?;
    let guards = (Values::of(q), Values::of(k), Values::of(v));
    let (queries, keys, values) = (guards.0.strided::<T>()?, guards.1.strided::<T>()?, guards.2.strided::<T>()?);
    let shared = heads / groups; // query heads with the same keys
    let mut out = vec![T::default(); batch * n * heads * d];

    // Each wave packs the keys and values of some heads, which all threads then read.
    let per_wave = (CHECK_EVERY / (2 * n * m * d * shared).max(1)).clamp(1, batch * groups);
    let mut packed = vec![(Panels::<W>::default(), Panels::<W>::default()); per_wave];
    let mut results = vec![0.0_f32; per_wave * shared * n * d];
    for wave in (0..batch * groups).step_by(per_wave) {
        monitor.check()?;
        let count = per_wave.min(batch * groups - wave);
        packed[..count].par_iter_mut().enumerate().for_each(|(i, (packed_keys, packed_values))| {
            let (keys, stride) = head(keys, k, wave + i);
            packed_keys.refill_transposed(keys, d, m, stride);
            let (values, stride) = head(values, v, wave + i);
            packed_values.refill_straight(values, m, d, stride);
        });
        let results = &mut results[..count * shared * n * d];
        results
            .par_chunks_mut(n * d)
            .enumerate()
            .flat_map(|(i, out)| out.par_chunks_mut(QUERY_TILE * d).enumerate().map(move |(tile, out)| (i, tile, out)))
            .for_each_init(Scratch::<W>::default, |scratch, (i, tile, out)| {
                let (queries, stride) = head(queries, q, wave * shared + i);
                let (keys, values) = &packed[i / shared];
                scratch.look(&queries[tile * QUERY_TILE * stride..], stride, out.len() / d, d);
                scratch.one_tile(out, tile * QUERY_TILE, (n, m, d), (keys, values), options);
            });
        for (i, result) in results.chunks(n * d).enumerate() {
            let (b, h) = ((wave * shared + i) / heads, (wave * shared + i) % heads);
            let out = &mut out[b * n * heads * d..][..n * heads * d];
            out.par_chunks_mut(heads * d).zip(result.par_chunks(d)).for_each(|(out, result)| {
                out[h * d..][..d].iter_mut().zip(result).for_each(|(out, &value)| *out = T::narrow(value));
            });
        }
    }
    Ok(Tensor::from_vec(out, (batch, n, heads, d), &Device::Cpu)?.transpose(1, 2)?)
}

/// With neighbouring values of a row next to each other.
fn rows_of(tensor: &Tensor) -> Result<Tensor> {
    Ok(if tensor.stride()[3] == 1 { tensor.clone() } else { tensor.contiguous()? })
}

/// The values of head `index`, counted through all batches, from its first row on, and how far apart its rows are.
fn head<'a, T>(values: &'a [T], tensor: &Tensor, index: usize) -> (&'a [T], usize) {
    let (heads, strides) = (tensor.dims()[1], tensor.stride());
    (&values[index / heads * strides[0] + index % heads * strides[1]..], strides[2])
}

/// Memory of one thread.
#[derive(Default)]
struct Scratch<W> {
    /// (rows, words of d), rows filled up to a multiple of [`ROWS`]
    queries: Vec<W>,
    /// (rows, [`KEY_TILE`])
    scores: Vec<f32>,
    /// (rows, words of [`KEY_TILE`])
    weights: Vec<W>,
    /// (rows, d up to a multiple of [`LANES`])
    sums: Vec<f32>,
}

impl<W: Word> Scratch<W> {
    /// Takes `count` queries of `d` values, `stride` apart.
    fn look<T: Element>(&mut self, queries: &[T], stride: usize, count: usize, d: usize) {
        let (rows, depth) = (count.next_multiple_of(ROWS), d.div_ceil(W::TERMS));
        self.queries.clear();
        self.queries.resize(rows * depth, W::default());
        for (words, row) in self.queries.chunks_mut(depth).zip(queries.chunks(stride).take(count)) {
            W::fill(words, &row[..d]);
        }
        self.scores.resize(rows * KEY_TILE, 0.0);
        self.weights.resize(rows * KEY_TILE / W::TERMS, W::default());
        self.sums.clear();
        self.sums.resize(rows * d.next_multiple_of(LANES), 0.0);
    }

    /// Attention of the queries, the first of which is number `first` of `n`, by online softmax
    /// (Milakov and Gimelshein 2018): a running maximum and sum per query.
    fn one_tile(
        &mut self,
        out: &mut [f32],
        first: usize,
        (n, m, d): (usize, usize, usize),
        (k, v): (&Panels<W>, &Panels<W>),
        options: AttentionOptions,
    ) {
        let count = out.len() / d;
        let stride = d.next_multiple_of(LANES);
        let (depth, apart) = (d.div_ceil(W::TERMS), KEY_TILE / W::TERMS);
        let kernel = W::kernel();
        let (mut maxima, mut totals) = ([f32::NEG_INFINITY; QUERY_TILE], [0.0_f32; QUERY_TILE]);
        let visible = |query: usize| if options.causal { (first + query + 1 + m).saturating_sub(n).min(m) } else { m };
        let end = visible(count - 1);
        for start in (0..end).step_by(KEY_TILE) {
            let width = KEY_TILE.min(end - start);
            for panel in start / PANEL..(start + width).div_ceil(PANEL) {
                let (columns, right) = (k.width(panel), k.part(panel, 0, depth));
                let scores = &mut self.scores[panel * PANEL - start..];
                for (tile, rows) in self.queries.chunks(ROWS * depth).enumerate() {
                    let rows = std::array::from_fn(|i| &rows[i * depth..][..depth]);
                    kernel.tile(rows, right, columns, &mut scores[tile * ROWS * KEY_TILE..], KEY_TILE, false);
                }
            }
            pulp::Arch::new().dispatch(Softmax {
                scores: &mut self.scores,
                weights: &mut self.weights,
                sums: &mut self.sums,
                stride,
                width,
                seen: |query| visible(query).saturating_sub(start).min(width),
                maxima: &mut maxima[..count],
                totals: &mut totals,
                scale: options.scale,
            });
            let words = width.div_ceil(W::TERMS);
            for panel in 0..v.count() {
                let (columns, right) = (v.width(panel), v.part(panel, start / W::TERMS, words));
                let tiles = self.weights.chunks(ROWS * apart).zip(self.sums.chunks_mut(ROWS * stride));
                for (rows, sums) in tiles {
                    let rows = std::array::from_fn(|i| &rows[i * apart..][..words]);
                    kernel.tile(rows, right, columns, &mut sums[panel * PANEL..], stride, true);
                }
            }
        }
        for ((out, sums), total) in out.chunks_mut(d).zip(self.sums.chunks(stride)).zip(&totals) {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum / total);
        }
    }
}

/// Weighs the scores of a tile, query after query. Not a closure: those are not inlined into the versions for
/// wider vectors, and stay at four lanes.
struct Softmax<'a, W, F> {
    /// (queries, [`KEY_TILE`])
    scores: &'a mut [f32],
    /// (queries, words of [`KEY_TILE`])
    weights: &'a mut [W],
    /// (queries, stride)
    sums: &'a mut [f32],
    stride: usize,
    /// Scores of a row.
    width: usize,
    /// How many of them a query sees.
    seen: F,
    maxima: &'a mut [f32],
    totals: &'a mut [f32],
    scale: f32,
}

impl<W: Word, F: Fn(usize) -> usize> pulp::NullaryFnOnce for Softmax<'_, W, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for query in 0..self.maxima.len() {
            let row = &mut self.scores[query * KEY_TILE..][..self.width];
            let sums = &mut self.sums[query * self.stride..][..self.stride];
            let seen = (self.seen)(query);
            weigh(row, seen, &mut self.maxima[query], &mut self.totals[query], sums, self.scale);
            W::fill(&mut self.weights[query * KEY_TILE / W::TERMS..], row);
        }
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
