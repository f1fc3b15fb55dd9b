use std::ops::ControlFlow;

use candle_core::DType;
use image::RgbaImage;

use super::*;
use crate::weights::Source;
use crate::{LoadOptions, Output, Params, Pipeline};

/// A short run of the real pipeline.
fn run(files: &ModelFiles, dtype: DType) -> Result<Output> {
    let mut pipeline = Pipeline::load(files, &LoadOptions { dtype, ..LoadOptions::default() })?;
    let params = Params { layers: 1, steps: 2, resolution: 64, prompt: "a kite".into(), ..Params::default() };
    let picture = RgbaImage::from_fn(40, 40, |x, y| image::Rgba([6 * x as u8, 5 * y as u8, 90, 255]));
    pipeline.decompose(&picture, &params, &mut |_| ControlFlow::Continue(()))
}

fn quietly(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn every_format_is_written_loaded_and_run() {
    for format in Format::ALL {
        let synthetic = Synthetic { size: Size::Tiny, format };
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let files = synthetic
            .write(folder.path(), &mut |done, total| {
                seen.push((done, total));
                ControlFlow::Continue(())
            })
            .unwrap();
        let total = synthetic.bytes();
        assert_eq!(seen.last(), Some(&(total, total)), "{format}");
        let options = LoadOptions { dtype: DType::F32, ..LoadOptions::default() };
        let pipeline = Pipeline::load(&files, &options).unwrap_or_else(|e| panic!("{format}: {e}"));
        assert!(pipeline.can_caption(), "{format}");
        drop(pipeline);
        let output = run(&files, DType::F32).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!(output.layers.len(), 1);
        // Values that had run away would end as one colour.
        let first = output.layers[0].get_pixel(0, 0);
        assert!(output.layers[0].pixels().any(|pixel| pixel != first), "{format}");
    }
}

#[test]
fn weights_that_are_made_up_are_those_that_would_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let synthetic = Synthetic { size: Size::Tiny, format: Format::Fp8 };
    let written = run(&synthetic.write(folder.path(), &mut quietly).unwrap(), DType::BF16).unwrap();
    let other = tempfile::tempdir().unwrap();
    let made = run(&synthetic.write_without_weights(other.path()).unwrap(), DType::BF16).unwrap();
    assert_eq!(written.layers, made.layers);
    let size = |entry: &Path| fs::metadata(entry).unwrap().len();
    assert!(size(&other.path().join("transformer").join(MARKER)) < 100);
    assert!(!other.path().join("transformer/diffusion_pytorch_model.safetensors").exists());
}

#[test]
fn the_full_size_has_the_published_sizes() {
    let gigabytes = |format, part| -> f64 {
        let synthetic = Synthetic { size: Size::Full, format };
        synthetic.planned(part).iter().map(|tensor| tensor.bytes() as f64 / 1e9).sum()
    };
    let close = |found: f64, published: f64| assert!((found / published - 1.0).abs() < 0.03, "{found}, {published}");
    close(gigabytes(Format::Bf16, Part::Transformer), 40.9);
    close(gigabytes(Format::Fp8, Part::Transformer), 20.5);
    close(gigabytes(Format::Gguf(Quantisation::Q8_0), Part::Transformer), 22.0);
    close(gigabytes(Format::Gguf(Quantisation::Q6K), Part::Transformer), 16.8);
    close(gigabytes(Format::Gguf(Quantisation::Q5KM), Part::Transformer), 14.9);
    close(gigabytes(Format::Gguf(Quantisation::Q4KM), Part::Transformer), 13.1);
    // 8.29 billion parameters of Qwen2.5-VL-7B, 127 million of the autoencoder.
    close(gigabytes(Format::Bf16, Part::TextEncoder), 16.58);
    close(gigabytes(Format::Bf16, Part::Vae), 0.254);
    let whole = Synthetic { size: Size::Full, format: Format::Bf16 };
    let checkpoint = whole.checkpoint(Path::new("generated"), Part::Transformer).unwrap();
    assert_eq!(checkpoint.shape("transformer_blocks.59.img_mlp.net.0.proj.weight"), Some(vec![12_288, 3072]));
}

#[test]
fn writing_stops_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let synthetic = Synthetic { size: Size::Tiny, format: Format::Bf16 };
    let stopped = synthetic.write(folder.path(), &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[test]
fn formats_and_sizes_are_read_back() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert_eq!("GGUF:Q4_K_M".parse(), Ok(Format::Gguf(Quantisation::Q4KM)));
    assert!("gguf:q2".parse::<Format>().unwrap_err().contains("q4_k_m"));
    assert_eq!("full".parse(), Ok(Size::Full));
    assert!("huge".parse::<Size>().is_err());
}
