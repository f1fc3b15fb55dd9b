//! Other packagings of the model, through the command line: GGUF for transformer and text encoder with its vision tower,
//! and ComfyUI's single files. Each gives the same result as the published folder with the dequantised weights.

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use qwen_image_layered::testing::packagings::{
    Tensors, gguf, llama_name, load_all, mmproj, save, scaled_fp8, wan_name,
};
use qwen_image_layered::testing::{copy_folder, weight, whole_checkpoint};
use serde_json::{Value, json};
use support::{command, stderr, write_poster};
use tempfile::TempDir;

/// Widths that are multiples of the block size of every type.
const WIDTH: usize = 256;
const VOCABULARY: usize = 1152;
const SALT: u64 = 11;

/// Tolerance: the same products of the same numbers.
const BAR: f64 = 1e-5;

/// A small model, in f32 and by the published names.
struct Model {
    /// Configs, tokenizer, scheduler and the autoencoder with its weights.
    base: TempDir,
    transformer: Tensors,
    /// The text model without the vision tower.
    text: Tensors,
    vision: Tensors,
}

impl Model {
    fn new() -> Self {
        let base = whole_checkpoint();
        let mut vision = load_all(&base.path().join("text_encoder"));
        vision.retain(|name, _| name.contains("visual."));
        let mut vision: Tensors = vision
            .into_iter()
            .map(|(name, tensor)| {
                (name.trim_start_matches("model.").to_owned(), tensor.to_dtype(DType::F32).expect("f32"))
            })
            .collect();
        add(&mut vision, "visual.merger.mlp.2", &[WIDTH, 128]);
        set(&base.path().join("transformer/config.json"), |config| {
            config["num_layers"] = json!(1);
            config["num_attention_heads"] = json!(2);
            config["attention_head_dim"] = json!(WIDTH / 2);
            config["axes_dims_rope"] = json!([16, 56, 56]);
            config["joint_attention_dim"] = json!(WIDTH);
        });
        set(&base.path().join("text_encoder/config.json"), |config| {
            let text = &mut config["text_config"];
            text["hidden_size"] = json!(WIDTH);
            text["intermediate_size"] = json!(WIDTH);
            text["rope_parameters"]["mrope_section"] = json!([8, 12, 12]);
            config["vision_config"]["out_hidden_size"] = json!(WIDTH);
        });
        for part in ["transformer", "text_encoder"] {
            for file in fs::read_dir(base.path().join(part)).expect("a folder").map(|file| file.expect("a file").path())
            {
                if file.to_string_lossy().contains("safetensors") {
                    fs::remove_file(file).expect("removed");
                }
            }
        }
        Self { base, transformer: transformer(), text: text(), vision }
    }

    /// A folder with everything but the weights of transformer and text encoder.
    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        copy_folder(self.base.path(), folder.path());
        folder
    }

    /// The result with the published layout of these weights.
    fn published(&self, transformer: &Tensors, text: &Tensors, prompt: &str) -> Dump {
        let folder = self.folder();
        save(transformer, &folder.path().join("transformer/diffusion_pytorch_model.safetensors"));
        let whole = text.iter().chain(&self.vision).map(|(name, tensor)| (name.clone(), tensor.clone()));
        save(&whole.collect(), &folder.path().join("text_encoder/model.safetensors"));
        decompose(&[("MODEL_NAME", folder.path())], prompt, &[])
    }
}

/// Weight and bias of a layer, by what the test checkpoints are made of.
fn add(tensors: &mut Tensors, layer: &str, shape: &[usize]) {
    add_one(tensors, &format!("{layer}.weight"), shape);
    add_one(tensors, &format!("{layer}.bias"), &shape[..1]);
}

fn add_one(tensors: &mut Tensors, name: &str, shape: &[usize]) {
    let tensor = Tensor::from_vec(weight(name, shape, SALT), shape, &Device::Cpu).expect("a tensor");
    tensors.insert(name.to_owned(), tensor);
}

