use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result, sizes};

/// `transformer/config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TransformerConfig {
    pub patch_size: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    pub num_layers: usize,
    pub attention_head_dim: usize,
    pub num_attention_heads: usize,
    pub joint_attention_dim: usize,
    pub guidance_embeds: bool,
    /// Width of the layer, row and column part of a head's rotation.
    pub axes_dims_rope: [usize; 3],
    pub zero_cond_t: bool,
    pub use_additional_t_cond: bool,
    pub use_layer3d_rope: bool,
}

impl TransformerConfig {
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

    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }
}
