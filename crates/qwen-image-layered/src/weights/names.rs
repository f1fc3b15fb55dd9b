//! From the names of each packaging to the published ones.

/// What GGUF files call the vision tower of the text model.
pub const VISION_ARCHITECTURE: &str = "clip";

/// The architecture of a GGUF by the names of its tensors; `None` for a model that is not part of this one.
pub fn architecture_of<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let bare = |name: &'a str| {
        let prefixes = ["model.diffusion_model.", "diffusion_model.", "transformer.", "vae.", "first_stage_model."];
        prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
    };
    // One tensor of each that no other has.
    names.map(bare).find_map(|name| match name {
        "transformer_blocks.0.img_mod.1.weight" => Some(Part::Transformer.architecture()),
        "blk.0.attn_q.weight" | "model.layers.0.self_attn.q_proj.weight" => Some(Part::TextEncoder.architecture()),
        "v.patch_embd.weight" => Some(VISION_ARCHITECTURE),
        "encoder.conv_in.weight" | "encoder.conv1.weight" => Some(Part::Vae.architecture()),
        _ => None,
    })
}

/// A part of the pipeline that has its own weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The diffusion transformer.
    Transformer,
    /// The text model with the vision tower.
    TextEncoder,
    /// The autoencoder.
    Vae,
}

impl Part {
    /// Its subfolder of the published folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::TextEncoder => "text_encoder",
            Self::Vae => "vae",
        }
    }

    /// File name stem in the published folder.
    pub fn stem(self) -> &'static str {
        match self {
            Self::TextEncoder => "model",
            Self::Transformer | Self::Vae => "diffusion_pytorch_model",
        }
    }

    /// What GGUF files call this model (`general.architecture`).
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Transformer => "qwen_image",
            Self::TextEncoder => "qwen2vl",
            Self::Vae => "(none)",
        }
    }
}

/// The role of a stored tensor in the published layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The published tensor of this name.
    Tensor(String),
    /// Piece `index` of `count` of the published tensor `name`.
    Piece { name: String, index: usize, count: usize, join: Join },
    /// The factor that belongs to the fp8 tensor of this name.
    Scale(String),
    /// A tensor that is not needed.
    Aside,
}

/// How pieces make a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// One below the other, along the first dimension.
    Rows,
    /// As the slices of a third dimension: (out, in, h, w) each -> (out, in, pieces, h, w).
    Depth,
}

/// Names in safetensors: published folders of both generations and ComfyUI's single files.
pub fn of_safetensors(part: Part, stored: &str) -> Meaning {
    if stored == "scaled_fp8" || has_suffix(stored, &[".comfy_quant", ".scale_input", ".input_scale"]) {
        return Meaning::Aside;
    }
    for suffix in [".scale_weight", ".weight_scale"] {
        if let Some(layer) = stored.strip_suffix(suffix) {
            return Meaning::Scale(format!("{}.weight", published(part, layer)));
        }
    }
    Meaning::Tensor(published(part, stored))
}