fn transformer() -> Tensors {
    const D: usize = WIDTH;
    let mut tensors = Tensors::new();
    add(&mut tensors, "img_in", &[D, 64]);
    add(&mut tensors, "txt_in", &[D, D]);
    add_one(&mut tensors, "txt_norm.weight", &[D]);
    add(&mut tensors, "time_text_embed.timestep_embedder.linear_1", &[D, 256]);
    add(&mut tensors, "time_text_embed.timestep_embedder.linear_2", &[D, D]);
    add_one(&mut tensors, "time_text_embed.addition_t_embedding.weight", &[2, D]);
    add(&mut tensors, "norm_out.linear", &[2 * D, D]);
    add(&mut tensors, "proj_out", &[64, D]);
    let at = |name: &str| format!("transformer_blocks.0.{name}");
    for name in ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"] {
        add(&mut tensors, &at(&format!("attn.{name}")), &[D, D]);
    }
    for name in ["norm_q", "norm_k", "norm_added_q", "norm_added_k"] {
        add_one(&mut tensors, &at(&format!("attn.{name}.weight")), &[D / 2]);
    }
    for stream in ["img", "txt"] {
        add(&mut tensors, &at(&format!("{stream}_mod.1")), &[6 * D, D]);
        add(&mut tensors, &at(&format!("{stream}_mlp.net.0.proj")), &[4 * D, D]);
        add(&mut tensors, &at(&format!("{stream}_mlp.net.2")), &[D, 4 * D]);
    }
    tensors
}

fn text() -> Tensors {
    const D: usize = WIDTH;
    let mut tensors = Tensors::new();
    add_one(&mut tensors, "model.embed_tokens.weight", &[VOCABULARY, D]);
    add_one(&mut tensors, "model.norm.weight", &[D]);
    add_one(&mut tensors, "lm_head.weight", &[VOCABULARY, D]);
    for layer in 0..3 {
        let at = |name: &str| format!("model.layers.{layer}.{name}");
        for (name, size) in [("q_proj", D), ("k_proj", D / 2), ("v_proj", D / 2)] {
            add(&mut tensors, &at(&format!("self_attn.{name}")), &[size, D]);
        }
        for name in ["self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] {
            add_one(&mut tensors, &at(&format!("{name}.weight")), &[D, D]);
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            add_one(&mut tensors, &at(&format!("{name}.weight")), &[D]);
        }
    }
    tensors
}

fn set(path: &Path, change: impl Fn(&mut Value)) {
    let mut config: Value = serde_json::from_slice(&fs::read(path).expect("a config")).expect("JSON");
    change(&mut config);
    fs::write(path, config.to_string()).expect("written");
}

/// The intermediate tensors of a run, and the caption.
struct Dump {
    tensors: HashMap<String, Tensor>,
    caption: Option<String>,
}

/// `unflatten decompose` with these settings; without a `prompt`, the model captions the picture.
fn decompose(settings: &[(&str, &Path)], prompt: &str, more: &[&str]) -> Dump {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    let mut command = command("unflatten", dir.path());
    command.args([
        "decompose",
        "poster.png",
        "--engine",
        "qwen",
        "--layers",
        "1",
        "--steps",
        "2",
        "--resolution",
        "64",
    ]);
    command
        .args(["--seed", "5", "--dtype", "f32", "--device", "cpu", "--prompt", prompt, "--dump", "dump", "-o", "out"]);
    let output = command.args(more).envs(settings.iter().copied()).output().expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
    let path = dir.path().join("dump");
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("a dump");
    let bytes = fs::read(path).expect("a dump");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    Dump { tensors, caption: header["__metadata__"]["caption"].as_str().map(str::to_owned) }
}

fn check(name: &str, found: &Dump, expected: &Dump) {
    assert_eq!(found.caption, expected.caption, "{name}");
    assert_eq!(found.tensors.len(), expected.tensors.len(), "{name}");
    for (stage, expected) in &expected.tensors {
        let norm = |x: Tensor| -> candle_core::Result<f32> { Ok(x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()) };
        let error =
            || -> candle_core::Result<f32> { Ok(norm((&found.tensors[stage] - expected)?)? / norm(expected.clone())?) };
        let error = f64::from(error().expect("tensors of one shape"));
        assert!(error < BAR, "{name}, {stage}: {error:e}");
    }
}

#[test]
fn every_gguf_type_is_the_dequantised_model() {
    use GgmlDType::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let model = Model::new();
    for kind in [Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0] {
        let folder = model.folder();
        let part = |name: &str| folder.path().join(name);
        let transformer = gguf(&model.transformer, kind, "qwen_image", str::to_owned, &part("transformer/any.gguf"));
        let text = gguf(&model.text, kind, "qwen2vl", llama_name, &part("text_encoder/any.gguf"));
        let vision = mmproj(&model.vision);
        gguf(&vision, GgmlDType::F32, "clip", str::to_owned, &part("text_encoder/mmproj-f32.gguf"));
        // The vision tower affects the result only if the model captions the picture.
        let prompt = if kind == Q4K { "" } else { "a kite" };
        let found = decompose(&[("MODEL_NAME", folder.path())], prompt, &[]);
        assert_eq!(found.caption.is_some(), prompt.is_empty());
        check(&format!("{kind:?}"), &found, &model.published(&transformer, &text, prompt));
    }
}

