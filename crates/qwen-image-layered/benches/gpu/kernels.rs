//! What a step is made of, each alone, against what the device can do, and its share of a step.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use qwen_image_layered::synthetic::{Format, Size, Synthetic};
use qwen_image_layered::testing::kernels;
use qwen_image_layered::{MatmulPrecision, Monitor};
use serde_json::json;

use crate::{LAYERS, Options, Outcome, RESOLUTION, WORDS, say};

/// What an H200 gave: operations and bytes a second.
const PRODUCTS: f64 = 790e12;
const MEMORY: f64 = 4.3e12;
const ROUNDS: usize = 5;

const FLASH_2: &str = "FlashAttention 2";

/// One kind of work of a block.
struct Kernel<'a> {
    name: &'static str,
    /// How often a block does it in one pass, 0 for what others are compared with; what it does to the few tokens of the
    /// text is not counted.
    in_block: usize,
    /// Operations of products; 0 where memory is what limits it.
    operations: f64,
    /// Bytes read and written.
    bytes: f64,
    work: Box<dyn Fn() -> qwen_image_layered::Result<Tensor> + 'a>,
}

fn kernel<'a>(
    name: &'static str,
    in_block: usize,
    operations: f64,
    bytes: f64,
    work: impl Fn() -> qwen_image_layered::Result<Tensor> + 'a,
) -> Kernel<'a> {
    Kernel { name, in_block, operations, bytes, work: Box::new(work) }
}

