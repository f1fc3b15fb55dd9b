use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result, sizes};

/// `vae/config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct VaeConfig {
    /// Channels of the outermost level.
    pub base_dim: usize,
    /// Latent channels.
    pub z_dim: usize,
    /// Channels of each level in multiples of `base_dim`.
    pub dim_mult: Vec<usize>,
    /// Residual blocks of a level.
    pub num_res_blocks: usize,
    /// Scales with extra attention; none in any published checkpoint, and not supported.
    pub attn_scales: Vec<f64>,
    /// One entry per halving of the sides: whether time is halved too, which does not concern single frames.
    pub temperal_downsample: Vec<bool>,
    /// 4: red, green, blue, alpha.
    pub input_channels: usize,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f64>,
    /// Standard deviation of each latent channel.
    pub latents_std: Vec<f64>,
}

impl VaeConfig {
    /// Checks that this is an autoencoder that this crate runs; `path` is for the error.
    ///
    /// # Errors
    /// When fields contradict each other or ask for something that this crate does not have.
    pub fn check(&self, path: &Path) -> Result<()> {
        let reject = |reason: String| Err(Error::Checkpoint { path: path.to_owned(), reason });
        let widest = self.dim_mult.iter().copied().max().unwrap_or_default();
        let narrowest = self.dim_mult.iter().copied().min().unwrap_or_default();
        sizes::check(
            path,
            [
                ("base_dim", self.base_dim, 1 << 12),
                ("z_dim", self.z_dim, 1 << 10),
                ("num_res_blocks", self.num_res_blocks, 100),
                ("dim_mult", widest, 1 << 10),
                ("dim_mult", narrowest, 1 << 10),
                ("dim_mult` (its length)", self.dim_mult.len(), 8),
            ],
        )?;
        if self.input_channels != 4 {
            let channels = self.input_channels;
            return reject(format!(
                "`input_channels` is {channels}, but layers need the RGBA autoencoder with 4; take the layered model's own, \
                 qwen_image_layered_vae"
            ));
        }
        if !self.attn_scales.is_empty() {
            return reject("`attn_scales` is not empty, which is not supported; use the published autoencoder".into());
        }
        if self.dim_mult.is_empty() || self.temperal_downsample.len() + 1 != self.dim_mult.len() {
            return reject("`temperal_downsample` must have one entry less than `dim_mult`; check the file".into());
        }
        if self.latents_mean.len() != self.z_dim || self.latents_std.len() != self.z_dim {
            let z_dim = self.z_dim;
            return reject(format!(
                "`latents_mean` and `latents_std` must have `z_dim` = {z_dim} entries; check the file"
            ));
        }
        if self.latents_std.iter().any(|std| !(std.is_finite() && *std > 0.0)) {
            return reject("`latents_std` must be above 0; check the file".into());
        }
        Ok(())
    }

    /// How many pixels a latent covers in each direction.
    pub fn scale(&self) -> usize {
        1 << self.temperal_downsample.len()
    }
}
