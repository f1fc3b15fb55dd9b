//! Attention on devices other than the CPU.

use candle_core::{D, DType, Tensor};

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

/// FlashAttention 2. It takes and gives (b, n, h, d), which is how tokens lie in memory.
#[cfg(feature = "flash-attn")]
fn flash(q: &Tensor, k: &Tensor, v: &Tensor, options: AttentionOptions) -> Result<Tensor> {
    let rows = |x: &Tensor| {
        let x = x.transpose(1, 2)?;
        if x.stride()[3] == 1 { Ok(x) } else { x.contiguous() }
    };
    let y = candle_flash_attn::flash_attn(&rows(q)?, &rows(k)?, &rows(v)?, options.scale, options.causal)?;
    Ok(y.transpose(1, 2)?)
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
