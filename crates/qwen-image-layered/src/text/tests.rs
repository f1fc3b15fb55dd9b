//! Against `reference/text.py` (transformers 5.23.0, torch 2.11.0), whose
//! outputs lie in `tests/fixtures/text`.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, IndexOp, Tensor};
use image::RgbaImage;
use serde::Deserialize;

use super::*;
use crate::Stage;

/// Relative L2 error in f32.
const F32_BAR: f64 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    prompts: BTreeMap<String, PromptCase>,
    captions: BTreeMap<String, CaptionCase>,
    /// Width and height before and after.
    smart_resize: Vec<[usize; 4]>,
}

#[derive(Deserialize)]
struct PromptCase {
    text: String,
    ids: Vec<u32>,
    length: usize,
    /// Of the reference's own bf16 run against its f32 run.
    bf16_error: f64,
}

#[derive(Deserialize)]
struct CaptionCase {
    english: bool,
    text: String,
    tokens: usize,
}

/// A file of the committed fixtures, or of those that `text.py` made elsewhere.
fn fixture(name: &str) -> PathBuf {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/text");
    std::env::var_os("QWEN_TEXT_REFERENCE").map_or_else(committed, PathBuf::from).join(name)
}

fn expected() -> (Expected, HashMap<String, Tensor>) {
    let tensors = candle_core::safetensors::load(fixture("expected.safetensors"), &Device::Cpu).unwrap();
    (crate::weights::read_json(&fixture("expected.json")).unwrap(), tensors)
}

fn files(folder: PathBuf) -> ModelFiles {
    ModelFiles::folder(folder)
}

fn encoder(dtype: DType) -> TextEncoder {
    TextEncoder::load(&files(fixture("model")), dtype, &Device::Cpu).unwrap()
}

fn picture_of(name: &str) -> RgbaImage {
    image::open(fixture(&format!("{name}.png"))).unwrap().to_rgba8()
}

fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: &Tensor| f64::from(x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt());
    let found = found.to_dtype(DType::F32).unwrap();
    norm(&(found - expected).unwrap()) / norm(expected)
}

/// Runs `work` with a monitor that never stops.
fn quietly<T>(work: impl FnOnce(&Monitor) -> T) -> T {
    work(&Monitor::new(&mut |_| ControlFlow::Continue(())))
}

#[test]
fn tokens_are_those_of_the_reference() {
    let tokenizer = TextTokenizer::load(&[fixture("model/tokenizer")]).unwrap();
    let (expected, _) = expected();
    for (name, case) in &expected.prompts {
        assert_eq!(tokenizer.encode(&template::prompt_text(&case.text)).unwrap(), case.ids, "{name}");
    }
    let before = template::prompt_text("");
    let before = before.split_once("<|im_end|>\n<|im_start|>assistant").unwrap().0;
    assert_eq!(tokenizer.encode(before).unwrap().len(), TEMPLATE_TOKENS);
}

