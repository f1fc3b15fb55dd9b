//! The multimodal diffusion transformer (`QwenImageTransformer2DModel` with layer-3D rotations).

mod block;
mod config;
mod rotation;

use candle_core::{DType, Device, Tensor};

pub use config::TransformerConfig;

use crate::nn::{Linear, modulate, rms_norm, silu};
use crate::weights::Weights;
use crate::{Monitor, Result};
use block::{Block, EPS, Streams};
use rotation::Rotation;

/// How the image tokens lie: `frames` noisy frames and then the condition image,
/// each of `rows` x `columns` patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameGrid {
    pub frames: usize,
    pub rows: usize,
    pub columns: usize,
}

/// Everything about a forward pass but the latents and the text.
pub struct Step<'a, 'm> {
    /// Noise level, 1 to 0.
    pub sigma: f32,
    pub grid: FrameGrid,
    pub monitor: &'a Monitor<'m>,
    /// Which part of the step in the monitor this pass is: a guided step has two.
    pub part: [f32; 2],
}

const TIME_CHANNELS: usize = 256;

/// Predicts the velocity from noise to picture.
#[derive(Debug, Clone)]
pub struct Transformer {
    img_in: Linear,
    txt_norm: Tensor,
    txt_in: Linear,
    linear_1: Linear,
    linear_2: Linear,
    /// (2, dim); row 0 is for RGBA pictures, row 1 is not used by the pipeline.
    addition_t_embedding: Tensor,
    transformer_blocks: Vec<Block>,
    norm_out: Linear,
    proj_out: Linear,
    config: TransformerConfig,
    dtype: DType,
}

impl Transformer {
    /// `config` must have passed [`TransformerConfig::check`].
    ///
    /// # Errors
    /// When a tensor is missing, superfluous, or does not fit the config.
    pub fn load(config: &TransformerConfig, weights: &Weights) -> Result<Self> {
        let dim = config.inner_dim();
        let time = weights.pp("time_text_embed");
        let embedder = time.pp("timestep_embedder");
        let blocks = weights.pp("transformer_blocks");
        let model = Self {
            img_in: weights.pp("img_in").linear(config.in_channels, dim, true)?,
            txt_norm: weights.pp("txt_norm").get(config.joint_attention_dim, "weight")?,
            txt_in: weights.pp("txt_in").linear(config.joint_attention_dim, dim, true)?,
            linear_1: embedder.pp("linear_1").linear(TIME_CHANNELS, dim, true)?,
            linear_2: embedder.pp("linear_2").linear(dim, dim, true)?,
            addition_t_embedding: time.pp("addition_t_embedding").get((2, dim), "weight")?,
            transformer_blocks: (0..config.num_layers)
                .map(|i| Block::load(config, &blocks.pp(i)))
                .collect::<Result<_>>()?,
            norm_out: weights.pp("norm_out.linear").linear(dim, 2 * dim, true)?,
            proj_out: weights.pp("proj_out").linear(dim, config.in_channels, true)?,
            config: config.clone(),
            dtype: weights.dtype(),
        };
        weights.finish()?;
        Ok(model)
    }

    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// `latents` (1, (frames + 1) * rows * columns, in), the condition image last, and
    /// `text` (1, words, text dim) -> the prediction for all tokens, (1, n, in).
    ///
    /// # Errors
    /// When shapes do not fit, the device fails, or the monitor says stop.
    pub fn forward(&self, latents: &Tensor, text: &Tensor, step: &Step) -> Result<Tensor> {
        let mut x = Streams {
            image: self.img_in.forward(latents)?,
            text: self.txt_in.forward(&rms_norm(text, &self.txt_norm, EPS)?)?,
        };
        let conditioning = silu(&self.embed_time(step.sigma, latents.device())?)?;
        let words = text.dim(1)?;
        let rotation = Rotation::new(self.config.axes_dims_rope, step.grid, words, latents.device())?;
        let count = self.transformer_blocks.len();
        for (i, block) in self.transformer_blocks.iter().enumerate() {
            let [start, end] = step.part;
            step.monitor.within(start + (end - start) * i as f32 / count as f32)?;
            x = block.forward(x, &conditioning, &rotation, step.monitor)?;
        }
        let scale_shift = self.norm_out.forward(&conditioning)?.chunk(2, 1)?;
        self.proj_out.forward(&modulate(&x.image, &scale_shift[1], &scale_shift[0], EPS)?)
    }

    /// `sigma` -> (1, dim)
    fn embed_time(&self, sigma: f32, device: &Device) -> Result<Tensor> {
        let half = TIME_CHANNELS / 2;
        let angle = |i: usize| 1000.0 * (sigma * (-(10_000.0_f32.ln()) * i as f32 / half as f32).exp());
        let waves = (0..half).map(|i| angle(i).cos()).chain((0..half).map(|i| angle(i).sin()));
        let waves = Tensor::from_iter(waves, device)?.unsqueeze(0)?.to_dtype(self.dtype)?; // (1, 256)
        let embedded = self.linear_2.forward(&silu(&self.linear_1.forward(&waves)?)?)?;
        Ok((embedded + self.addition_t_embedding.narrow(0, 0, 1)?)?)
    }
}
