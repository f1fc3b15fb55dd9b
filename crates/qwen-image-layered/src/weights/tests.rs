//! Against `reference/weights.py` (gguf 0.19.0, torch 2.11.0), whose outputs
//! lie in `tests/fixtures/weights`, and faults made on the spot.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::Monitor;
use crate::stream::{Mark, plain};
use crate::text::{Language, TextEncoder};

const F32_BAR: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name), &Device::Cpu).unwrap()
}

fn relative(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    norm(&(found - expected).unwrap()) / norm(expected)
}

fn quietly<T>(work: impl FnOnce(&Monitor) -> T) -> T {
    work(&Monitor::new(&mut |_| ControlFlow::Continue(())))
}

fn open(path: &Path, part: Part) -> Result<Weights> {
    Ok(Weights::new(Arc::new(Checkpoint::open(path, part)?), DType::F32, &Device::Cpu))
}

/// The error of `result` as text, which has to name the file and say what to do.
fn message<T>(result: Result<T>, file: &str) -> String {
    let text = result.err().expect("has to be refused").to_string();
    assert!(text.contains(file), "`{text}` does not name {file}");
    text
}

/// What the fixture's text encoder makes of the English prompt, from files in another packaging.
fn encoded(text_model: PathBuf, vision_model: Option<PathBuf>) -> (TextEncoder, Tensor) {
    let files = ModelFiles { text_model: Some(text_model), vision_model, ..ModelFiles::folder(fixture("text/model")) };
    let encoder = TextEncoder::load(&files, DType::F32, &Device::Cpu).unwrap();
    let prompt = serde_json::from_slice::<serde_json::Value>(&std::fs::read(fixture("text/expected.json")).unwrap());
    let prompt = prompt.unwrap()["prompts"]["english"]["text"].as_str().unwrap().to_owned();
    let embeds = quietly(|monitor| encoder.encode(&prompt, 512, monitor)).unwrap();
    (encoder, embeds)
}

fn captioned(encoder: &TextEncoder, variant: &str) {
    let picture = image::open(fixture("text/english.png")).unwrap().to_rgba8();
    let found = quietly(|monitor| encoder.caption(&picture, Language::English, monitor)).unwrap();
    let expected: HashMap<String, String> = read_json(&fixture("weights/expected.json")).unwrap();
    assert_eq!(found, expected[variant]);
}

#[test]
fn every_gguf_type_widens_and_multiplies_as_the_reference() {
    let weights = open(&fixture("weights/blocks.gguf"), Part::Transformer).unwrap();
    let expected = tensors("weights/blocks.safetensors");
    assert_eq!(expected.len(), 14);
    for (name, wanted) in &expected {
        let (rows, columns) = wanted.dims2().unwrap();
        let found = weights.get((rows, columns), name).unwrap();
        let error = relative(&found, wanted);
        assert!(error < 1e-6, "{name}: {error:e}");

        let gathered = weights.rows((rows, columns), name).unwrap().gather(&[5, 0, 5]).unwrap();
        let ids = Tensor::new(&[5u32, 0, 5], &Device::Cpu).unwrap();
        assert!(relative(&gathered, &wanted.index_select(&ids, 0).unwrap()) < 1e-6, "{name}");

        let layer = weights.pp(name.strip_suffix(".weight").unwrap()).linear(columns, rows, false).unwrap();
        // Few rows and many may take different ways.
        for count in [1, 70] {
            let x = Tensor::randn(0f32, 1.0, (1, count, columns), &Device::Cpu).unwrap();
            let flat = x.reshape((count, columns)).unwrap();
            let wanted = flat.matmul(&wanted.t().unwrap()).unwrap().unsqueeze(0).unwrap();
            let error = relative(&layer.forward(&x).unwrap(), &wanted);
            assert!(error < 1e-5, "{name}, {count} rows: {error:e}");
        }
    }
    weights.finish().unwrap();
}

#[test]
fn a_gguf_text_encoder_computes_as_its_dequantised_reference() {
    let vision = Some(fixture("weights/mmproj.gguf"));
    let (encoder, embeds) = encoded(fixture("weights/text.gguf"), vision);
    let error = relative(&embeds, &tensors("weights/expected.safetensors")["gguf"]);
    assert!(error < F32_BAR, "{error:e}");
    captioned(&encoder, "gguf");
}

