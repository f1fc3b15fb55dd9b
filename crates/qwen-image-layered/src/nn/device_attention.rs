//! Attention on devices other than the CPU.

use candle_core::{D, DType, Tensor};
use candle_transformers::utils::repeat_kv;

use super::attention::AttentionOptions;
use crate::{Monitor, Result};

/// Scores that may exist at one time without a fused kernel: 128 MiB in f32, and again before and after the softmax.
pub const DEVICE_SCORES: usize = 1 << 25;

/// See [`attention`](super::attention::attention).
pub fn on_device(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions, monitor: &Monitor) -> Result<Tensor> {
    #[cfg(feature = "flash-attn")]
    if flash_takes(q) {
        monitor.check()?;
        return flash(q, k, v, options);
    }
    in_tiles(q, k, v, options, DEVICE_SCORES, monitor)
}

/// The kernels that are built: see docs/gpu.md.
#[cfg(feature = "flash-attn")]
fn flash_takes(q: &Tensor) -> bool {
    q.device().is_cuda() && q.dtype() == DType::BF16 && q.dims().last() == Some(&128)
}

/// FlashAttention, version 3 on GPUs that it supports. It takes and returns (b, n, h, d), which is how tokens lie in
/// memory.
#[cfg(feature = "flash-attn")]
fn flash(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Result<Tensor> {
    #[cfg(feature = "flash-attn-v3")]
    {
        let (q, k, v) = (rows(q)?, rows(k)?, rows(v)?);
        if flash_3::takes([&q, &k, &v], options) {
            return Ok(flash_3::attention([&q, &k, &v], options)?.transpose(1, 2)?);
        }
    }
    flash_2(q, k, v, options)
}

/// FlashAttention 2, with everything as [`attention`](super::attention::attention) has it.
#[cfg(feature = "flash-attn")]
pub fn flash_2(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Result<Tensor> {
    let y = candle_flash_attn::flash_attn(&rows(q)?, &rows(k)?, &rows(v)?, options.scale, options.causal)?;
    Ok(y.transpose(1, 2)?)
}

/// (b, h, n, d) -> (b, n, h, d), with neighbouring values of a row next to each other.
#[cfg(feature = "flash-attn")]
fn rows(x: &Tensor) -> Result<Tensor> {
    let x = x.transpose(1, 2)?;
    Ok(if x.stride()[3] == 1 { x } else { x.contiguous()? })
}

/// FlashAttention 3, of which the kernels without a mask are built, for Hopper.
#[cfg(feature = "flash-attn-v3")]
mod flash_3 {
    use std::ops::ControlFlow;

    use candle_core::{DType, Device, Tensor};

    use super::{AttentionOptions, in_tiles};
    use crate::nn::trial::{Error, passed, relative_error, values};
    use crate::{KernelSet, Monitor, Result};

    /// Bytes that the tensor memory accelerator wants places and distances to be multiples of.
    const ALIGNMENT: usize = 16;

    /// Whether [`attention`] takes queries, keys and values (b, n, h, d) in bf16.
    pub fn takes([q, k, v]: [&Tensor; 3], options: AttentionOptions) -> bool {
        let aligned = |x: &Tensor| {
            let places = x.stride()[..3].iter().chain([&x.layout().start_offset()]).all(|n| (2 * n) % ALIGNMENT == 0);
            x.stride()[3] == 1 && places
        };
        let fits = |x: &Tensor| x.dtype() == DType::BF16 && x.elem_count() > 0 && aligned(x);
        let same_heads = q.dims()[2] == k.dims()[2];
        !options.causal
            && same_heads
            && [q, k, v].into_iter().all(fits)
            && passed(q.device(), KernelSet::Flash3, errors)
    }

    /// (b, n, h, d)
    pub fn attention([q, k, v]: [&Tensor; 3], options: AttentionOptions) -> Result<Tensor> {
        Ok(candle_flash_attn_v3::flash_attn(q, k, v, options.scale, options.causal, false)?)
    }

    /// More blocks of queries than any GPU has multiprocessors, so that some take several.
    const HEADS: usize = 60;

    /// Against tiles in f32, on the device; an odd and an even number of blocks of queries have a kernel each. Scores are
    /// so small that keys beyond the last would weigh.
    fn errors(device: &Device) -> Result<Vec<Error>> {
        let options = AttentionOptions { scale: 1.0 / 128_f32.sqrt(), causal: false };
        let mut errors = Vec::new();
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        for (name, tokens) in [("FlashAttention 3", 300), ("FlashAttention 3 in clusters", 500)] {
            let values = |salt: usize| values(&[1, tokens, HEADS, 128], salt, DType::BF16, device);
            let (q, k, v) = (values(1)?, values(2)?, values(3)?);
            let own = attention([&q, &k, &v], options)?;
            let wide = |x: &Tensor| x.transpose(1, 2)?.to_dtype(DType::F32);
            let plain = in_tiles(&wide(&q)?, &wide(&k)?, &wide(&v)?, options, 1 << 22, &monitor)?;
            errors.push((name, relative_error(&own, &plain.transpose(1, 2)?)?, 1e-2));
        }
        Ok(errors)
    }
}

/// Matrix products of the device over tiles of queries with at most `most` scores; scores and softmax in f32.
fn in_tiles(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    options: AttentionOptions,
    most: usize,
    monitor: &Monitor,
) -> Result<Tensor> {
    let (batch, heads, n, _) = q.dims4()?;
    let (_, groups, m, _) = k.dims4()?;
    // Grouped queries: each head gets a copy of its group's keys and values.
    let repeated = |x: &Tensor| repeat_kv(x.contiguous()?, heads / groups);
    let (keys, values) = (repeated(k)?.t()?, repeated(v)?); // (b, h, d, m), (b, h, m, d)
    let tile = (most / (batch * heads * m).max(1)).clamp(1, n);
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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::Device;

    use super::*;
    use crate::nn::{as_device, attention};

    #[test]
    fn tiles_give_what_the_cpu_gives() {
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        let random = |heads, n| Tensor::randn(0.0_f32, 1.0, (2, heads, n, 32), &Device::Cpu).unwrap();
        for (heads, groups, n, m, causal) in [(4, 4, 37, 37, false), (4, 2, 37, 37, true), (4, 1, 3, 50, true)] {
            let (q, k, v) = (random(heads, n), random(groups, m), random(groups, m));
            let options = AttentionOptions { scale: 0.2, causal };
            let expected = attention(&q, &k, &v, options, &monitor).unwrap();
            let whole = as_device(|| attention(&q, &k, &v, options, &monitor)).unwrap();
            // Seven queries at a time.
            let tiles = in_tiles(&q, &k, &v, options, 2 * heads * m * 7, &monitor).unwrap();
            for found in [whole, tiles] {
                assert_eq!(found.dims(), expected.dims());
                let worst = (found - &expected).unwrap().abs().unwrap().max_all().unwrap();
                assert!(worst.to_scalar::<f32>().unwrap() < 1e-5);
            }
        }
    }
}
