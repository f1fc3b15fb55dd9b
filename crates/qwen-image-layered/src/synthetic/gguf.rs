//! Writes GGUF files, version 3: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::DType;
use candle_core::quantized::GgmlDType;

use super::safetensors::stream;
use super::unwritable;
use super::values::{Generator, Planned};
use crate::Result;
use crate::weights::{Part, Stored};

const ALIGNMENT: usize = 32;

/// Where the file of a part is; `vision`: that of its vision tower.
pub fn path(folder: &Path, part: Part, mixture: &str, vision: bool) -> PathBuf {
    let name = match (part, vision) {
        (_, true) => "mmproj-BF16.gguf".to_owned(),
        (Part::TextEncoder, _) => format!("qwen2.5-vl-instruct-{mixture}.gguf"),
        _ => format!("qwen-image-layered-{mixture}.gguf"),
    };
    folder.join(part.folder()).join(name)
}

/// Writes a part as one file; a text encoder as two, the vision tower apart.
pub fn write(
    folder: &Path,
    part: Part,
    mixture: &str,
    planned: Vec<Planned>,
    report: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let (vision, rest): (Vec<_>, Vec<_>) = planned.into_iter().partition(|tensor| tensor.name.starts_with("visual."));
    if !vision.is_empty() {
        let vision = vision.into_iter().flat_map(of_vision).collect();
        one_file(&path(folder, part, mixture, true), "clip", vision, report)?;
    }
    let rest = rest.into_iter().map(|tensor| renamed(tensor, of_text)).collect();
    one_file(&path(folder, part, mixture, false), part.architecture(), rest, report)
}

fn one_file(
    path: &Path,
    architecture: &str,
    planned: Vec<Planned>,
    report: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut header = b"GGUF".to_vec();
    header.extend(3_u32.to_le_bytes());
    header.extend((planned.len() as u64).to_le_bytes());
    header.extend(1_u64.to_le_bytes());
    text(&mut header, "general.architecture");
    header.extend(8_u32.to_le_bytes());
    text(&mut header, architecture);
    let mut offset = 0;
    for tensor in &planned {
        text(&mut header, &tensor.name);
        header.extend((tensor.shape.len() as u32).to_le_bytes());
        // The innermost dimension first.
        for &size in tensor.shape.iter().rev() {
            header.extend((size as u64).to_le_bytes());
        }
        header.extend(number(tensor.stored()).to_le_bytes());
        header.extend((offset as u64).to_le_bytes());
        offset = (offset + tensor.bytes()).next_multiple_of(ALIGNMENT);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
    let failed = |error| unwritable(path, error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(&header).map_err(failed)?;
    let generator = Generator::new(planned);
    for tensor in generator.tensors() {
        stream(&generator, tensor, path, &mut file, report)?;
        let padding = tensor.bytes().next_multiple_of(ALIGNMENT) - tensor.bytes();
        file.write_all(&[0; ALIGNMENT][..padding]).map_err(failed)?;
    }
    file.flush().map_err(failed)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// `enum ggml_type`.
fn number(stored: Stored) -> u32 {
    match stored {
        Stored::Plain(DType::F32) => 0,
        Stored::Blocks(GgmlDType::Q8_0) => 8,
        Stored::Blocks(GgmlDType::Q4K) => 12,
        Stored::Blocks(GgmlDType::Q5K) => 13,
        Stored::Blocks(GgmlDType::Q6K) => 14,
        _ => 30, // BF16
    }
}

fn renamed(tensor: Planned, rename: impl Fn(&str) -> String) -> Planned {
    Planned { name: rename(&tensor.name), ..tensor }
}

/// llama.cpp's name of a published tensor of the text model; those of image models stay.
fn of_text(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["model", "embed_tokens", kind] => format!("token_embd.{kind}"),
        ["model", "norm", kind] => format!("output_norm.{kind}"),
        ["lm_head", kind] => format!("output.{kind}"),
        ["model", "layers", layer, module @ .., kind] => {
            let module = match module.join(".").as_str() {
                "self_attn.q_proj" => "attn_q",
                "self_attn.k_proj" => "attn_k",
                "self_attn.v_proj" => "attn_v",
                "self_attn.o_proj" => "attn_output",
                "input_layernorm" => "attn_norm",
                "post_attention_layernorm" => "ffn_norm",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                _ => "ffn_down",
            };
            format!("blk.{layer}.{module}.{kind}")
        }
        _ => name.to_owned(),
    }
}

/// The tensors of a mmproj file that a published tensor of the vision tower becomes.
fn of_vision(tensor: Planned) -> Vec<Planned> {
    let parts: Vec<&str> = tensor.name.split('.').collect();
    let name = match parts.as_slice() {
        ["visual", "patch_embed", ..] => {
            // (out, in, 2, h, w) as one 2D kernel for each of the two frames.
            let shape = vec![tensor.shape[0], tensor.shape[1], tensor.shape[3], tensor.shape[4]];
            let slice = |name: &str| Planned { name: name.to_owned(), shape: shape.clone(), ..tensor.clone() };
            return vec![slice("v.patch_embd.weight"), slice("v.patch_embd.weight.1")];
        }
        ["visual", "merger", "ln_q", kind] => format!("v.post_ln.{kind}"),
        ["visual", "merger", "mlp", index, kind] => format!("mm.{index}.{kind}"),
        ["visual", "blocks", block, module @ .., kind] => {
            let module = match module.join(".").as_str() {
                "norm1" => "ln1",
                "norm2" => "ln2",
                "attn.qkv" => "attn_qkv",
                "attn.proj" => "attn_out",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                _ => "ffn_down",
            };
            format!("v.blk.{block}.{module}.{kind}")
        }
        _ => tensor.name.clone(),
    };
    vec![Planned { name, ..tensor }]
}
