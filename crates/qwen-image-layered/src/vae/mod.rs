//! The RGBA autoencoder (`AutoencoderKLQwenImage`), for single frames.
//!
//! The checkpoint holds a video network. One frame has a past of zeros, so each
//! 3D convolution is a 2D one with the last temporal slice of its kernel, and the
//! temporal convolutions between the levels never run.

mod blocks;
mod config;
mod decoder;
mod encoder;

use candle_core::{Device, Tensor};

pub use config::VaeConfig;

use crate::nn::{Conv2d, Walk};
use crate::weights::Weights;
use crate::{Monitor, Result};

/// Turns pictures into latents and back.
#[derive(Debug, Clone)]
pub struct Vae {
    encoder: encoder::Encoder,
    quant_conv: Conv2d,
    post_quant_conv: Conv2d,
    decoder: decoder::Decoder,
    config: VaeConfig,
}

impl Vae {
    /// Loads the autoencoder. `config` must have passed [`VaeConfig::check`].
    ///
    /// # Errors
    /// When a tensor is missing, superfluous, or does not fit the config.
    pub fn load(config: &VaeConfig, weights: &Weights) -> Result<Self> {
        let z = config.z_dim;
        let vae = Self {
            encoder: encoder::Encoder::load(config, &weights.pp("encoder"))?,
            quant_conv: weights.pp("quant_conv").causal_conv2d(2 * z, 2 * z, 1)?,
            post_quant_conv: weights.pp("post_quant_conv").causal_conv2d(z, z, 1)?,
            decoder: decoder::Decoder::load(config, &weights.pp("decoder"))?,
            config: config.clone(),
        };
        weights.finish()?;
        Ok(vae)
    }

    /// The config that it was loaded with.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// `image` (b, 4, h, w) in -1..1, sides multiples of the scale -> mean and log variance (b, 2 z, h/s, w/s).
    ///
    /// # Errors
    /// On a device failure or when the monitor says stop.
    pub fn moments(&self, image: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let x = self.encoder.forward(&image.permute((0, 2, 3, 1))?, monitor)?;
        let x = self.quant_conv.forward(&x, Walk::Same, monitor)?;
        Ok(x.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// The mode of the latents of `image` (b, 4, h, w), normalised: (b, z, h/s, w/s).
    ///
    /// # Errors
    /// As [`Vae::moments`].
    pub fn encode(&self, image: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let mode = self.moments(image, monitor)?.narrow(1, 0, self.config.z_dim)?;
        let (mean, std) = self.statistics(&mode)?;
        Ok(mode.broadcast_sub(&mean)?.broadcast_div(&std)?)
    }

    /// Pictures (b, 4, h s, w s) in -1..1 from latents (b, z, h, w) as the VAE itself has them.
    ///
    /// # Errors
    /// As [`Vae::moments`].
    pub fn decode_raw(&self, latents: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let z = self.post_quant_conv.forward(&latents.permute((0, 2, 3, 1))?, Walk::Same, monitor)?;
        let x = self.decoder.forward(&z, monitor)?.clamp(-1.0, 1.0)?;
        Ok(x.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// Pictures (b, 4, h s, w s) in -1..1 from normalised latents (b, z, h, w).
    ///
    /// # Errors
    /// As [`Vae::moments`].
    pub fn decode(&self, latents: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let (mean, std) = self.statistics(latents)?;
        // The reference divides by the reciprocal, which rounds differently from a product.
        let latents = latents.broadcast_div(&std.recip()?)?.broadcast_add(&mean)?;
        self.decode_raw(&latents, monitor)
    }

    /// Mean and standard deviation of the latents, (1, z, 1, 1) each, in the type of `like`.
    fn statistics(&self, like: &Tensor) -> Result<(Tensor, Tensor)> {
        let load = |values: &[f64]| -> Result<Tensor> {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            let tensor = Tensor::from_vec(values, (1, self.config.z_dim, 1, 1), &Device::Cpu)?;
            Ok(tensor.to_device(like.device())?.to_dtype(like.dtype())?)
        };
        Ok((load(&self.config.latents_mean)?, load(&self.config.latents_std)?))
    }
}
