//! Loads a tiny checkpoint of random weights and decomposes a picture with it. The layers are noise, but everything runs
//! as with the real weights, in seconds:
//!
//!     cargo run --release -p qwen-image-layered --features synthetic --example tiny

use std::ops::ControlFlow;

use candle_core::DType;
use image::{Rgba, RgbaImage};
use qwen_image_layered::synthetic::{Format, Size, Synthetic};
use qwen_image_layered::{LoadOptions, Params, Pipeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("qwen-image-layered-tiny-{}", std::process::id()));
    let result = run(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let synthetic = Synthetic { size: Size::Tiny, format: Format::Bf16 };
    let files = synthetic.write(folder, &mut |_, _| ControlFlow::Continue(()))?;
    println!("a checkpoint of {} bytes in {}", synthetic.bytes(), folder.display());

    let options = LoadOptions { dtype: DType::F32, ..LoadOptions::default() };
    let mut pipeline = Pipeline::load(&files, &options)?;
    let picture = RgbaImage::from_fn(96, 64, |x, y| Rgba([2 * x as u8, 3 * y as u8, 90, 255]));
    let params = Params { prompt: "a kite".into(), layers: 2, steps: 4, resolution: 64, ..Params::default() };
    let output = pipeline.decompose(&picture, &params, &mut |progress| {
        eprint!("\r{:?} {:3.0} %   ", progress.stage, 100.0 * progress.fraction());
        ControlFlow::Continue(())
    })?;
    eprintln!();
    for (index, layer) in output.layers.iter().enumerate() {
        println!("layer {index}: {}x{}", layer.width(), layer.height());
    }
    println!("{} passes through the transformer", output.passes.all);
    Ok(())
}
