//! Transformer and autoencoder from the packagings of ComfyUI and llama.cpp's family, against the published one.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use common::{checkpoint, input, monitored, relative};
use qwen_image_layered::Result;
use qwen_image_layered::testing::packagings::{Tensors, gguf, load_all, save, scaled_fp8, wan_name};
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::vae::{Vae, VaeConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};

/// Products of the same numbers in another order.
const BAR: f64 = 1e-6;
const STEM: &str = "diffusion_pytorch_model.safetensors";

fn weights(path: &Path, part: Part) -> Result<Weights> {
    Ok(Weights::new(Arc::new(Checkpoint::open(path, part)?), DType::F32, &Device::Cpu))
}

/// The published transformer in small, and what it gives with the weights of `path`.
fn transformer_output(path: &Path) -> Result<Tensor> {
    let config: TransformerConfig = read_json(&common::fixture("transformer-published/config.json"))?;
    let model = Transformer::load(&config, &weights(path, Part::Transformer)?)?;
    let grid = FrameGrid { frames: 3, rows: 4, columns: 6 };
    let hidden = input("hidden", &[1, 4 * 24, 64], 3, 1.7);
    let text = input("text", &[1, 7, 64], 3, 3.0);
    monitored(|monitor| model.forward(&hidden, &text, &Step { sigma: 0.73, grid, monitor }))
}

fn transformer_tensors() -> Tensors {
    load_all(checkpoint("transformer-published", 3).path())
}

/// What the published packaging of `tensors` gives.
fn published_output(tensors: &Tensors) -> Tensor {
    let folder = tempfile::tempdir().unwrap();
    save(tensors, &folder.path().join(STEM));
    transformer_output(folder.path()).unwrap()
}

#[test]
fn a_single_file_with_a_prefix_is_the_published_model() {
    let tensors = transformer_tensors();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qwen_image_layered.safetensors");
    let prefixed = tensors.iter().map(|(name, tensor)| (format!("model.diffusion_model.{name}"), tensor.clone()));
    save(&prefixed.collect(), &path);
    let error = relative(&transformer_output(&path).unwrap(), &published_output(&tensors));
    assert_eq!(error, 0.0);
}

#[test]
fn scaled_fp8_is_the_dequantised_model() {
    let tensors = transformer_tensors();
    for (weight_scale, input_scale) in [("scale_weight", "scale_input"), ("weight_scale", "input_scale")] {
        let (mut stored, wide) = scaled_fp8(&tensors, weight_scale);
        for layer in tensors.keys().filter_map(|name| name.strip_suffix(".weight")) {
            stored.insert(format!("{layer}.{input_scale}"), Tensor::new(1f32, &Device::Cpu).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fp8.safetensors");
        save(&stored, &path);
        let error = relative(&transformer_output(&path).unwrap(), &published_output(&wide));
        assert!(error < BAR, "{weight_scale}: {error:e}");
    }
}

#[test]
fn gguf_is_the_dequantised_model() {
    use GgmlDType::{Q2K, Q3K, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
    for kind in [Q4_0, Q5_0, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let wide = gguf(&transformer_tensors(), kind, "qwen_image", str::to_owned, &path);
        let error = relative(&transformer_output(&path).unwrap(), &published_output(&wide));
        assert!(error < BAR, "{kind:?}: {error:e}");
    }
}

#[test]
fn a_transformer_with_a_tensor_too_few_or_too_many_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(STEM);
    let mut tensors = transformer_tensors();
    let extra = tensors["img_in.bias"].clone();
    tensors.insert("transformer_blocks.99.attn.to_q.bias".to_owned(), extra);
    save(&tensors, &path);
    let error = transformer_output(folder.path()).unwrap_err().to_string();
    assert!(error.contains("transformer_blocks.99.attn.to_q.bias") && error.contains(STEM), "{error}");

    // The tensor that plain Qwen-Image does not have.
    let mut tensors = transformer_tensors();
    tensors.remove("time_text_embed.addition_t_embedding.weight").expect("the layered model's own tensor");
    save(&tensors, &path);
    let error = transformer_output(folder.path()).unwrap_err().to_string();
    for words in ["plain Qwen-Image", "addition_t_embedding", STEM] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_autoencoder_with_its_original_names_is_the_published_one() {
    let folder = checkpoint("vae-published", 1);
    let tensors = load_all(folder.path());
    let config: VaeConfig = read_json(&folder.path().join("config.json")).unwrap();
    let path = folder.path().join("qwen_image_layered_vae.safetensors");
    save(&tensors.into_iter().map(|(name, tensor)| (wan_name(&name), tensor)).collect(), &path);
    let picture = input("picture", &[1, 4, 40, 64], 1, 1.0);
    let [published, wan] = [folder.path().join(STEM), path].map(|path| {
        let vae = Vae::load(&config, &weights(&path, Part::Vae).unwrap()).unwrap();
        monitored(|monitor| vae.moments(&picture, monitor)).unwrap()
    });
    assert_eq!(relative(&wan, &published), 0.0);
}
