//! Weights in the packagings of ComfyUI and of llama.cpp's family, and what a reader has to make of them.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;

/// Writes `tensors` as a safetensors file.
pub fn save(tensors: &Tensors, path: &Path) {
    candle_core::safetensors::save(tensors, path).expect("weights");
}

/// All tensors of the safetensors files in `folder`.
pub fn load_all(folder: &Path) -> Tensors {
    let files = folder.read_dir().expect("folder").map(|entry| entry.expect("entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.flat_map(|path| candle_core::safetensors::load(path, &Device::Cpu).expect("weights")).collect()
}

/// `tensors` with their matrices in fp8 and a scale for each, called `scale` after its layer; and the same dequantised.
pub fn scaled_fp8(tensors: &Tensors, scale_name: &str) -> (Tensors, Tensors) {
    let (mut stored, mut wide) = (Tensors::new(), Tensors::new());
    for (name, tensor) in tensors {
        let Some(layer) = name.strip_suffix(".weight").filter(|_| tensor.rank() == 2) else {
            stored.insert(name.clone(), tensor.clone());
            wide.insert(name.clone(), tensor.clone());
            continue;
        };
        let converted = || -> candle_core::Result<(Tensor, f32)> {
            let tensor = tensor.to_dtype(DType::F32)?;
            let scale = tensor.abs()?.max_all()?.to_scalar::<f32>()? / 448.0;
            Ok(((tensor / f64::from(scale))?.to_dtype(DType::F8E4M3)?, scale))
        };
        let (values, scale) = converted().expect("fp8");
        let back = values.to_dtype(DType::F32).and_then(|values| values * f64::from(scale));
        wide.insert(name.clone(), back.expect("f32"));
        stored.insert(format!("{layer}.{scale_name}"), Tensor::new(scale, &Device::Cpu).expect("a scale"));
        stored.insert(name.clone(), values);
    }
    (stored, wide)
}

/// Writes `tensors`, called `named(name)` there, as a GGUF file with its matrices in blocks of `kind`; gives
/// the same dequantised.
pub fn gguf(
    tensors: &Tensors,
    kind: GgmlDType,
    architecture: &str,
    named: impl Fn(&str) -> String,
    path: &Path,
) -> Tensors {
    let (mut blocks, mut wide) = (Vec::new(), Tensors::new());
    for (name, tensor) in tensors {
        let columns = tensor.dims().last().copied().unwrap_or(1);
        // As converters do: what has no whole blocks in its rows takes the next best type.
        let kind = match tensor.rank() {
            2 if columns.is_multiple_of(kind.block_size()) => kind,
            2 if columns.is_multiple_of(32) => GgmlDType::Q8_0,
            _ => GgmlDType::F32,
        };
        // A part of another tensor would be taken with all of that one's values.
        let own = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.force_contiguous()).expect("f32");
        let block = QTensor::quantize(&own, kind).expect("blocks");
        wide.insert(name.clone(), block.dequantize(&Device::Cpu).expect("f32"));
        blocks.push((named(name), block));
    }
    let architecture = Value::String(architecture.to_owned());
    let blocks: Vec<(&str, &QTensor)> = blocks.iter().map(|(name, block)| (name.as_str(), block)).collect();
    let mut file = File::create(path).expect("a file");
    gguf_file::write(&mut file, &[("general.architecture", &architecture)], &blocks).expect("GGUF");
    wide
}

/// llama.cpp's name of a published tensor of the text model.
pub fn llama_name(name: &str) -> String {
    const MODULES: [(&str, &str); 9] = [
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".to_owned(),
        "model.norm.weight" => return "output_norm.weight".to_owned(),
        "lm_head.weight" => return "output.weight".to_owned(),
        _ => {}
    }
    let rest = name.strip_prefix("model.layers.").expect("a layer");
    let (layer, rest) = rest.split_once('.').expect("a module");
    let (module, kind) = rest.rsplit_once('.').expect("a kind");
    let (_, module) = MODULES.into_iter().find(|(published, _)| *published == module).expect("a known module");
    format!("blk.{layer}.{module}.{kind}")
}

/// The vision tower as llama.cpp's mmproj files hold it: names, three matrices for one of queries, keys and values, and
/// a kernel for each temporal slice.
pub fn mmproj(vision: &Tensors) -> Tensors {
    let mut stored = Tensors::new();
    for (name, tensor) in vision {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["visual", "patch_embed", "proj", "weight"] => {
                for (slice, name) in ["v.patch_embd.weight", "v.patch_embd.weight.1"].into_iter().enumerate() {
                    let kernel = tensor.narrow(2, slice, 1).and_then(|kernel| kernel.squeeze(2)?.contiguous());
                    stored.insert(name.to_owned(), kernel.expect("a slice"));
                }
            }
            ["visual", "merger", "ln_q", kind] => drop(stored.insert(format!("v.post_ln.{kind}"), tensor.clone())),
            ["visual", "merger", "mlp", index, kind] => {
                drop(stored.insert(format!("mm.{index}.{kind}"), tensor.clone()))
            }
            ["visual", "blocks", block, "attn", "qkv", kind] => {
                for (part, module) in tensor.chunk(3, 0).expect("three").into_iter().zip(["attn_q", "attn_k", "attn_v"])
                {
                    stored.insert(format!("v.blk.{block}.{module}.{kind}"), part.contiguous().expect("a part"));
                }
            }
            ["visual", "blocks", block, module @ .., kind] => {
                let module = match module {
                    ["attn", "proj"] => "attn_out",
                    ["norm1"] => "ln1",
                    ["norm2"] => "ln2",
                    ["mlp", "gate_proj"] => "ffn_gate",
                    ["mlp", "up_proj"] => "ffn_up",
                    ["mlp", "down_proj"] => "ffn_down",
                    other => panic!("{other:?} has no name"),
                };
                stored.insert(format!("v.blk.{block}.{module}.{kind}"), tensor.clone());
            }
            _ => panic!("`{name}` has no name"),
        }
    }
    stored
}

/// ComfyUI's name of a published tensor of the autoencoder with two residual blocks a level.
pub fn wan_name(name: &str) -> String {
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
            let level: usize = level.parse().expect("a level");
            let (index, rest) = rest.split_once('.').expect("an index");
            let index: usize = index.parse().expect("an index");
            match *kind {
                "resnets" => format!("decoder.upsamples.{}.{}", level * 4 + index, residual(rest)),
                _ => format!("decoder.upsamples.{}.{rest}", level * 4 + 3),
            }
        }
        _ => panic!("`{name}` has no Wan name"),
    }
}
