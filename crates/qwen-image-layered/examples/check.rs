//! Runs a part on what `reference/real.py` wrote and prints relative errors and times:
//!
//!     cargo run --release -p qwen-image-layered --example check -- DIR vae|transformer [f32|bf16]

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::vae::{Vae, VaeConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};
use qwen_image_layered::{Monitor, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, part, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: check DIR vae|transformer [f32|bf16]");
        std::process::exit(2);
    };
    let dtype = if rest.iter().any(|word| word == "bf16") { DType::BF16 } else { DType::F32 };
    let device = if cfg!(feature = "cuda") { Device::new_cuda(0)? } else { Device::Cpu };
    let mut report = |_| ControlFlow::Continue(());
    let run = Run { folder: Path::new(folder), dtype, device, monitor: Monitor::new(&mut report) };
    if part == "vae" { run.vae() } else { run.transformer() }
}

struct Run<'a> {
    folder: &'a Path,
    dtype: DType,
    device: Device,
    monitor: Monitor<'a>,
}

impl Run<'_> {
    fn tensors(&self, part: &str) -> Result<HashMap<String, Tensor>> {
        Ok(candle_core::safetensors::load(self.folder.join(format!("{part}.safetensors")), &self.device)?)
    }

    fn weights(&self, name: &str, part: Part) -> Result<Weights> {
        let checkpoint = Checkpoint::open(&self.folder.join(name), part)?;
        Ok(Weights::new(Arc::new(checkpoint), self.dtype, &self.device))
    }

    fn input(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_dtype(self.dtype)?)
    }

    fn vae(&self) -> Result<()> {
        let config: VaeConfig = read_json(&self.folder.join("vae/config.json"))?;
        let vae = Vae::load(&config, &self.weights("vae", Part::Vae)?)?;
        let tensors = self.tensors("vae")?;
        let image = self.input(&tensors["image"])?;
        measure("encode", &tensors["moments"], || vae.moments(&image, &self.monitor))?;
        let latents = self.input(&tensors["latents"])?;
        measure("decode", &tensors["decoded"], || vae.decode_raw(&latents, &self.monitor))
    }

    fn transformer(&self) -> Result<()> {
        let config: TransformerConfig = read_json(&self.folder.join("transformer/config.json"))?;
        let model = Transformer::load(&config, &self.weights("transformer", Part::Transformer)?)?;
        let tensors = self.tensors("transformer")?;
        let shape = tensors["shape"].to_vec1::<i64>()?;
        let size = |i: usize| shape[i] as usize;
        let grid = FrameGrid { frames: size(0), rows: size(1), columns: size(2) };
        let (hidden, text) = (self.input(&tensors["hidden"])?, self.input(&tensors["text"])?);
        println!("weights are loaded, {}", peak_memory());
        let sigma = if self.dtype == DType::BF16 { 0.730_468_75 } else { 0.7306 }; // as the reference rounds it
        let step = Step { sigma, grid, monitor: &self.monitor };
        measure("forward", &tensors["output"], || model.forward(&hidden, &text, &step))?;
        if let Some(peer) = tensors.get("output_bf16") {
            println!("the reference's own bf16 is off by {:.2e}", relative(peer, &tensors["output"])?);
        }
        Ok(())
    }
}

fn measure(name: &str, expected: &Tensor, call: impl Fn() -> Result<Tensor>) -> Result<()> {
    for _ in 0..2 {
        let start = Instant::now();
        let found = call()?;
        let error = relative(&found, expected)?;
        println!("{name}: {:.2} s, off by {error:.2e}, {}", start.elapsed().as_secs_f64(), peak_memory());
    }
    Ok(())
}

fn relative(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let norm = |x: Tensor| -> Result<f64> { Ok(x.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt()) };
    let (found, expected) = (found.to_dtype(DType::F64)?, expected.to_dtype(DType::F64)?);
    Ok(norm((found - &expected)?)? / norm(expected)?)
}

/// Peak memory of this process, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).map(str::to_lowercase).unwrap_or_default()
}
