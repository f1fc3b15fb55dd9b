//! Transformer and autoencoder from the packagings of ComfyUI and llama.cpp's family, against the published one.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use common::{checkpoint, input, monitored, relative};
use qwen_image_layered::Result;
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::vae::{Vae, VaeConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};

type Tensors = HashMap<String, Tensor>;

/// Products of the same numbers in another order.
const BAR: f64 = 1e-6;
const STEM: &str = "diffusion_pytorch_model.safetensors";

fn weights(path: &Path, part: Part) -> Result<Weights> {
    Ok(Weights::new(Arc::new(Checkpoint::open(path, part)?), DType::F32, &Device::Cpu))
}

fn save(tensors: &Tensors, path: &Path) {
    candle_core::safetensors::save(tensors, path).unwrap();
}

fn load_all(folder: &Path) -> Tensors {
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.flat_map(|path| candle_core::safetensors::load(path, &Device::Cpu).unwrap()).collect()
}

/// The published transformer in small, and what it gives with the weights of `path`.
fn transformer_output(path: &Path) -> Result<Tensor> {
    let config: TransformerConfig = read_json(&common::fixture("transformer-published/config.json"))?;
    let model = Transformer::load(&config, &weights(path, Part::Transformer)?)?;
    let grid = FrameGrid { frames: 3, rows: 4, columns: 6 };
    let hidden = input("hidden", &[1, 4 * 24, 64], 3, 1.7);
    let text = input("text", &[1, 7, 64], 3, 3.0);
    monitored(|monitor| model.forward(&hidden, &text, &Step { sigma: 0.73, grid, monitor, part: [0.0, 1.0] }))
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
    for (weight_scale, input_scale) in [("scale_weight", "scale_input"), ("weight_scale", "input_scale")] {
        let (mut stored, mut wide) = (Tensors::new(), Tensors::new());
        for (name, tensor) in transformer_tensors() {
            let Some(layer) = name.strip_suffix(".weight").filter(|_| tensor.rank() == 2) else {
                stored.insert(name.clone(), tensor.clone());
                wide.insert(name, tensor);
                continue;
            };
            let largest = tensor.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            let scale = largest / 448.0;
            let values = (tensor / f64::from(scale)).unwrap().to_dtype(DType::F8E4M3).unwrap();
            wide.insert(name.clone(), (values.to_dtype(DType::F32).unwrap() * f64::from(scale)).unwrap());
            stored.insert(format!("{layer}.{weight_scale}"), Tensor::new(scale, &Device::Cpu).unwrap());
            stored.insert(format!("{layer}.{input_scale}"), Tensor::new(1f32, &Device::Cpu).unwrap());
            stored.insert(name, values);
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
        let (mut blocks, mut wide) = (Vec::new(), Tensors::new());
        for (name, tensor) in transformer_tensors() {
            let columns = tensor.dims().last().copied().unwrap_or(1);
            // As converters do: what has no whole blocks in its rows takes the next best type.
            let kind = match tensor.rank() {
                2 if columns.is_multiple_of(kind.block_size()) => kind,
                2 if columns.is_multiple_of(32) => Q8_0,
                _ => GgmlDType::F32,
            };
            let block = QTensor::quantize(&tensor, kind).unwrap();
            wide.insert(name.clone(), block.dequantize(&Device::Cpu).unwrap());
            blocks.push((name, block));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let architecture = Value::String("qwen_image".to_owned());
        let blocks: Vec<(&str, &QTensor)> = blocks.iter().map(|(name, block)| (name.as_str(), block)).collect();
        let mut file = std::fs::File::create(&path).unwrap();
        gguf_file::write(&mut file, &[("general.architecture", &architecture)], &blocks).unwrap();
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
    assert!(error.contains("addition_t_embedding") && error.contains(STEM), "{error}");
}

/// ComfyUI's name of a published tensor of the autoencoder with two residual blocks a level.
fn wan_name(name: &str) -> String {
    let residual = |rest: &str| {
        let rest = rest.replace("norm1.", "residual.0.").replace("conv1.", "residual.2.");
        let rest = rest.replace("norm2.", "residual.3.").replace("conv2.", "residual.6.");
        rest.replace("conv_shortcut.", "shortcut.")
    };
    let parts: Vec<&str> = name.splitn(5, '.').collect();
    match parts.as_slice() {
        ["quant_conv", rest] => format!("conv1.{rest}"),
        ["post_quant_conv", rest] => format!("conv2.{rest}"),
        [side, "conv_in", rest] => format!("{side}.conv1.{rest}"),
        [side, "norm_out", rest] => format!("{side}.head.0.{rest}"),
        [side, "conv_out", rest] => format!("{side}.head.2.{rest}"),
        [side, "mid_block", "attentions", "0", rest] => format!("{side}.middle.1.{rest}"),
        [side, "mid_block", "resnets", "0", rest] => format!("{side}.middle.0.{}", residual(rest)),
        [side, "mid_block", "resnets", _, rest] => format!("{side}.middle.2.{}", residual(rest)),
        ["encoder", "down_blocks", index, rest @ ..] => {
            format!("encoder.downsamples.{index}.{}", residual(&rest.join(".")))
        }
        ["decoder", "up_blocks", level, kind, rest] => {
            let level: usize = level.parse().unwrap();
            let (index, rest) = rest.split_once('.').unwrap();
            let index: usize = index.parse().unwrap();
            match *kind {
                "resnets" => format!("decoder.upsamples.{}.{}", level * 4 + index, residual(rest)),
                _ => format!("decoder.upsamples.{}.{rest}", level * 4 + 3),
            }
        }
        _ => panic!("`{name}` has no Wan name"),
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