#[test]
fn a_written_tokenizer_file_means_the_same() {
    let tokenizer = TextTokenizer::load(&[fixture("model/tokenizer")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(&folder.path().join("tokenizer.json"));
    let again = TextTokenizer::load(&[folder.path().to_owned()]).unwrap();
    for case in expected().0.prompts.values() {
        let text = template::prompt_text(&case.text);
        assert_eq!(again.encode(&text).unwrap(), case.ids);
        assert_eq!(again.decode(&case.ids).unwrap(), tokenizer.decode(&case.ids).unwrap());
    }
}

#[test]
fn prompts_encode_as_in_the_reference() {
    let (expected, tensors) = expected();
    let encoder = encoder(DType::F32);
    for (name, case) in &expected.prompts {
        let found = quietly(|monitor| encoder.encode(&case.text, 512, monitor)).unwrap();
        assert_eq!(found.dims()[..2], [1, case.length], "{name}");
        let wanted = &tensors[&format!("prompt.{name}")];
        let tail = wanted.dim(1).unwrap();
        let error = relative(&found.narrow(1, case.length - tail, tail).unwrap(), wanted);
        assert!(error < F32_BAR, "{name}: {error:e}");
    }
}

#[test]
fn bf16_is_no_worse_than_the_references_bf16() {
    let (expected, tensors) = expected();
    let encoder = encoder(DType::BF16);
    for (name, case) in expected.prompts.iter().filter(|(_, case)| case.length <= 64) {
        let found = quietly(|monitor| encoder.encode(&case.text, 512, monitor)).unwrap();
        let error = relative(&found, &tensors[&format!("prompt.{name}")]);
        assert!(error < 1.2 * case.bf16_error, "{name}: {error:e} against {:e}", case.bf16_error);
    }
}

#[test]
fn sizes_are_those_of_the_reference() {
    for [width, height, new_width, new_height] in expected().0.smart_resize {
        let found = picture::smart_size(width, height, 28, 56 * 56, 28 * 28 * 1280).unwrap();
        assert_eq!(found, (new_width, new_height), "{width}x{height}");
    }
    assert!(picture::smart_size(5601, 28, 28, 56 * 56, 28 * 28 * 1280).is_err());
    assert!(picture::smart_size(0, 28, 28, 56 * 56, 28 * 28 * 1280).is_err());
}

/// The vision tower of the fixtures' model.
fn vision() -> config::VisionConfig {
    config::read_model(&fixture("model/text_encoder/config.json")).unwrap().1
}

#[test]
fn patches_are_those_of_the_reference() {
    let (expected, tensors) = expected();
    let config = config::read_processor(&fixture("model/processor"), &vision()).unwrap();
    for name in expected.captions.keys() {
        let patches = picture::cut(&picture_of(name), &config).unwrap();
        let grid = tensors[&format!("grid.{name}")].i(0).unwrap().to_vec1::<i64>().unwrap();
        assert_eq!(grid, [1, patches.rows as i64, patches.columns as i64], "{name}");
        // Both frames, brought back to 8-bit levels, have to be equal to the last bit.
        let values = patches.values.reshape(((), 3, 2, 196)).unwrap();
        for frame in 0..2 {
            let mut channels = Vec::new();
            for channel in 0..3 {
                let (scale, shift) = (config.image_std[channel] * 255.0, config.image_mean[channel] * 255.0);
                let values = values.i((.., channel, frame)).unwrap();
                channels.push(values.affine(f64::from(scale), f64::from(shift)).unwrap());
            }
            let levels = Tensor::stack(&channels, 1).unwrap().round().unwrap().to_dtype(DType::U8).unwrap();
            let wanted = &tensors[&format!("levels.{name}")];
            assert_eq!(levels.dims(), wanted.dims(), "{name}");
            let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<u8>().unwrap();
            let different = flat(&levels).iter().zip(flat(wanted)).filter(|(a, b)| **a != *b).count();
            assert_eq!(different, 0, "{name}");
        }
    }
}

#[test]
fn the_vision_tower_sees_what_the_reference_sees() {
    let (expected, tensors) = expected();
    let encoder = encoder(DType::F32);
    let captioner = encoder.captioner.as_ref().unwrap();
    for name in expected.captions.keys() {
        let patches = picture::cut(&picture_of(name), &captioner.processor).unwrap();
        let found = quietly(|monitor| captioner.vision.forward(&patches, monitor)).unwrap();
        let error = relative(&found, &tensors[&format!("vision.{name}")]);
        assert!(error < F32_BAR, "{name}: {error:e}");
    }
}

#[test]
fn captions_are_the_references_token_for_token() {
    let (expected, _) = expected();
    let encoder = encoder(DType::F32);
    for (name, case) in &expected.captions {
        let language = if case.english { Language::English } else { Language::Chinese };
        let mut reported = Vec::new();
        let mut report = |progress: crate::Progress| {
            reported.push((progress.stage, progress.done));
            ControlFlow::Continue(())
        };
        let found = encoder.caption(&picture_of(name), language, &Monitor::new(&mut report)).unwrap();
        assert_eq!(found, case.text, "{name}");
        // 0, then each token but the last, then the end of the stage.
        let steps: std::collections::BTreeSet<u32> =
            reported.iter().filter(|(stage, _)| *stage == Stage::Caption).map(|(_, done)| *done).collect();
        assert_eq!(steps.len(), case.tokens + 1, "{name}");
    }
}

#[test]
fn captioning_stops_within_a_token() {
    let encoder = encoder(DType::F32);
    let mut report = |progress: crate::Progress| match progress.done {
        3.. => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let result = encoder.caption(&picture_of("english"), Language::English, &Monitor::new(&mut report));
    assert!(matches!(result, Err(Error::Stopped)), "{result:?}");
}

#[test]
fn configs_without_deciding_fields_are_refused() {
    let text = std::fs::read_to_string(fixture("model/text_encoder/config.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    for (from, to, named) in [
        ("\"rope_theta\": 1000000.0,", "", "rope_theta"),
        ("\"rms_norm_eps\": 1e-06,", "", "rms_norm_eps"),
        ("\"num_key_value_heads\": 2,", "", "num_key_value_heads"),
        ("\"window_size\": 112", "\"window\": 112", "window_size"),
        ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads"),
        ("\"use_sliding_window\": false", "\"use_sliding_window\": true", "use_sliding_window"),
        ("\"image_token_id\"", "\"image_token\"", "image_token_id"),
        ("\"patch_size\": 14", "\"patch_size\": 0", "patch_size"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not in the fixture");
        std::fs::write(&path, changed).unwrap();
        let error = config::read_model(&path).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("config.json"), "{error}");
    }
}

#[test]
fn the_published_flat_config_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = r#"{
        "hidden_act": "silu", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "rope_scaling": {"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"},
        "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 152064, "image_token_id": 151655,
        "vision_config": {"depth": 32, "fullatt_block_indexes": [7, 15, 23, 31], "hidden_act": "silu",
            "hidden_size": 1280, "in_channels": 3, "in_chans": 3, "intermediate_size": 3420, "num_heads": 16,
            "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112}
    }"#;
    std::fs::write(&path, text).unwrap();
    let (text, vision) = config::read_model(&path).unwrap();
    assert_eq!((text.mrope_section, text.rope_theta), ([16, 24, 24], 1e6));
    assert_eq!((vision.in_channels, vision.depth), (3, 32));
}

#[test]
fn processor_configs_of_both_generations_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = r#""image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3], "merge_size": 2, "patch_size": 14,
        "temporal_patch_size": 2"#;
    let older = format!(r#"{{{numbers}, "min_pixels": 3136, "max_pixels": 12845056, "size": null}}"#);
    std::fs::write(
        folder.path().join("processor_config.json"),
        format!(r#"{{"image_processor": {{{numbers}, "size": {{"shortest_edge": 3136, "longest_edge": 12845056}}}}}}"#),
    )
    .unwrap();
    let newer = config::read_processor(folder.path(), &vision()).unwrap();
    std::fs::write(folder.path().join("preprocessor_config.json"), older).unwrap();
    assert_eq!(config::read_processor(folder.path(), &vision()).unwrap(), newer);
    assert_eq!((newer.min_pixels, newer.max_pixels), (3136, 12_845_056));
}