#[test]
fn a_text_model_alone_encodes_but_does_not_caption() {
    let (encoder, embeds) = encoded(fixture("weights/text.gguf"), None);
    assert!(relative(&embeds, &tensors("weights/expected.safetensors")["gguf"]) < F32_BAR);
    assert!(!encoder.can_caption());
    let picture = image::RgbaImage::new(64, 64);
    let error = quietly(|monitor| encoder.caption(&picture, Language::English, monitor)).unwrap_err();
    assert!(error.to_string().contains("mmproj"), "{error}");
}

#[test]
fn scaled_fp8_computes_as_its_dequantised_reference() {
    let (encoder, embeds) = encoded(fixture("weights/text_fp8.safetensors"), None);
    let error = relative(&embeds, &tensors("weights/expected.safetensors")["fp8"]);
    assert!(error < F32_BAR, "{error:e}");
    captioned(&encoder, "fp8");
}

#[test]
fn fp8_mixed_files_with_a_prefix_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    let values = Tensor::randn(0f32, 1.0, (4, 8), &Device::Cpu).unwrap().to_dtype(DType::F8E4M3).unwrap();
    let prefix = "model.diffusion_model.img_in";
    let stored: HashMap<String, Tensor> = [
        (format!("{prefix}.weight"), values.clone()),
        (format!("{prefix}.weight_scale"), Tensor::new(0.25f32, &Device::Cpu).unwrap()),
        (format!("{prefix}.input_scale"), Tensor::new(3f32, &Device::Cpu).unwrap()),
        (format!("{prefix}.comfy_quant"), Tensor::new(&b"{}"[..], &Device::Cpu).unwrap()),
    ]
    .into();
    candle_core::safetensors::save(&stored, &path).unwrap();
    let weights = open(&path, Part::Transformer).unwrap();
    let found = weights.get((4, 8), "img_in.weight").unwrap();
    let wanted = (values.to_dtype(DType::F32).unwrap() * 0.25).unwrap();
    assert_eq!(relative(&found, &wanted), 0.0);
    weights.finish().unwrap();

    // One scale for each channel is another format.
    let mut per_channel = stored.clone();
    per_channel.insert(format!("{prefix}.weight_scale"), Tensor::ones((4, 1), DType::F32, &Device::Cpu).unwrap());
    candle_core::safetensors::save(&per_channel, &path).unwrap();
    let refused = open(&path, Part::Transformer).and_then(|weights| weights.get((4, 8), "img_in.weight"));
    let text = message(refused, "mixed.safetensors");
    assert!(text.contains("one scale per tensor"), "{text}");

    // Without its scale the same tensor is only half there.
    let mut broken = stored.clone();
    let scale = broken.remove(&format!("{prefix}.weight_scale")).unwrap();
    broken.insert("model.diffusion_model.txt_in.weight_scale".to_owned(), scale);
    candle_core::safetensors::save(&broken, &path).unwrap();
    message(open(&path, Part::Transformer), "mixed.safetensors");
}

/// The fixture's text encoder as tensors under their newer names.
fn newer_names() -> HashMap<String, Tensor> {
    let all = tensors("text/model/text_encoder/model.safetensors");
    let rename = |name: String| match name.split_once('.') {
        Some(("visual", _)) => format!("model.{name}"),
        Some(("model", rest)) if !rest.starts_with("visual.") && !rest.starts_with("language_model.") => {
            format!("model.language_model.{rest}")
        }
        _ => name,
    };
    all.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
}

fn older_names() -> HashMap<String, Tensor> {
    let rename = |name: String| name.replace("model.language_model.", "model.").replace("model.visual.", "visual.");
    newer_names().into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
}

/// Writes `tensors` as two shards with an index.
fn write_shards(folder: &Path, tensors: &HashMap<String, Tensor>) {
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    let mut weight_map = serde_json::Map::new();
    for (number, names) in names.chunks(names.len().div_ceil(2)).enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", number + 1);
        let shard: HashMap<&str, Tensor> = names.iter().map(|name| (name.as_str(), tensors[*name].clone())).collect();
        candle_core::safetensors::save(&shard, folder.join(&file)).unwrap();
        weight_map.extend(names.iter().map(|name| ((*name).clone(), file.clone().into())));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": weight_map });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn shards_and_both_generations_of_names_are_one_model() {
    let (_, single) = encoded(fixture("text/model/text_encoder"), None);
    for names in [newer_names(), older_names()] {
        let folder = tempfile::tempdir().unwrap();
        write_shards(folder.path(), &names);
        let (encoder, embeds) = encoded(folder.path().to_owned(), None);
        assert_eq!(relative(&embeds, &single), 0.0);
        assert!(encoder.can_caption());
    }
}