/// Puts a file into a repository of a cache with Hugging Face's layout.
fn in_repository(cache: &Path, name: &str, file: &str) -> PathBuf {
    let repository = cache.join(format!("models--{}", name.replace('/', "--")));
    let path = repository.join("snapshots/c0ffee").join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::create_dir_all(repository.join("refs")).expect("made");
    fs::write(repository.join("refs/main"), "c0ffee").expect("written");
    path
}

#[test]
fn pulled_variants_are_the_dequantised_model() {
    let model = Model::new();
    let cache = tempfile::tempdir().expect("a folder");
    let index = in_repository(cache.path(), "Qwen/Qwen-Image-Layered", "model_index.json");
    copy_folder(model.base.path(), index.parent().expect("a folder"));
    fs::write(index, "{}").expect("written");
    let file = |repository, name| in_repository(cache.path(), repository, name);

    let (layered, qwen) = ("QuantStack/Qwen-Image-Layered-GGUF", "unsloth/Qwen2.5-VL-7B-Instruct-GGUF");
    let path = file(layered, "Qwen_Image_Layered-Q4_K_M.gguf");
    let transformer = gguf(&model.transformer, GgmlDType::Q4K, "qwen_image", str::to_owned, &path);
    let path = file(qwen, "Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf");
    let text = gguf(&model.text, GgmlDType::Q4K, "qwen2vl", llama_name, &path);
    gguf(&mmproj(&model.vision), GgmlDType::F32, "clip", str::to_owned, &file(qwen, "mmproj-F16.gguf"));
    let expected = model.published(&transformer, &text, "");
    let settings = [("MODEL_CACHE_DIR", cache.path())];
    check("q4_k_m", &decompose(&settings, "", &["--variant", "q4_k_m"]), &expected);

    let path = file("Comfy-Org/Qwen-Image-Layered_ComfyUI", "split_files/qwen_image_layered_fp8mixed.safetensors");
    let (stored, transformer) = scaled_fp8(&model.transformer, "weight_scale");
    save(&stored.into_iter().map(|(name, t)| (format!("model.diffusion_model.{name}"), t)).collect(), &path);
    let path = file("Comfy-Org/Qwen-Image_ComfyUI", "split_files/qwen_2.5_vl_7b_fp8_scaled.safetensors");
    let (mut stored, text) = scaled_fp8(&model.text, "scale_weight");
    stored.extend(model.vision.clone());
    stored.insert("scaled_fp8".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu).expect("a marker"));
    save(&stored, &path);
    let expected = model.published(&transformer, &text, "a kite");
    check("fp8", &decompose(&settings, "a kite", &["--variant", "fp8"]), &expected);
}

#[test]
fn single_files_in_a_folder_are_the_published_model() {
    let model = Model::new();
    let folder = model.folder();
    let part = |name: &str| folder.path().join(name);
    let narrow = |tensors: &Tensors| -> Tensors {
        let narrow = |tensor: &Tensor| tensor.to_dtype(DType::BF16).expect("bf16");
        tensors.iter().map(|(name, tensor)| (name.clone(), narrow(tensor))).collect()
    };
    let (transformer, text) = (narrow(&model.transformer), narrow(&model.text));
    let prefixed = transformer.iter().map(|(name, t)| (format!("model.diffusion_model.{name}"), t.clone()));
    save(&prefixed.collect(), &part("transformer/qwen_image_layered_bf16.safetensors"));
    let whole = text.iter().chain(&model.vision).map(|(name, t)| (name.clone(), t.clone()));
    save(&whole.collect(), &part("text_encoder/qwen_2.5_vl_7b.safetensors"));
    let vae = load_all(&part("vae"));
    fs::remove_file(part("vae/diffusion_pytorch_model.safetensors")).expect("removed");
    let vae = vae.into_iter().map(|(name, tensor)| (wan_name(&name), tensor));
    save(&vae.collect(), &part("vae/qwen_image_layered_vae.safetensors"));
    let found = decompose(&[("MODEL_NAME", folder.path())], "a kite", &[]);
    check("bf16", &found, &model.published(&transformer, &text, "a kite"));
}
