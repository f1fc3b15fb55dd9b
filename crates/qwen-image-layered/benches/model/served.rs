//! A process that has one part loaded and times calls when asked, so that memory can be told apart.

use std::error::Error;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use qwen_image_layered::text::TextEncoder;
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::vae::{Vae, VaeConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};
use qwen_image_layered::{ModelFiles, Monitor};

use crate::checkpoint::TEXT_DIM;
use crate::{Size, WORDS};

type Call = Box<dyn Fn(&Monitor) -> qwen_image_layered::Result<Tensor>>;

/// Loads `part`, then answers each name of a call on stdin with a line: seconds, seconds of all processors,
/// peak memory and the memory before the call in bytes.
pub(crate) fn serve(folder: &Path, part: &str, dtype: DType, size: Size) -> Result<(), Box<dyn Error>> {
    let calls = load(folder, part, dtype, size)?;
    println!("ready");
    let mut report = |_| ControlFlow::Continue(());
    let monitor = Monitor::new(&mut report);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (_, call) = calls.iter().find(|(name, _)| *name == line).ok_or("no such call")?;
        // The kernel then starts anew with the peak; without the file (another system), memory is told as 0.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let before = (memory("VmRSS:"), processor_seconds(), Instant::now());
        let result = call(&monitor)?;
        let wall = before.2.elapsed().as_secs_f64();
        let processors = processor_seconds() - before.1;
        let peak = memory("VmHWM:");
        if !result.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err("the result is not finite".into());
        }
        println!("{wall} {processors} {peak} {}", before.0);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn load(folder: &Path, part: &str, dtype: DType, size: Size) -> Result<Vec<(&'static str, Call)>, Box<dyn Error>> {
    let device = Device::Cpu;
    let weights = |name: &str, part: Part| -> Result<Weights, Box<dyn Error>> {
        Ok(Weights::new(Arc::new(Checkpoint::open(&folder.join(name), part)?), dtype, &device))
    };
    let noise = |shape: &[usize]| Tensor::randn(0.0_f32, 1.0, shape, &device)?.to_dtype(dtype);
    let Size { rows, columns } = size;
    Ok(match part {
        "vae" => {
            let config: VaeConfig = read_json(&folder.join("vae/config.json"))?;
            let vae = Arc::new(Vae::load(&config, &weights("vae", Part::Vae)?)?);
            let image = noise(&[1, 4, 16 * rows, 16 * columns])?;
            let latents = noise(&[1, 16, 2 * rows, 2 * columns])?;
            let other = Arc::clone(&vae);
            vec![
                ("encode", Box::new(move |monitor: &Monitor| vae.moments(&image, monitor)) as Call),
                ("decode", Box::new(move |monitor: &Monitor| other.decode_raw(&latents, monitor))),
            ]
        }
        "block" => {
            let config: TransformerConfig = read_json(&folder.join("transformer/config.json"))?;
            let model = Transformer::load(&config, &weights("transformer", Part::Transformer)?)?;
            let (hidden, text) = (noise(&[1, 6 * rows * columns, 64])?, noise(&[1, WORDS, TEXT_DIM])?);
            let call = move |monitor: &Monitor| {
                let grid = FrameGrid { frames: 5, rows, columns };
                model.forward(&hidden, &text, &Step { sigma: 0.7, grid, monitor })
            };
            vec![("forward", Box::new(call))]
        }
        _ => {
            let text_model = Some(folder.join("text_encoder/model.safetensors"));
            let files = ModelFiles { text_model, ..ModelFiles::folder(folder) };
            let encoder = TextEncoder::load(&files, dtype, &device)?;
            let prompt = "layer after layer ".repeat(512);
            vec![("forward", Box::new(move |monitor: &Monitor| encoder.encode(&prompt, 512, monitor)))]
        }
    })
}

/// A size in bytes from the kernel's status of this process; 0 where there is none.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// User and system time of this process, in the kernel's ticks of 10 ms; 0 where it does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
