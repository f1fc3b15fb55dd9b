//! What a LoRA costs: a transformer block at its published width without and with one of rank 64 for all of its
//! attention and MLP matrices, in turn, and the time to put it on and to change its strength:
//!
//!     cargo bench -p qwen-image-layered --bench lora -- [f32|bf16] [--side 640] [--rounds 5]
//!
//! Random weights, on the CPU. Medians; memory is what the process has resident (VmRSS).

#[path = "model/checkpoint.rs"]
#[allow(dead_code, reason = "the parts of the other benchmark")]
mod checkpoint;

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use checkpoint::{BLOCK_DIM, TEXT_DIM};
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};
use qwen_image_layered::{Lora, LoraUse, Monitor};

const RANK: usize = 64;
const WORDS: usize = 256;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (mut dtype, mut side, mut rounds) = (DType::F32, 640, 5);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut number = || Ok::<usize, Box<dyn Error>>(words.next().ok_or(format!("{word} needs a value"))?.parse()?);
        match word.as_str() {
            "f32" => dtype = DType::F32,
            "bf16" => dtype = DType::BF16,
            "--side" => side = number()?,
            "--rounds" => rounds = number()?.max(1),
            _ => return Err(format!("`{word}` is not known; see the head of benches/lora.rs").into()),
        }
    }
    let folder = tempfile::tempdir()?;
    checkpoint::write(folder.path(), "block")?;
    let lora = folder.path().join("lora.safetensors");
    let values = write_lora(&lora)?;
    let part = folder.path().join("transformer");
    let config: TransformerConfig = read_json(&part.join("config.json"))?;
    let weights = Weights::new(Arc::new(Checkpoint::open(&part, Part::Transformer)?), dtype, &Device::Cpu);
    let mut model = Transformer::load(&config, &weights)?;
    let (rows, columns) = (side / 16, side / 16);
    let noise = |shape: &[usize]| Tensor::randn(0.0_f32, 1.0, shape, &Device::Cpu)?.to_dtype(dtype);
    let (hidden, text) = (noise(&[1, 6 * rows * columns, 64])?, noise(&[1, WORDS, TEXT_DIM])?);
    let forward = |model: &Transformer| -> Outcome<(f64, f64)> {
        let mut report = |_| ControlFlow::Continue(());
        let step =
            Step { sigma: 0.7, grid: FrameGrid { frames: 5, rows, columns }, monitor: &Monitor::new(&mut report) };
        let begun = (Instant::now(), processor_seconds());
        model.forward(&hidden, &text, &step)?;
        Ok((begun.0.elapsed().as_secs_f64(), processor_seconds() - begun.1))
    };
    println!("{} tokens, {dtype:?}, {} threads", 6 * rows * columns + WORDS, rayon_threads());
    let lora = Arc::new(Lora::open(&lora)?);
    let used = |strength| [LoraUse { lora: lora.clone(), strength }];
    forward(&model)?;
    let (mut without, mut with, mut on, mut changed) = (vec![], vec![], vec![], vec![]);
    let resident = memory();
    model.set_loras(&used(1.0))?;
    let grown = memory().saturating_sub(resident);
    model.set_loras(&[])?;
    for _ in 0..rounds {
        without.push(forward(&model)?);
        on.push(timed(|| model.set_loras(&used(1.0)))?);
        changed.push(timed(|| model.set_loras(&used(0.8)))?);
        with.push(forward(&model)?);
        model.set_loras(&[])?;
    }
    let size = (values * dtype.size_in_bytes()) as f64;
    for (what, number) in [("wall", (|times| times.0) as fn(&(f64, f64)) -> f64), ("CPU", |times| times.1)] {
        let [without, with] = [&without, &with].map(|all| median(&mut all.iter().map(number).collect::<Vec<_>>()));
        println!("{what}: without {without:.2} s, with {with:.2} s: {:+.1} %", 100.0 * (with / without - 1.0));
    }
    println!(
        "LoRA of {:.0} MB: {:.3} s to put on, {:.6} s for another strength, resident memory grows by {:.0} MB ({:+.1} %)",
        size / 1e6,
        median(&mut on),
        median(&mut changed),
        grown as f64 / 1e6,
        100.0 * (grown as f64 / size - 1.0)
    );
    Ok(())
}

/// Pairs for all attention and MLP matrices of the block, in bf16; how many numbers they have.
fn write_lora(path: &Path) -> Outcome<usize> {
    const D: usize = BLOCK_DIM;
    let mut tensors = HashMap::new();
    let mut pair = |name: &str, takes: usize, gives: usize| -> candle_core::Result<()> {
        let key = |end: &str| format!("diffusion_model.transformer_blocks.0.{name}.lora_{end}.weight");
        let values = |shape: (usize, usize)| Tensor::randn(0.0_f32, 0.02, shape, &Device::Cpu)?.to_dtype(DType::BF16);
        tensors.insert(key("A"), values((RANK, takes))?);
        tensors.insert(key("B"), values((gives, RANK))?);
        Ok(())
    };
    for name in ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"] {
        pair(&format!("attn.{name}"), D, D)?;
    }
    for stream in ["img", "txt"] {
        pair(&format!("{stream}_mlp.net.0.proj"), D, 4 * D)?;
        pair(&format!("{stream}_mlp.net.2"), 4 * D, D)?;
    }
    candle_core::safetensors::save(&tensors, path)?;
    Ok(tensors.values().map(Tensor::elem_count).sum())
}

fn timed<T>(work: impl FnOnce() -> qwen_image_layered::Result<T>) -> Outcome<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    (numbers[(numbers.len() - 1) / 2] + numbers[numbers.len() / 2]) / 2.0
}

/// Resident bytes; 0 where the kernel does not tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// User and system time of this process, in the kernel's ticks of 10 ms; 0 where it does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn rayon_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
