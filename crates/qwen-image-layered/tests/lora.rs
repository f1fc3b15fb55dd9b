//! LoRAs in every layout against diffusers 0.42.1 and peft (`reference/make.py lora`), and on every kind of weights.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use common::{checkpoint, input, monitored, relative, tensors, uniform};
use qwen_image_layered::plan::{BlockPlace, Passes};
use qwen_image_layered::testing::packagings::{Tensors, gguf, load_all, save, scaled_fp8};
use qwen_image_layered::testing::{as_device, loras, runs};
use qwen_image_layered::transformer::{BlockOptions, FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};
use qwen_image_layered::{Decomposer, Error, LoadOptions, Lora, LoraUse, ModelFiles, Params, Result};

/// Bar for f32; measured: at most 1.5e-6.
const BAR: f64 = 1e-5;

const LAYOUTS: [&str; 8] = ["peft", "peft-rslora", "diffusers", "comfy", "lightning", "kohya", "diffsynth", "other"];

const GRID: FrameGrid = FrameGrid { frames: 3, rows: 4, columns: 6 };

fn load(weights: &Path, config: &TransformerConfig, dtype: DType, place: BlockPlace) -> Transformer {
    let weights = Weights::new(Arc::new(Checkpoint::open(weights, Part::Transformer).unwrap()), dtype, &Device::Cpu);
    let options = BlockOptions { place, ..BlockOptions::default() };
    monitored(|monitor| Transformer::load_with(config, &weights, options, monitor).unwrap())
}

fn published(dtype: DType, place: BlockPlace) -> Transformer {
    let folder = checkpoint("transformer-published", 3);
    let config = read_json(&folder.path().join("config.json")).unwrap();
    load(folder.path(), &config, dtype, place)
}

fn forward(model: &Transformer, dtype: DType) -> Tensor {
    let hidden = input("hidden", &[1, 4 * 24, 64], 3, 1.7).to_dtype(dtype).unwrap();
    let text = input("text", &[1, 7, 64], 3, 3.0).to_dtype(dtype).unwrap();
    monitored(|monitor| model.forward(&hidden, &text, &Step { sigma: 0.7306, grid: GRID, monitor }).unwrap())
}

fn open(name: &str, folder: &Path, strength: f64) -> LoraUse {
    LoraUse { lora: Arc::new(Lora::open(&loras::write(name, folder, DType::F32)).unwrap()), strength }
}

fn expected(name: &str) -> std::collections::HashMap<String, Tensor> {
    tensors(&format!("lora/{name}.safetensors"))
}

#[test]
fn every_layout_matches_the_reference() {
    let streamed = BlockPlace::Streamed { resident: 0, in_flight: 2 };
    for place in [BlockPlace::Resident, streamed] {
        let mut model = published(DType::F32, place);
        let without = forward(&model, DType::F32);
        for name in LAYOUTS {
            let folder = tempfile::tempdir().unwrap();
            let lora = open(name, folder.path(), 1.0);
            // As a user names a LoRA of PEFT: the folder, where its config is too.
            if name.starts_with("peft") {
                assert_eq!(Lora::open(folder.path()).unwrap().path(), lora.lora.path());
            }
            model.set_loras(&[lora]).unwrap();
            let expected = &expected(name)["output"];
            let found = forward(&model, DType::F32);
            let error = relative(&found, expected);
            let device = relative(&as_device(|| forward(&model, DType::F32)), expected);
            println!("{name} {place:?}: {error:.1e}, as a device {device:.1e}");
            assert!(error < BAR && device < BAR, "{name} {place:?}: {error}, {device}");
            assert!(relative(&without, expected) > 0.05, "{name} changes nothing");
        }
        model.set_loras(&[]).unwrap();
        assert_eq!(relative(&forward(&model, DType::F32), &without), 0.0);
    }
}