#[test]
fn broken_shards_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = older_names();
    let second = folder.path().join("model-00002-of-00002.safetensors");
    let load = || Checkpoint::open(folder.path(), Part::TextEncoder);

    write_shards(folder.path(), &tensors);
    std::fs::remove_file(&second).unwrap();
    message(load(), "model-00002-of-00002.safetensors");

    write_shards(folder.path(), &tensors);
    let whole = std::fs::read(&second).unwrap();
    for length in [whole.len() - 1, whole.len() / 2, 100, 4, 0] {
        std::fs::write(&second, &whole[..length]).unwrap();
        let text = message(load(), "model-00002-of-00002.safetensors");
        assert!(length < 8 || text.contains("truncated"), "{text}");
    }
    std::fs::write(&second, [whole.as_slice(), b"more"].concat()).unwrap();
    message(load(), "model-00002-of-00002.safetensors");

    // A shard of another download: a tensor too few, one too many.
    let strange = HashMap::from([("stranger", Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&strange, &second).unwrap();
    let text = message(load(), "model-00002-of-00002.safetensors");
    assert!(text.contains("stranger"), "{text}");
    let none: HashMap<&str, Tensor> = HashMap::new();
    candle_core::safetensors::save(&none, &second).unwrap();
    let text = message(load(), "model-00002-of-00002.safetensors");
    assert!(text.contains("missing"), "{text}");

    std::fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    let text = message(load(), "");
    assert!(text.contains("index.json"), "{text}");
    std::fs::write(folder.path().join("model.safetensors.index.json"), "{").unwrap();
    message(load(), "index.json");
}

#[test]
fn wrong_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let load = |tensors: &HashMap<String, Tensor>| {
        candle_core::safetensors::save(tensors, &path).unwrap();
        let files = ModelFiles { text_model: Some(path.clone()), ..ModelFiles::folder(fixture("text/model")) };
        TextEncoder::load(&files, DType::F32, &Device::Cpu).map(|_| ())
    };
    load(&older_names()).unwrap();

    let mut tensors = older_names();
    tensors.remove("model.layers.1.mlp.up_proj.weight");
    assert!(matches!(load(&tensors), Err(Error::TensorMissing { tensor, .. }) if tensor.contains("layers.1.mlp.up")));

    let mut tensors = older_names();
    tensors.insert("model.layers.3.mlp.up_proj.weight".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap());
    let text = message(load(&tensors), "model.safetensors");
    assert!(text.contains("model.layers.3.mlp.up_proj.weight"), "{text}");

    let mut tensors = older_names();
    tensors.insert("model.norm.weight".to_owned(), Tensor::zeros(63, DType::F32, &Device::Cpu).unwrap());
    match load(&tensors) {
        Err(Error::TensorShape { found, expected, tensor, .. }) => {
            assert_eq!((found, expected, tensor.as_str()), (vec![63], vec![64], "model.norm.weight"));
        }
        other => panic!("{other:?}"),
    }

    let mut tensors = older_names();
    tensors.insert("model.norm.weight".to_owned(), Tensor::zeros(64, DType::I64, &Device::Cpu).unwrap());
    assert!(matches!(load(&tensors), Err(Error::TensorType { found, .. }) if found == "i64"));
}

#[test]
fn the_autoencoder_without_alpha_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qwen_image_vae.safetensors");
    for name in ["encoder.conv_in.weight", "encoder.conv1.weight", "vae.encoder.conv1.weight"] {
        for (channels, is_ours) in [(3, false), (4, true)] {
            let kernel = Tensor::zeros((96, channels, 3, 3, 3), DType::F32, &Device::Cpu).unwrap();
            candle_core::safetensors::save(&HashMap::from([(name.to_owned(), kernel)]), &path).unwrap();
            let opened = Checkpoint::open(&path, Part::Vae).map(|_| ());
            if is_ours {
                opened.unwrap();
            } else {
                let text = message(opened, "qwen_image_vae.safetensors");
                assert!(text.contains("RGB autoencoder") && text.contains("qwen_image_layered_vae"), "{text}");
            }
        }
    }
}

