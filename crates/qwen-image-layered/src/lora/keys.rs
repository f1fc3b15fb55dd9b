//! What the tensors of a LoRA file are called by those who write such files.

use super::modules;

/// What a tensor is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// (rank, in)
    Down,
    /// (out, rank)
    Up,
    /// Added to what `Up` gives, (out).
    UpBias,
    /// A number: the product's scale times the rank.
    Alpha,
    /// Added to the layer's weight, (out, in).
    Difference,
    /// Added to the layer's bias, (out).
    BiasDifference,
}

/// A tensor's layer, by its published name, and its role there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// For example `transformer_blocks.0.attn.to_q`.
    pub layer: String,
    /// What it is there.
    pub role: Role,
}

/// Before the names of layers; several may follow each other.
const PREFIXES: [&str; 7] = [
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "unet.",
    "lora_unet_",
    "lora_transformer_",
];

/// Parts of names by which other methods are known, and what they are called.
const OTHER_METHODS: [(&str, &str); 9] = [
    ("hada_", "LoHa"),
    ("lokr_", "LoKr"),
    ("dora_scale", "DoRA"),
    ("lora_magnitude_vector", "DoRA"),
    ("lora_mid", "LoCon with a core (`lora_mid`)"),
    ("lora_embedding_", "a LoRA of an embedding"),
    ("oft_", "OFT"),
    ("boft_", "BOFT"),
    ("ia3_", "IA3"),
];

/// Before the names of a text encoder's layers.
const TEXT_ENCODERS: [&str; 5] = ["text_encoder", "lora_te", "te_", "te1_", "cond_stage_model."];

/// Understands the name of a tensor.
///
/// # Errors
/// What is wrong with it, to follow the name in a sentence.
pub fn parse(key: &str) -> Result<Key, String> {
    if let Some((_, method)) = OTHER_METHODS.iter().find(|(part, _)| key.contains(part)) {
        return Err(format!("is of {method}, which is not supported; take a plain LoRA"));
    }
    let mut name = key;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    if TEXT_ENCODERS.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("is for the text encoder, and LoRAs of the transformer alone can be used".to_owned());
    }
    let (layer, role) = role(name).ok_or("is none of a LoRA's tensors")?;
    let layer = layer.replace(".processor.", ".");
    let layer = modules::published(&layer).ok_or("names no layer of the transformer")?;
    Ok(Key { layer, role })
}

/// The layer's name in the file and the role of the tensor `name`.
fn role(name: &str) -> Option<(&str, Role)> {
    const LOW_RANK: [(&str, Role); 8] = [
        (".lora_A", Role::Down),
        (".lora_B", Role::Up),
        (".lora_down", Role::Down),
        (".lora_up", Role::Up),
        (".lora.down", Role::Down),
        (".lora.up", Role::Up),
        ("_lora.down", Role::Down),
        ("_lora.up", Role::Up),
    ];
    const OTHERS: [(&str, Role); 5] = [
        (".diff_b", Role::BiasDifference),
        (".diff", Role::Difference),
        ("_lora.alpha", Role::Alpha),
        (".lora.alpha", Role::Alpha),
        (".alpha", Role::Alpha),
    ];
    if let Some(found) = OTHERS.iter().find_map(|(suffix, role)| Some((name.strip_suffix(suffix)?, *role))) {
        return Some(found);
    }
    let (stem, is_bias) = match name.strip_suffix(".bias") {
        Some(stem) => (stem, true),
        None => (name.strip_suffix(".weight").unwrap_or(name), false),
    };
    let find = |stem: &str| {
        let (suffix, role) = LOW_RANK.iter().find(|(suffix, _)| stem.ends_with(suffix))?;
        Some((stem.len() - suffix.len(), *role))
    };
    // PEFT puts the name of an adapter behind: `lora_A.default.weight`.
    let (length, role) = find(stem).or_else(|| find(stem.rsplit_once('.')?.0))?;
    match (role, is_bias) {
        (role, false) => Some((&name[..length], role)),
        (Role::Up, true) => Some((&name[..length], Role::UpBias)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_layout_mean_the_same() {
        for (role, keys) in [
            (
                Role::Down,
                &[
                    "base_model.model.transformer_blocks.3.attn.to_out.0.lora_A.weight",
                    "transformer.transformer_blocks.3.attn.to_out.0.lora_A.weight",
                    "diffusion_model.transformer_blocks.3.attn.to_out.0.lora_A.weight",
                    "transformer_blocks.3.attn.to_out.0.lora_down.weight",
                    "transformer_blocks.3.attn.to_out.0.lora.down.weight",
                    "lora_unet_transformer_blocks_3_attn_to_out_0.lora_down.weight",
                    "transformer_blocks.3.attn.to_out.0.lora_A.default.weight",
                    "transformer.transformer_blocks.3.attn.processor.to_out_lora.down.weight",
                ][..],
            ),
            (
                Role::Up,
                &[
                    "base_model.model.transformer.transformer_blocks.3.attn.to_out.0.lora_B.weight",
                    "transformer_blocks.3.attn.to_out.0.lora_up.weight",
                    "transformer_blocks.3.attn.to_out_lora.up.weight",
                ],
            ),
            (Role::UpBias, &["transformer_blocks.3.attn.to_out.0.lora_B.bias"]),
            (Role::Alpha, &["lora_unet_transformer_blocks_3_attn_to_out_0.alpha"]),
            (Role::Difference, &["diffusion_model.transformer_blocks.3.attn.to_out.0.diff"]),
            (Role::BiasDifference, &["diffusion_model.transformer_blocks.3.attn.to_out.0.diff_b"]),
        ] {
            for key in keys {
                let expected = Key { layer: "transformer_blocks.3.attn.to_out.0".to_owned(), role };
                assert_eq!(parse(key), Ok(expected), "{key}");
            }
        }
    }

    #[test]
    fn what_is_not_of_a_plain_lora_of_this_model_is_refused_by_name() {
        for (key, words) in [
            ("lora_unet_transformer_blocks_0_attn_to_q.hada_w1_a", "LoHa"),
            ("lora_unet_transformer_blocks_0_attn_to_q.lokr_w1", "LoKr"),
            ("transformer_blocks.0.attn.to_q.dora_scale", "DoRA"),
            ("lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha", "text encoder"),
            ("text_encoder.layers.0.q_proj.lora_A.weight", "text encoder"),
            ("transformer.single_blocks.0.linear1.lora_A.weight", "names no layer"),
            ("transformer_blocks.0.attn.norm_q.diff", "names no layer"),
            ("transformer_blocks.0.attn.to_q.lora_A.bias", "none of a LoRA's"),
            ("transformer_blocks.0.attn.to_q.weight", "none of a LoRA's"),
        ] {
            let reason = parse(key).unwrap_err();
            assert!(reason.contains(words), "{key}: {reason}");
        }
    }
}