pub(crate) fn run(options: &Options) -> Outcome {
    let device = &options.device;
    let dimensions = Synthetic { size: options.size, format: Format::Bf16 }.dimensions();
    let (heads, head) = (dimensions.num_attention_heads, dimensions.attention_head_dim);
    let dim = heads * head;
    let side = RESOLUTION as usize / 16;
    let tokens = if options.size == Size::Full { (LAYERS + 2) * side * side + WORDS } else { 512 };
    let random = |shape: &[usize]| -> candle_core::Result<Tensor> {
        Tensor::randn(0.0_f32, 1.0, shape, device)?.to_dtype(DType::BF16)
    };
    let mut report = |_| ControlFlow::Continue(());
    let monitor = Monitor::new(&mut report);
    let (x, wide) = (random(&[1, tokens, dim])?, random(&[1, tokens, 4 * dim])?);
    let row = (tokens * dim * 2) as f64;
    let layer = |from, to| -> candle_core::Result<_> { Ok((random(&[to, from])?, random(&[to])?)) };
    let layers = [layer(dim, dim)?, layer(dim, 4 * dim)?, layer(4 * dim, dim)?];
    let [square, widening, narrowing] = layers.clone().map(|(weight, bias)| kernels::Linear::dense(weight, Some(bias)));
    let [_, plain_widening, _] = &layers;
    let float8 = |from: usize, to: usize| -> qwen_image_layered::Result<_> {
        let bytes: Vec<u8> = (0..from * to).map(|i| (i * 7919 % 127) as u8).collect();
        Ok(kernels::float8(bytes, 1e-3, to, random(&[to])?, device)?.with_precision(MatmulPrecision::Float8))
    };
    let (square_8, narrowing_8) = (float8(dim, dim)?, float8(4 * dim, dim)?);
    let product = 2.0 * (tokens * dim * dim) as f64;
    let heads_of = || random(&[1, tokens, heads, head])?.transpose(1, 2);
    let (q, k, v) = (heads_of()?, heads_of()?, heads_of()?);
    let attention = kernels::AttentionOptions { scale: 1.0 / (head as f32).sqrt(), causal: false };
    let (shift, y, split) = (random(&[1, dim])?, random(&[1, tokens, dim])?, random(&[1, tokens, heads, head])?);
    let (weight, rotation) = (random(&[head])?, random(&[tokens, head])?.to_dtype(DType::F32)?);
    let mut all = vec![
        kernel("product dim to dim, bias", 4, product, 0.0, || square.forward(&x)),
        kernel("product dim to 4 dim, bias, GELU", 1, 4.0 * product, 0.0, || widening.forward_gelu(&x)),
        kernel("product 4 dim to dim, bias", 1, 4.0 * product, 0.0, || narrowing.forward(&wide)),
        kernel("attention", 1, 4.0 * (tokens * tokens * dim) as f64, 0.0, || {
            kernels::attention(&q, &k, &v, attention, &monitor)
        }),
        kernel("norm and modulate", 2, 0.0, 2.0 * row, || kernels::modulate(&x, &shift, &shift, 1e-6)),
        kernel("gated residual", 2, 0.0, 3.0 * row, || kernels::add_gated(&x, &shift, &y)),
        kernel("norm and rotate", 2, 0.0, 2.0 * row, || kernels::rms_norm_rotate(&split, &weight, 1e-6, &rotation)),
        // On request; not counted.
        kernel("product dim to dim, bias, in fp8", 0, product, 0.0, || square_8.forward(&x)),
        kernel("product 4 dim to dim, bias, in fp8", 0, 4.0 * product, 0.0, || narrowing_8.forward(&wide)),
        // What these take the place of; not counted.
        #[cfg(feature = "flash-attn")]
        kernel(FLASH_2, 0, 4.0 * (tokens * tokens * dim) as f64, 0.0, || kernels::flash_2(&q, &k, &v, attention)),
        kernel("candle's product dim to 4 dim, bias, GELU", 0, 4.0 * product, 0.0, || {
            kernels::gelu_tanh(&kernels::composed::product(&x, &plain_widening.0, Some(&plain_widening.1))?)
        }),
        kernel("candle's gated residual", 0, 0.0, 3.0 * row, || kernels::composed::add_gated(&x, &shift, &y)),
        kernel("candle's norm and rotate", 0, 0.0, 2.0 * row, || {
            kernels::composed::rms_norm_rotate(&split, &weight, 1e-6, &rotation)
        }),
    ];
    // It is for CUDA alone.
    all.retain(|kernel| device.is_cuda() || kernel.name != FLASH_2);
    let (mut step, mut queued_step) = (0.0, 0.0);
    for kernel in &all {
        let (seconds, queued) = time(device, kernel)?;
        // A guided step has two passes.
        let in_step = (2 * dimensions.num_layers * kernel.in_block) as f64;
        step += seconds * in_step;
        queued_step += queued * in_step;
        let mut line = json!({
            "kernel": kernel.name,
            "ms": seconds * 1e3,
            "queued_ms": queued * 1e3,
            "ms_per_step": seconds * in_step * 1e3,
        });
        if kernel.operations > 0.0 {
            line["tflops"] = (kernel.operations / seconds / 1e12).into();
            line["of_790_tflops"] = (kernel.operations / seconds / PRODUCTS).into();
        } else {
            line["gb_per_s"] = (kernel.bytes / seconds / 1e9).into();
            line["of_4300_gb_per_s"] = (kernel.bytes / seconds / MEMORY).into();
        }
        say("kernels", line);
    }
    for degradation in kernels::degradations(device) {
        say("kernels", json!({ "degradation": degradation.to_string() }));
    }
    // Where the processor queues work in a fraction of the time that it takes, the device never waits for it, and
    // captured graphs would save nothing.
    say(
        "kernels",
        json!({
            "kernel": "all of these",
            "ms_per_step": step * 1e3,
            "queued_ms_per_step": queued_step * 1e3,
            "tokens": tokens,
        }),
    );
    Ok(())
}

/// The medians of some rounds in seconds, each until the device is done, and until it is queued there.
fn time(device: &Device, kernel: &Kernel) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    (kernel.work)()?;
    device.synchronize()?;
    let (mut seconds, mut queued) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let result = (kernel.work)()?;
        queued.push(start.elapsed().as_secs_f64());
        device.synchronize()?;
        seconds.push(start.elapsed().as_secs_f64());
        drop(result);
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[ROUNDS / 2]
    };
    Ok((median(seconds), median(queued)))
}