fn has_suffix(name: &str, suffixes: &[&str]) -> bool {
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

fn published(part: Part, stored: &str) -> String {
    match part {
        Part::Transformer => {
            let prefixes = ["model.diffusion_model.", "diffusion_model.", "transformer."];
            prefixes.iter().find_map(|prefix| stored.strip_prefix(prefix)).unwrap_or(stored).to_owned()
        }
        Part::TextEncoder => match stored.strip_prefix("model.language_model.") {
            Some(rest) => format!("model.{rest}"),
            None => stored.strip_prefix("model.visual.").map_or_else(|| stored.to_owned(), |r| format!("visual.{r}")),
        },
        Part::Vae => of_wan_vae(stored),
    }
}

/// The original (Wan) names of the VAE, which ComfyUI's file keeps; published names pass through.
fn of_wan_vae(stored: &str) -> String {
    let name = stored.strip_prefix("vae.").or(stored.strip_prefix("first_stage_model.")).unwrap_or(stored);
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["conv1", rest] => format!("quant_conv.{rest}"),
        ["conv2", rest] => format!("post_quant_conv.{rest}"),
        [side, "conv1", rest] => format!("{side}.conv_in.{rest}"),
        [side, "head", "0", rest] => format!("{side}.norm_out.{rest}"),
        [side, "head", "2", rest] => format!("{side}.conv_out.{rest}"),
        [side, "middle", "1", rest @ ..] => format!("{side}.mid_block.attentions.0.{}", rest.join(".")),
        [side, "middle", index, rest @ ..] => {
            let index = if *index == "0" { "0" } else { "1" };
            format!("{side}.mid_block.resnets.{index}.{}", of_wan_residual(rest))
        }
        ["encoder", "downsamples", index, rest @ ..] => {
            format!("encoder.down_blocks.{index}.{}", of_wan_residual(rest))
        }
        // Three residual blocks, then an up-sampler, in one flat list.
        ["decoder", "upsamples", index, rest @ ..] => match index.parse::<usize>() {
            Ok(index) if index % 4 == 3 => {
                format!("decoder.up_blocks.{}.upsamplers.0.{}", index / 4, rest.join("."))
            }
            Ok(index) => {
                format!("decoder.up_blocks.{}.resnets.{}.{}", index / 4, index % 4, of_wan_residual(rest))
            }
            Err(_) => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

fn of_wan_residual(parts: &[&str]) -> String {
    match parts {
        ["residual", "0", rest] => format!("norm1.{rest}"),
        ["residual", "2", rest] => format!("conv1.{rest}"),
        ["residual", "3", rest] => format!("norm2.{rest}"),
        ["residual", "6", rest] => format!("conv2.{rest}"),
        ["shortcut", rest] => format!("conv_shortcut.{rest}"),
        _ => parts.join("."),
    }
}

/// Names in GGUF files of `part`. Image models keep the published names there;
/// the text model has llama.cpp's.
pub fn of_gguf(part: Part, stored: &str) -> Meaning {
    if part != Part::TextEncoder {
        return Meaning::Tensor(published(part, stored));
    }
    let parts: Vec<&str> = stored.split('.').collect();
    let name = match parts.as_slice() {
        ["token_embd", "weight"] => "model.embed_tokens.weight".to_owned(),
        ["output_norm", "weight"] => "model.norm.weight".to_owned(),
        ["output", "weight"] => "lm_head.weight".to_owned(),
        ["rope_freqs", "weight"] => return Meaning::Aside,
        ["blk", layer, module, kind] => match of_llama_module(module) {
            Some(module) => format!("model.layers.{layer}.{module}.{kind}"),
            None => stored.to_owned(),
        },
        _ => stored.to_owned(),
    };
    Meaning::Tensor(name)
}

fn of_llama_module(module: &str) -> Option<&'static str> {
    Some(match module {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    })
}

/// llama.cpp's names of the vision tower (mmproj files).
pub fn of_mmproj(stored: &str) -> Meaning {
    let parts: Vec<&str> = stored.split('.').collect();
    let name = match parts.as_slice() {
        // The patch embedding's two temporal slices, stored as two 2D kernels.
        ["v", "patch_embd", "weight", rest @ ..] => {
            let index = usize::from(!rest.is_empty());
            let name = "visual.patch_embed.proj.weight".to_owned();
            return Meaning::Piece { name, index, count: 2, join: Join::Depth };
        }
        ["v", "post_ln", kind] => format!("visual.merger.ln_q.{kind}"),
        ["mm", index, kind] => format!("visual.merger.mlp.{index}.{kind}"),
        ["v", "blk", block, module, kind] => {
            let module = match *module {
                "attn_q" | "attn_k" | "attn_v" => {
                    let index = ["attn_q", "attn_k", "attn_v"].iter().position(|name| name == module).unwrap_or(0);
                    let name = format!("visual.blocks.{block}.attn.qkv.{kind}");
                    return Meaning::Piece { name, index, count: 3, join: Join::Rows };
                }
                "attn_qkv" => "attn.qkv",
                "attn_out" => "attn.proj",
                "ln1" => "norm1",
                "ln2" => "norm2",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" => "mlp.up_proj",
                "ffn_down" => "mlp.down_proj",
                other => other,
            };
            format!("visual.blocks.{block}.{module}.{kind}")
        }
        _ => stored.to_owned(),
    };
    Meaning::Tensor(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_text_names_agree() {
        for (old, new) in [
            ("model.layers.3.mlp.up_proj.weight", "model.language_model.layers.3.mlp.up_proj.weight"),
            ("visual.blocks.0.norm1.weight", "model.visual.blocks.0.norm1.weight"),
            ("lm_head.weight", "lm_head.weight"),
        ] {
            let expected = Meaning::Tensor(old.to_owned());
            assert_eq!(of_safetensors(Part::TextEncoder, old), expected);
            assert_eq!(of_safetensors(Part::TextEncoder, new), expected);
        }
    }

    #[test]
    fn scales_belong_to_their_weight() {
        let expected = Meaning::Scale("transformer_blocks.0.attn.to_q.weight".to_owned());
        for stored in ["transformer_blocks.0.attn.to_q.scale_weight", "transformer_blocks.0.attn.to_q.weight_scale"] {
            assert_eq!(of_safetensors(Part::Transformer, stored), expected);
            assert_eq!(of_safetensors(Part::Transformer, &format!("model.diffusion_model.{stored}")), expected);
        }
        assert_eq!(of_safetensors(Part::Transformer, "scaled_fp8"), Meaning::Aside);
    }

    #[test]
    fn wan_names_of_the_vae() {
        for (wan, published) in [
            ("conv1.weight", "quant_conv.weight"),
            ("conv2.bias", "post_quant_conv.bias"),
            ("encoder.conv1.weight", "encoder.conv_in.weight"),
            ("encoder.middle.2.residual.6.weight", "encoder.mid_block.resnets.1.conv2.weight"),
            ("encoder.middle.1.to_qkv.weight", "encoder.mid_block.attentions.0.to_qkv.weight"),
            ("encoder.downsamples.3.residual.0.gamma", "encoder.down_blocks.3.norm1.gamma"),
            ("encoder.downsamples.3.shortcut.weight", "encoder.down_blocks.3.conv_shortcut.weight"),
            ("encoder.downsamples.2.resample.1.bias", "encoder.down_blocks.2.resample.1.bias"),
            ("decoder.upsamples.4.shortcut.weight", "decoder.up_blocks.1.resnets.0.conv_shortcut.weight"),
            ("decoder.upsamples.14.residual.2.bias", "decoder.up_blocks.3.resnets.2.conv1.bias"),
            ("decoder.upsamples.7.time_conv.weight", "decoder.up_blocks.1.upsamplers.0.time_conv.weight"),
            ("decoder.head.0.gamma", "decoder.norm_out.gamma"),
            ("decoder.up_blocks.0.resnets.1.conv1.weight", "decoder.up_blocks.0.resnets.1.conv1.weight"),
            ("decoder.mid_block.resnets.1.norm1.gamma", "decoder.mid_block.resnets.1.norm1.gamma"),
        ] {
            assert_eq!(of_safetensors(Part::Vae, wan), Meaning::Tensor(published.to_owned()), "{wan}");
        }
    }
}
