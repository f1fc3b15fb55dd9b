use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result};

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
        if self.num_attention_heads == 0 || self.attention_head_dim == 0 || self.joint_attention_dim == 0 {
            return reject(
                "`num_attention_heads`, `attention_head_dim` and `joint_attention_dim` must not be 0".into(),
            );
        }
        Ok(())
    }

    pub fn inner_dim(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }
}
