//! Decomposes a picture on the CPU or a GPU:
//!
//!     cargo run --release -p qwen-image-layered --example decompose -- MODEL_DIR PICTURE OUTPUT_DIR [PROMPT]

use std::ops::ControlFlow;
use std::path::PathBuf;

use candle_core::{DType, Device};
use qwen_image_layered::{LoadOptions, ModelFiles, Params, Pipeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, picture, output, rest @ ..] = arguments.as_slice() else {
        return Err("usage: decompose MODEL_DIR PICTURE OUTPUT_DIR [PROMPT]".into());
    };
    // The published weights are bf16; on a GPU there is no reason to widen them.
    let device = if cfg!(feature = "cuda") { Device::new_cuda(0)? } else { Device::Cpu };
    let dtype = if device.is_cpu() { DType::F32 } else { DType::BF16 };
    let options = LoadOptions { dtype, device, ..LoadOptions::default() };
    let mut pipeline = Pipeline::load(&ModelFiles::folder(model), &options)?;

    let picture = image::open(picture)?.into_rgba8();
    let params = Params { prompt: rest.join(" "), steps: 20, ..Params::default() };
    let result = pipeline.decompose(&picture, &params, &mut |progress| {
        eprint!("\r{:?} {:3.0} %  ", progress.stage, 100.0 * progress.fraction());
        ControlFlow::Continue(())
    })?;
    eprintln!();
    if let Some(caption) = &result.caption {
        println!("{caption}");
    }
    std::fs::create_dir_all(output)?;
    for (index, layer) in result.layers.iter().enumerate() {
        layer.save(PathBuf::from(output).join(format!("layer_{index}.png")))?;
    }
    Ok(())
}
