use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result, sizes};

/// `transformer/config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TransformerConfig {
    /// Side of a patch in latents, 2.
    pub patch_size: usize,
    /// Values of a token: 4 times the latent channels.
    pub in_channels: usize,
    /// Latent channels.
    pub out_channels: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Width of an attention head.
    pub attention_head_dim: usize,
    /// Number of attention heads.
    pub num_attention_heads: usize,
    /// Values of a token of the encoded prompt.
    pub joint_attention_dim: usize,
    /// Whether the guidance scale is an input; not supported.
    pub guidance_embeds: bool,
    /// Width of the layer, row and column part of a head's rotation.
    pub axes_dims_rope: [usize; 3],
    /// Whether the condition image has a time of its own; not supported.
    pub zero_cond_t: bool,
    /// Whether an embedding says that pictures are RGBA; set in the layered model.
    pub use_additional_t_cond: bool,
    /// Whether positions have a layer axis; set in the layered model.
    pub use_layer3d_rope: bool,
}

impl TransformerConfig {
    /// Checks that this is a model that this crate runs; `path` is for the error.
    ///
    /// # Errors
    /// When fields contradict each other or describe another model than the layered one.
    pub fn check(&self, path: &Path) -> Result<()> {
        let reject = |reason: String| Err(Error::Checkpoint { path: path.to_owned(), reason });
        sizes::check(
            path,
            [
                ("num_layers", self.num_layers, 1000),
                ("num_attention_heads", self.num_attention_heads, 1000),
                ("attention_head_dim", self.attention_head_dim, 1 << 12),
                ("joint_attention_dim", self.joint_attention_dim, 1 << 16),
                ("in_channels", self.in_channels, 1 << 12),
                ("out_channels", self.out_channels, 1 << 12),
                ("axes_dims_rope", self.axes_dims_rope[0], 1 << 12),
                ("axes_dims_rope", self.axes_dims_rope[1], 1 << 12),
                ("axes_dims_rope", self.axes_dims_rope[2], 1 << 12),
            ],
        )?;
        let other = "use the Qwen-Image-Layered transformer";
        if !self.use_layer3d_rope || !self.use_additional_t_cond {
            return reject(format!(
                "this is plain Qwen-Image (`use_layer3d_rope` or `use_additional_t_cond` off); {other}"
            ));
        }
        if self.guidance_embeds || self.zero_cond_t {
            return reject(format!("`guidance_embeds` and `zero_cond_t` are not supported; {other}"));
        }
        if self.patch_size != 2 || self.in_channels != 4 * self.out_channels {
            return reject("`patch_size` must be 2 and `in_channels` 4 times `out_channels`; check the file".into());
        }
        let [layer, row, column] = self.axes_dims_rope;
        if layer + row + column != self.attention_head_dim || self.axes_dims_rope.iter().any(|axis| axis % 2 == 1) {
            return reject("`axes_dims_rope` must be even and add up to `attention_head_dim`; check the file".into());
        }
        Ok(())
    }

    /// Values of a token within the blocks.
    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }
}