/// bf16 must not be further from the reference's f32 than 1.2 times what the reference's own bf16 is.
#[test]
fn bf16_is_as_good_as_the_reference() {
    let mut model = published(DType::BF16, BlockPlace::Resident);
    for name in ["peft", "peft-rslora", "kohya"] {
        let folder = tempfile::tempdir().unwrap();
        model.set_loras(&[open(name, folder.path(), 1.0)]).unwrap();
        let expected = expected(name);
        let error = relative(&forward(&model, DType::BF16), &expected["output"]);
        let allowed = 1.2 * relative(&expected["output_bf16"], &expected["output"]);
        println!("{name}: {error:.1e} of {allowed:.1e}");
        assert!(error < allowed, "{name}: {error} > {allowed}");
    }
}

#[test]
fn several_at_once_have_their_strengths_and_are_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let [comfy, kohya] = [("comfy", 0.8), ("kohya", -0.5)].map(|(name, strength)| open(name, folder.path(), strength));
    let mut model = published(DType::F32, BlockPlace::Resident);
    let mut run = |loras: &[LoraUse]| {
        model.set_loras(loras).unwrap();
        forward(&model, DType::F32)
    };
    let reference = &expected("several")["output"];
    let both = run(&[comfy.clone(), kohya.clone()]);
    assert!(relative(&both, reference) < BAR);
    assert!(relative(&run(&[kohya.clone(), comfy.clone()]), reference) < BAR);
    let one = run(&[LoraUse { strength: 1.0, ..kohya.clone() }]);
    assert!(relative(&one, &expected("kohya")["output"]) < BAR);
    assert_eq!(relative(&run(&[comfy.clone(), kohya.clone()]), &both), 0.0);
    // A LoRA of no strength is none.
    assert_eq!(relative(&run(&[LoraUse { strength: 0.0, ..comfy }]), &run(&[])), 0.0);
}

#[test]
fn a_whole_run_matches_the_reference_and_the_next_has_no_lora() {
    let model = checkpoint("tiny", 7);
    let folder = tempfile::tempdir().unwrap();
    let options = LoadOptions { dtype: DType::F32, ..LoadOptions::default() };
    let files = ModelFiles::folder(model.path());
    let mut decomposer = monitored(|monitor| Decomposer::load(&files, &options, monitor).unwrap());
    let case = runs::cases().into_iter().find(|case| case.name == "rgb_cfg_norm").unwrap();
    let mut run = |loras: &[LoraUse]| {
        let params = Params { loras: loras.to_vec(), ..case.params() };
        let picture = params.resized(&case.picture()).unwrap();
        let conditioning = case.conditioning(DType::F32, &Device::Cpu);
        monitored(|monitor| decomposer.run(&picture, &conditioning, &params, monitor).unwrap()).intermediates
    };
    let found = run(&[("comfy", 0.6), ("kohya", 0.3)].map(|(name, strength)| open(name, folder.path(), strength)));
    for name in ["step3", "images"] {
        let error = relative(&found[name], &expected("several")[name]);
        println!("{name}: {error:.1e}");
        assert!(error < 1e-4, "{name}: {error}");
    }
    let plain = &tensors("tiny/rgb_cfg_norm.safetensors")["images"];
    assert!(relative(&run(&[])["images"], plain) < 1e-5 && relative(&found["images"], plain) > 0.05);
}

/// A model of one block that is wide enough for blocks of 256 values, and a LoRA for all of its layers.
struct Wide {
    config: TransformerConfig,
    tensors: Tensors,
    lora: Tensors,
}

