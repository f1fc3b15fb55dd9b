//! The layers of the transformer that a LoRA can be for.

use crate::transformer::TransformerConfig;

/// Before the number of a block in a layer's name.
const BLOCKS: &str = "transformer_blocks";

/// Of each block. Names with underscores, which some files have in place of dots, are unambiguous.
const OF_A_BLOCK: [(&str, Width, Width); 14] = [
    ("attn.to_q", Width::Dim, Width::Dim),
    ("attn.to_k", Width::Dim, Width::Dim),
    ("attn.to_v", Width::Dim, Width::Dim),
    ("attn.to_out.0", Width::Dim, Width::Dim),
    ("attn.add_q_proj", Width::Dim, Width::Dim),
    ("attn.add_k_proj", Width::Dim, Width::Dim),
    ("attn.add_v_proj", Width::Dim, Width::Dim),
    ("attn.to_add_out", Width::Dim, Width::Dim),
    ("img_mod.1", Width::Dim, Width::Times(6)),
    ("txt_mod.1", Width::Dim, Width::Times(6)),
    ("img_mlp.net.0.proj", Width::Dim, Width::Times(4)),
    ("txt_mlp.net.0.proj", Width::Dim, Width::Times(4)),
    ("img_mlp.net.2", Width::Times(4), Width::Dim),
    ("txt_mlp.net.2", Width::Times(4), Width::Dim),
];

/// Outside of the blocks.
const OTHERS: [(&str, Width, Width); 6] = [
    ("img_in", Width::Latents, Width::Dim),
    ("txt_in", Width::Text, Width::Dim),
    ("time_text_embed.timestep_embedder.linear_1", Width::Time, Width::Dim),
    ("time_text_embed.timestep_embedder.linear_2", Width::Dim, Width::Dim),
    ("norm_out.linear", Width::Dim, Width::Times(2)),
    ("proj_out", Width::Dim, Width::Latents),
];

/// How many values a layer takes or gives.
#[derive(Debug, Clone, Copy)]
enum Width {
    /// Of a token in the blocks.
    Dim,
    /// So many times that.
    Times(usize),
    /// Of a token of the latents.
    Latents,
    /// Of a token of the prompt.
    Text,
    /// Of the waves that stand for the noise level.
    Time,
}

impl Width {
    fn of(self, config: &TransformerConfig) -> usize {
        match self {
            Self::Dim => config.inner_dim(),
            Self::Times(times) => times * config.inner_dim(),
            Self::Latents => config.in_channels,
            Self::Text => config.joint_attention_dim,
            Self::Time => crate::transformer::TIME_CHANNELS,
        }
    }
}

/// The published name of the layer that a file calls `name`, with dots or underscores.
pub fn published(name: &str) -> Option<String> {
    let flat = name.replace('.', "_");
    let same = |known: &str| known.replace('.', "_") == flat;
    if let Some((known, ..)) = OTHERS.iter().find(|(known, ..)| same(known)) {
        return Some((*known).to_owned());
    }
    let (block, layer) = flat.strip_prefix(BLOCKS)?.strip_prefix('_')?.split_once('_')?;
    if block.is_empty() || !block.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let block: usize = block.parse().ok()?;
    // Older attention processors call the output's layer by the list that it is in.
    let layer = if layer == "attn_to_out" { "attn_to_out_0" } else { layer };
    let (known, ..) = OF_A_BLOCK.iter().find(|(known, ..)| known.replace('.', "_") == layer)?;
    Some(format!("{BLOCKS}.{block}.{known}"))
}

/// How many values the layer `name` takes and gives; `None` if the model has no such layer.
pub fn widths(config: &TransformerConfig, name: &str) -> Option<(usize, usize)> {
    let within = name.strip_prefix(BLOCKS).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
    let known = match within {
        Some((block, layer)) => {
            let exists = block.parse().is_ok_and(|block: usize| block < config.num_layers);
            OF_A_BLOCK.iter().find(|(known, ..)| exists && *known == layer)
        }
        None => OTHERS.iter().find(|(known, ..)| *known == name),
    };
    known.map(|(_, takes, gives)| (takes.of(config), gives.of(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_found_under_both_spellings() {
        for (known, ..) in OTHERS {
            assert_eq!(published(known).as_deref(), Some(known));
            assert_eq!(published(&known.replace('.', "_")).as_deref(), Some(known));
        }
        for (known, ..) in OF_A_BLOCK {
            let name = format!("transformer_blocks.59.{known}");
            assert_eq!(published(&name), Some(name.clone()));
            assert_eq!(published(&name.replace('.', "_")), Some(name));
        }
        for other in ["transformer_blocks.x.attn.to_q", "transformer_blocks.0.attn.to_w", "img", "single_blocks.0.x"] {
            assert_eq!(published(other), None, "{other}");
        }
    }
}