#[test]
fn a_gguf_of_a_tool_that_names_every_model_alike_is_told_by_its_tensors() {
    // Header, no metadata but the architecture, and one tensor of 32 values.
    let file = |tensor: &str, named: bool| {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let key = if named { "general.architecture" } else { "general.name" };
        let mut bytes = [&b"GGUF"[..], &3_u32.to_le_bytes(), &1_u64.to_le_bytes(), &1_u64.to_le_bytes()].concat();
        bytes.extend([text(key), 8_u32.to_le_bytes().to_vec(), text("pig")].concat());
        bytes.extend([text(tensor), 1_u32.to_le_bytes().to_vec(), 32_u64.to_le_bytes().to_vec()].concat());
        bytes.extend([&0_u32.to_le_bytes()[..], &0_u64.to_le_bytes()].concat());
        bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
        bytes
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let parts = [
        ("transformer_blocks.0.img_mod.1.weight", "qwen_image"),
        ("model.diffusion_model.transformer_blocks.0.img_mod.1.weight", "qwen_image"),
        ("blk.0.attn_q.weight", "qwen2vl"),
        ("v.patch_embd.weight", "clip"),
        ("encoder.conv1.weight", "(none)"),
        ("double_blocks.0.img_attn.qkv.weight", "pig"),
    ];
    // A file that says nothing is told the same way.
    let nameless = parts.map(|(tensor, told)| (tensor, if told == "pig" { "(unnamed)" } else { told }, false));
    let all = parts.map(|(tensor, told)| (tensor, told, true)).into_iter().chain(nameless);
    for (tensor, architecture, named) in all {
        std::fs::write(&path, file(tensor, named)).unwrap();
        for part in [Part::Transformer, Part::TextEncoder, Part::Vae] {
            let opened = Checkpoint::open(&path, part).map(|_| ());
            if part.architecture() == architecture {
                opened.unwrap();
            } else {
                let text = message(opened, "model.gguf");
                let found = format!("is a GGUF of `{architecture}`, expected `{}`", part.architecture());
                assert!(text.contains(&found), "{tensor}: {text}");
            }
        }
    }
}

#[test]
fn broken_gguf_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let whole = std::fs::read(fixture("weights/blocks.gguf")).unwrap();
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Checkpoint::open(&path, Part::Transformer).map(|_| ())
    };
    load(&whole).unwrap();
    let text = message(Checkpoint::open(&path, Part::TextEncoder), "model.gguf");
    assert!(text.contains("qwen_image") && text.contains("qwen2vl"), "{text}");
    // Cut anywhere, it is refused and never panics.
    for length in (0..whole.len()).step_by(97) {
        message(load(&whole[..length]), "model.gguf");
    }
    // So is any damaged byte of the header that still parses to something else than this file, at worst as another name.
    for at in 0..800.min(whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let _ = load(&bytes).is_ok();
    }
    let mut unknown = whole.clone();
    let name = b"q4_0.weight";
    let at = whole.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 16;
    unknown[at] = 16;
    let text = message(load(&unknown), "model.gguf");
    assert!(text.contains("q4_0.weight") && text.contains("block type IQ2_XXS"), "{text}");
    for (number, name) in [(20, "IQ4_NL"), (23, "IQ4_XS"), (39, "MXFP4"), (200, "200")] {
        unknown[at] = number;
        let text = message(load(&unknown), "model.gguf");
        assert!(text.contains(&format!("block type {name}")) && text.contains("Q6_K"), "{text}");
    }
}

/// What goes through staging is what comes without, whether it has room there or not.
#[test]
fn tensors_come_through_staging_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part.safetensors");
    let shapes: [(&str, &[usize], DType); 4] = [
        ("transformer_blocks.0.norm_q.weight", &[129], DType::BF16),
        ("transformer_blocks.0.to_q.weight", &[33, 70], DType::F32),
        ("transformer_blocks.0.to_q.bias", &[33], DType::F16),
        ("proj_out.weight", &[900, 900], DType::F32),
    ];
    let random = |shape: &[usize]| Tensor::randn(0.0_f32, 1.0, shape, &Device::Cpu).unwrap();
    let tensors = shapes.map(|(name, shape, dtype)| (name, random(shape).to_dtype(dtype).unwrap()));
    candle_core::safetensors::save(&HashMap::from(tensors), &path).unwrap();
    let weights = open(&path, Part::Transformer).unwrap();
    let room = weights.pp("transformer_blocks.0").room();
    // Each begins on a line of its own; what is not of the block does not count.
    assert_eq!(room, 512 + 9472 + 256);
    for size in [room, 600] {
        let staging = Arc::new(plain::staging(size));
        let staged = weights.through(staging.clone());
        for _ in 0..3 {
            staging.begin().unwrap();
            for (name, shape, _) in shapes {
                let values = |weights: &Weights| {
                    let tensor = weights.get(shape, name).unwrap();
                    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
                };
                assert_eq!(values(&staged), values(&weights), "{name}");
            }
            staging.end(Mark::Passed);
        }
    }
}