impl Wide {
    fn new() -> Self {
        // From the published one in small: of 48 values a token to 256, of 16 a head to 128.
        let widen = |dims: &[usize]| -> Vec<usize> {
            let wide = |&n: &usize| if n == 16 { 128 } else { n };
            dims.iter().map(|n| if n % 48 == 0 { n / 48 * 256 } else { wide(n) }).collect()
        };
        let folder = checkpoint("transformer-published", 3);
        let mut config: TransformerConfig = read_json(&folder.path().join("config.json")).unwrap();
        (config.num_layers, config.num_attention_heads, config.attention_head_dim) = (1, 2, 128);
        config.axes_dims_rope = [16, 56, 56];
        let first = |name: &str| !name.contains("transformer_blocks.1") && !name.contains("transformer_blocks_1");
        let tensors = load_all(folder.path()).into_iter().filter(|(name, _)| first(name));
        let tensors = tensors.map(|(name, tensor)| {
            let shape = widen(tensor.dims());
            let values = qwen_image_layered::testing::weight(&name, &shape, 3);
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        });
        let lora = loras::tensors("kohya").into_iter().filter(|(name, _)| first(name));
        let lora = lora.map(|(name, tensor)| match tensor.dims() {
            [] => (name, tensor),
            dims => {
                let shape = widen(dims);
                let factor = (0.6 / shape[1] as f32).sqrt();
                let values = uniform(&name, shape.iter().product(), 5).into_iter().map(|value| value * factor);
                (name, Tensor::from_iter(values, &Device::Cpu).unwrap().reshape(shape).unwrap())
            }
        });
        Self { config, tensors: tensors.collect(), lora: lora.collect() }
    }

    /// What the model gives with the weights of `path`, without the LoRA and with it.
    fn outputs(&self, path: &Path, dtype: DType) -> [Tensor; 2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lora.safetensors");
        save(&self.lora, &file);
        let mut model = load(path, &self.config, dtype, BlockPlace::Resident);
        let without = forward(&model, dtype);
        model.set_loras(&[LoraUse { lora: Arc::new(Lora::open(&file).unwrap()), strength: 0.7 }]).unwrap();
        let with = forward(&model, dtype);
        // Other devices compute otherwise; candle has no products of bf16 on the CPU.
        if dtype == DType::F32 {
            assert!(relative(&as_device(|| forward(&model, dtype)), &with) < BAR);
        }
        [without, with]
    }
}

#[test]
fn compressed_weights_with_a_lora_are_the_dequantised_ones_with_it() {
    use GgmlDType::{BF16, F16, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    let wide = Wide::new();
    let folder = tempfile::tempdir().unwrap();
    let compare = |name: String, path: &Path, dequantised: &Tensors| {
        let dense = folder.path().join("dense.safetensors");
        save(dequantised, &dense);
        let [without, with] = wide.outputs(path, DType::F32);
        let [_, expected] = wide.outputs(&dense, DType::F32);
        let error = relative(&with, &expected);
        println!("{name}: {error:.1e}");
        assert!(error < BAR, "{name}: {error}");
        assert!(relative(&without, &expected) > 0.05, "{name}: the LoRA changes nothing");
    };
    for kind in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K, F16, BF16] {
        let path = folder.path().join("model.gguf");
        let dequantised = gguf(&wide.tensors, kind, "qwen_image", str::to_owned, &path);
        compare(format!("{kind:?}"), &path, &dequantised);
    }
    let (stored, dequantised) = scaled_fp8(&wide.tensors, "scale_weight");
    let path = folder.path().join("fp8.safetensors");
    save(&stored, &path);
    compare("fp8".to_owned(), &path, &dequantised);
}

#[test]
fn passes_and_tokens_of_any_number_are_as_each_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = published(DType::F32, BlockPlace::Resident);
    model.set_loras(&[open("kohya", folder.path(), 1.0)]).unwrap();
    let hidden = input("hidden", &[1, 4 * 24, 64], 3, 1.7);
    // Fewer tokens than are worth a product of matrices.
    let texts = [input("text", &[1, 2, 64], 3, 3.0), input("other", &[1, 9, 64], 3, 3.0)];
    let together = |passes| {
        monitored(|monitor| {
            let step = Step { sigma: 0.7, grid: GRID, monitor };
            model.forward_each(&hidden, &[&texts[0], &texts[1]], passes, None, &step).unwrap()
        })
    };
    let (batched, sequential) = (together(Passes::Batched), together(Passes::Sequential));
    for (a, b) in batched.iter().zip(&sequential) {
        assert!(relative(a, b) < BAR);
    }
}

