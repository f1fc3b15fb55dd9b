//! Checkpoints with one fault each: all end in one error that names what is wrong and says what to do.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod faults;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value as Field};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use cases::{Case, cases};
use common::{copy_folder, fixture, whole_checkpoint};
use faults::with_value;
use image::RgbaImage;
use qwen_image_layered::testing::packagings::{Tensors, load_all};
use qwen_image_layered::{LoadOptions, ModelFiles, Params, Pipeline};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// What every error says in some way.
const ADVICE: [&str; 8] = ["download", "take", "check", "give", "use", "belong", "set it", "join"];

#[test]
fn each_fault_ends_in_one_clear_error() {
    let good = whole_checkpoint();
    load(good.path()).unwrap();
    let mut wrong = Vec::new();
    let cases = cases();
    let count = cases.len();
    for Case(name, fault, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(good.path(), folder.path());
        fault(folder.path());
        let found = catch_unwind(AssertUnwindSafe(|| load(folder.path())));
        match found {
            Err(_) => wrong.push(format!("{name}: panicked")),
            Ok(Ok(())) => wrong.push(format!("{name}: loaded as if nothing was")),
            Ok(Err(text)) => {
                let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
                if !missing.is_empty() || !ADVICE.iter().any(|word| text.contains(word)) || text.contains('\n') {
                    wrong.push(format!("{name}: `{text}` lacks {missing:?} or advice, or is more than a line"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// On the CPU, in f32.
fn f32_options() -> LoadOptions {
    LoadOptions { dtype: DType::F32, ..LoadOptions::default() }
}

fn load(folder: &Path) -> Result<(), String> {
    let pipeline = Pipeline::load(&ModelFiles::folder(folder), &f32_options());
    pipeline.map(|_| ()).map_err(|error| error.to_string())
}

/// Single files in place of the folder's weights.
#[test]
fn single_files_of_another_kind_are_refused() {
    let model = whole_checkpoint();
    let place = tempfile::tempdir().unwrap();
    let gguf = |name: &str, architecture: &str, pieces: u32| {
        let path = place.path().join(name);
        let block =
            QTensor::quantize(&Tensor::ones((32, 32), DType::F32, &Device::Cpu).unwrap(), GgmlDType::Q8_0).unwrap();
        let fields =
            [("general.architecture", Field::String(architecture.to_owned())), ("split.count", Field::U32(pieces))];
        let fields: Vec<(&str, &Field)> = fields.iter().map(|(name, field)| (*name, field)).collect();
        gguf_file::write(&mut std::fs::File::create(&path).unwrap(), &fields, &[("img_in.weight", &block)]).unwrap();
        path
    };
    let folder = ModelFiles::folder(model.path());
    let refused = |files: ModelFiles, words: &[&str]| {
        let error = Pipeline::load(&files, &f32_options()).map(|_| ()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} in {error}");
    };
    let flux = gguf("flux.gguf", "flux", 1);
    refused(ModelFiles { transformer: Some(flux), ..folder.clone() }, &["flux.gguf", "`flux`", "`qwen_image`", "give"]);
    let piece = gguf("piece-00001-of-00003.gguf", "qwen_image", 3);
    refused(ModelFiles { transformer: Some(piece), ..folder.clone() }, &["piece-00001", "3 pieces", "join"]);
    let llama = gguf("llama.gguf", "llama", 1);
    refused(ModelFiles { text_model: Some(llama), ..folder.clone() }, &["llama.gguf", "`llama`", "`qwen2vl`"]);
    let other = gguf("short.gguf", "qwen_image", 1);
    refused(
        ModelFiles { transformer: Some(other), ..folder.clone() },
        &["short.gguf", "img_in.weight", "[32, 32]", "[48, 64]"],
    );
    let gone = place.path().join("gone.gguf");
    refused(ModelFiles { transformer: Some(gone), ..folder.clone() }, &["gone.gguf"]);
    let mmproj = Some(fixture("weights/text.gguf")); // a text model where the vision tower belongs
    let text = Some(fixture("weights/text.gguf"));
    refused(ModelFiles { text_model: text, vision_model: mmproj, ..folder.clone() }, &["text.gguf", "`clip`"]);
    let transformer = load_all(&model.path().join("transformer"));
    for (dtype, words) in [(Dtype::F8_E5M2, ["F8_E5M2", "img_in.weight"]), (Dtype::F4, ["f4", "img_in.weight"])] {
        let path = place.path().join("fp8.safetensors");
        let name = "img_in.weight";
        let zeros = vec![0_u8; if dtype == Dtype::F4 { 48 * 32 } else { 48 * 64 }];
        let others = transformer.iter().filter(|(other, _)| *other != name);
        let stored = others.map(|(name, tensor)| (name.clone(), (Dtype::F32, tensor.dims().to_vec(), bytes(tensor))));
        let stored: Vec<_> = stored.chain([(name.to_owned(), (dtype, vec![48, 64], zeros))]).collect();
        let views = stored
            .iter()
            .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &path).unwrap();
        refused(
            ModelFiles { transformer: Some(path), ..folder.clone() },
            &[words[0], words[1], "fp8.safetensors", "take"],
        );
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Weights that stay compressed are not looked through when they are loaded: what comes of them is.
#[test]
fn compressed_weights_that_are_no_numbers_end_the_run() {
    let model = whole_checkpoint();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("fp8.safetensors");
    let mut tensors: Tensors = load_all(&model.path().join("transformer"));
    let name = "transformer_blocks.1.attn.to_q.weight";
    let bad = with_value(&tensors[name], f32::NAN).unwrap().to_dtype(DType::F8E4M3).unwrap();
    tensors.insert(name.to_owned(), bad);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let files = ModelFiles { transformer: Some(path), ..ModelFiles::folder(model.path()) };
    let mut pipeline = Pipeline::load(&files, &f32_options()).unwrap();
    let params = Params { prompt: "a kite".into(), layers: 1, steps: 2, resolution: 64, ..Params::default() };
    let picture = RgbaImage::from_pixel(64, 64, image::Rgba([9, 90, 200, 255]));
    let error = pipeline.decompose(&picture, &params, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(error.contains("transformer") && error.contains("not finite") && error.contains("download"), "{error}");
}