/// The error of a LoRA whose tensors `change` has changed.
fn refused(change: impl FnOnce(&mut Tensors)) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = loras::tensors("lightning");
    change(&mut tensors);
    let path = folder.path().join("changed.safetensors");
    save(&tensors, &path);
    let attempt = || -> Result<()> {
        let lora = Arc::new(Lora::open(&path)?);
        published(DType::F32, BlockPlace::Resident).set_loras(&[LoraUse { lora, strength: 1.0 }])
    };
    let error = attempt().unwrap_err();
    assert!(error.to_string().contains("changed.safetensors"), "{error}");
    error
}

#[test]
fn what_cannot_be_used_is_named() {
    let some = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let layer = "transformer_blocks.1.attn.to_q";
    let [down, up, alpha] = ["lora_down.weight", "lora_up.weight", "alpha"].map(|end| format!("{layer}.{end}"));
    type Change<'a> = Box<dyn Fn(&mut Tensors) + 'a>;
    let cases: Vec<(&str, Change)> = vec![
        ("lokr_w1", Box::new(|t| drop(t.insert(format!("{layer}.lokr_w1"), some(&[2, 2]))))),
        ("LoHa", Box::new(|t| drop(t.insert(format!("{layer}.hada_w1_a"), some(&[2, 2]))))),
        ("attn.to_w", Box::new(|t| drop(t.insert("transformer_blocks.1.attn.to_w.alpha".to_owned(), some(&[]))))),
        (&up, Box::new(|t| drop(t.remove(&down)))),
        (&down, Box::new(|t| drop(t.remove(&up)))),
        (&alpha, Box::new(|t| drop((t.remove(&up), t.remove(&down))))),
        (&alpha, Box::new(|t| drop(t.insert(alpha.clone(), some(&[3]))))),
        ("no product", Box::new(|t| drop(t.insert(up.clone(), some(&[48, 3]))))),
        ("no product", Box::new(|t| drop(t.insert(up.clone(), some(&[48, 4, 1, 1]))))),
        (&up, Box::new(|t| drop(t.insert(up.clone(), some(&[50, 4]))))),
        ("same place", Box::new(|t| drop(t.insert(format!("diffusion_model.{down}"), some(&[4, 48]))))),
        (
            "not finite",
            Box::new(|t| {
                let bad = (some(&[48, 4]) + f64::NAN).unwrap();
                t.insert(up.clone(), bad);
            }),
        ),
        ("stored as", Box::new(|t| drop(t.insert(up.clone(), some(&[48, 4]).to_dtype(DType::U8).unwrap())))),
        (
            "transformer_blocks.7.attn.to_q",
            Box::new(|t| {
                for (end, shape) in [("lora_down.weight", [4, 48]), ("lora_up.weight", [48, 4])] {
                    t.insert(format!("transformer_blocks.7.attn.to_q.{end}"), some(&shape));
                }
            }),
        ),
    ];
    for (words, change) in cases {
        let error = refused(change).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_lora_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let lora = Lora::open(&loras::write("kohya", folder.path(), DType::F16)).unwrap();
    assert_eq!((lora.layers(), lora.rank(), lora.trained_for()), (34, 7, None));
    let values: usize = loras::tensors("kohya").values().filter(|t| t.rank() == 2).map(Tensor::elem_count).sum();
    assert_eq!(lora.values(), values as u64);
    let path = folder.path().join("named.safetensors");
    let metadata =
        std::collections::HashMap::from([("ss_base_model_version".to_owned(), "qwen_image_layered".to_owned())]);
    safetensors::serialize_to_file(&loras::tensors("comfy"), Some(metadata), &path).unwrap();
    assert_eq!(Lora::open(&path).unwrap().trained_for(), Some("qwen_image_layered"));
    let empty = tempfile::tempdir().unwrap();
    assert!(Lora::open(empty.path()).unwrap_err().to_string().contains("adapter_model.safetensors"));
    std::fs::write(empty.path().join("broken.safetensors"), b"no header").unwrap();
    assert!(Lora::open(&empty.path().join("broken.safetensors")).is_err());
    for strength in [f64::NAN, 11.0] {
        let lora = Arc::new(Lora::open(&path).unwrap());
        let params = Params { loras: vec![LoraUse { lora, strength }], ..Params::default() };
        assert!(params.check().unwrap_err().to_string().contains("strength"));
    }
}
