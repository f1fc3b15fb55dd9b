//! The multimodal diffusion transformer (`QwenImageTransformer2DModel` with layer-3D rotations).

mod block;
mod blocks;
mod cache;
mod config;
mod rotation;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

pub use cache::StepCache;
pub use config::TransformerConfig;

use crate::lora::{Attached, LoraUse};
use crate::nn::{Additions, Linear, modulate, rms_norm, silu};
use crate::placement::{BlockPlace, Passes};
use crate::weights::Weights;
use crate::{Degradation, Error, MatmulPrecision, Monitor, Result};
use block::{EPS, Streams, one_after_the_other};
use blocks::Blocks;
use rotation::Rotation;

/// The order of the image tokens: `frames` noisy frames, then the condition image, each of `rows` x `columns` patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameGrid {
    /// Noisy frames: the layers and the rendering of the whole.
    pub frames: usize,
    /// Patches of 16 pixels along the height.
    pub rows: usize,
    /// Patches of 16 pixels along the width.
    pub columns: usize,
}

/// Where the transformer's blocks are and how they multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockOptions {
    /// Where they are.
    pub place: BlockPlace,
    /// The number format of their products.
    pub matmul_precision: MatmulPrecision,
}

/// The inputs of a forward pass other than the latents and the text.
pub struct Step<'a, 'm> {
    /// Noise level, 1 to 0.
    pub sigma: f32,
    /// The order of the image tokens.
    pub grid: FrameGrid,
    /// Gets the progress and may stop the pass.
    pub monitor: &'a Monitor<'m>,
}

/// Values of the waves that stand for the noise level.
pub(crate) const TIME_CHANNELS: usize = 256;

/// Rotations that are cached: of a prompt and a negative prompt, if each is a pass of its own.
const ROTATIONS: usize = 2;

/// Predicts the velocity from noise to picture.
pub struct Transformer {
    img_in: Linear,
    txt_norm: Tensor,
    txt_in: Linear,
    linear_1: Linear,
    linear_2: Linear,
    /// (2, dim); row 0 is for RGBA pictures, row 1 is not used by the pipeline.
    addition_t_embedding: Tensor,
    transformer_blocks: Blocks,
    norm_out: Linear,
    proj_out: Linear,
    config: TransformerConfig,
    dtype: DType,
    device: Device,
    /// Where all layers look for what is added to them.
    additions: Arc<Additions>,
    loras: Attached,
    /// The newest last. All steps of a run need the same ones.
    rotations: Mutex<Vec<(FrameGrid, Arc<Rotation>)>>,
}

/// Passes that go through the blocks as one.
struct Group {
    /// `None` only while a block works on them.
    tokens: Option<Streams>,
    rotation: Arc<Rotation>,
}

/// The pictures' tokens of each group.
fn pictures(groups: &[Group]) -> Vec<Tensor> {
    groups.iter().filter_map(|group| Some(group.tokens.as_ref()?.image.clone())).collect()
}

/// Qwen-Image and Qwen-Image-Edit have all tensors of the layered model but one.
fn check_layered(weights: &Weights) -> Result<()> {
    const COMMON: &str = "transformer_blocks.0.img_mod.1.weight";
    const OWN: &str = "time_text_embed.addition_t_embedding.weight";
    if weights.contains(OWN) || !weights.contains(COMMON) {
        return Ok(());
    }
    let reason = format!(
        "this is the transformer of plain Qwen-Image, another model (it has no `{OWN}`); take that of Qwen-Image-Layered"
    );
    Err(Error::Checkpoint { path: weights.path(COMMON), reason })
}

impl Transformer {
    /// Loads the model with [`BlockOptions::default`]. `config` must have passed [`TransformerConfig::check`].
    ///
    /// # Errors
    /// When a tensor is missing, superfluous, or does not fit the config.
    pub fn load(config: &TransformerConfig, weights: &Weights) -> Result<Self> {
        let mut report = |_| ControlFlow::Continue(());
        Self::load_with(config, weights, BlockOptions::default(), &Monitor::new(&mut report))
    }

    /// As [`Transformer::load`], with `options`; the monitor gets the progress.
    ///
    /// # Errors
    /// As [`Transformer::load`], and when the monitor says stop.
    pub fn load_with(
        config: &TransformerConfig,
        weights: &Weights,
        options: BlockOptions,
        monitor: &Monitor,
    ) -> Result<Self> {
        check_layered(weights)?;
        let dim = config.inner_dim();
        let additions = Arc::new(Additions::default());
        let weights = &weights.with_additions(&additions);
        let time = weights.pp("time_text_embed");
        let embedder = time.pp("timestep_embedder");
        let blocks = weights.pp("transformer_blocks").with_matmul_precision(options.matmul_precision);
        let model = Self {
            img_in: weights.pp("img_in").linear(config.in_channels, dim, true)?,
            txt_norm: weights.pp("txt_norm").get(config.joint_attention_dim, "weight")?,
            txt_in: weights.pp("txt_in").linear(config.joint_attention_dim, dim, true)?,
            linear_1: embedder.pp("linear_1").linear(TIME_CHANNELS, dim, true)?,
            linear_2: embedder.pp("linear_2").linear(dim, dim, true)?,
            addition_t_embedding: time.pp("addition_t_embedding").get((2, dim), "weight")?,
            transformer_blocks: Blocks::load(config, &blocks, options.place, monitor)?,
            norm_out: weights.pp("norm_out.linear").linear(dim, 2 * dim, true)?,
            proj_out: weights.pp("proj_out").linear(dim, config.in_channels, true)?,
            config: config.clone(),
            dtype: weights.dtype(),
            device: weights.device().clone(),
            additions,
            loras: Attached::default(),
            rotations: Mutex::default(),
        };
        weights.finish()?;
        Ok(model)
    }

    /// What runs slower than it could with the blocks where they are.
    pub fn degradation(&self) -> Option<&Degradation> {
        self.transformer_blocks.degradation()
    }

    /// Makes `loras` those that are added from now on, in place of the ones before. Those that stay are not read again.
    ///
    /// # Errors
    /// When one does not fit the model or cannot be read; the model then has none.
    pub fn set_loras(&mut self, loras: &[LoraUse]) -> Result<()> {
        self.loras.replace(loras, &self.additions, &self.config, (self.dtype, &self.device))
    }

    /// The config that it was loaded with.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// `latents` (1, (frames + 1) * rows * columns, in), the condition image last, and
    /// `text` (1, words, text dim) -> the prediction for all tokens, (1, n, in).
    ///
    /// # Errors
    /// When shapes do not fit, the device fails, or the monitor says stop.
    pub fn forward(&self, latents: &Tensor, text: &Tensor, step: &Step) -> Result<Tensor> {
        Ok(self.forward_each(latents, &[text], Passes::Sequential, None, step)?.remove(0))
    }

    /// The predictions for the same latents with several texts, as [`Transformer::forward`] of each.
    ///
    /// All passes go through a block before the next one is used, so that a streamed block is copied once. Within a block
    /// they run as `passes` says, which only changes how sums are rounded. A `cache` may let most blocks be skipped.
    ///
    /// # Errors
    /// As [`Transformer::forward`].
    pub fn forward_each(
        &self,
        latents: &Tensor,
        texts: &[&Tensor],
        passes: Passes,
        mut cache: Option<&mut StepCache>,
        step: &Step,
    ) -> Result<Vec<Tensor>> {
        let conditioning = silu(&self.embed_time(step.sigma, latents.device())?)?;
        let image = self.img_in.forward(latents)?;
        let at_once = match passes {
            Passes::Sequential => 1,
            Passes::Batched => texts.len().max(1),
        };
        let mut groups = Vec::new();
        for texts in texts.chunks(at_once) {
            let words = texts.iter().map(|text| text.dim(1)).collect::<candle_core::Result<Vec<_>>>()?;
            let rotation = self.rotation(step.grid, &words, latents.device())?;
            let text = one_after_the_other(texts.iter().map(|&text| text.clone()).collect())?;
            let text = self.txt_in.forward(&rms_norm(&text, &self.txt_norm, EPS)?)?;
            let image = one_after_the_other(vec![image.clone(); words.len()])?;
            groups.push(Group { tokens: Some(Streams { image, text }), rotation });
        }
        drop(image);
        // Of the first block, where a cache is to judge it: what it added to the pictures, and what came of that.
        let (mut added, mut after_first) = (Vec::new(), Vec::new());
        let count = (self.config.num_layers * groups.len()) as f32;
        self.transformer_blocks.each(|index, block| {
            let total = groups.len();
            let modulations = block.modulations(&conditioning)?;
            let judged = cache.as_deref_mut().filter(|_| index == 0);
            let before = if judged.is_some() { pictures(&groups) } else { Vec::new() };
            for (position, group) in groups.iter_mut().enumerate() {
                step.monitor.within((index * total + position) as f32 / count)?;
                // Taken, so that what a block no longer needs is freed while it computes.
                if let Some(x) = group.tokens.take() {
                    group.tokens = Some(block.forward(x, &modulations, &group.rotation, step.monitor)?);
                }
            }
            let Some(cache) = judged else { return Ok(ControlFlow::Continue(())) };
            after_first = pictures(&groups);
            added = after_first.iter().zip(before).map(|(after, before)| after - before).collect::<Result<_, _>>()?;
            if !cache.suffices(&added)? {
                cache.forget();
                return Ok(ControlFlow::Continue(()));
            }
            let ends = cache.finish(std::mem::take(&mut after_first), texts.len())?;
            for (group, end) in groups.iter_mut().zip(ends) {
                group.tokens.iter_mut().for_each(|tokens| tokens.image = end.clone());
            }
            Ok(ControlFlow::Break(()))
        })?;
        if let Some(cache) = cache.filter(|_| !after_first.is_empty()) {
            cache.keep(added, after_first, &pictures(&groups))?;
        }
        let scale_shift = self.norm_out.forward(&conditioning)?.chunk(2, 1)?;
        let mut predictions = Vec::new();
        for Group { tokens, rotation } in groups {
            let Some(Streams { image, .. }) = tokens else { continue };
            let of_group = self.proj_out.forward(&modulate(&image, &scale_shift[1], &scale_shift[0], EPS)?)?;
            predictions.extend(of_group.chunk(rotation.words.len(), 1)?);
        }
        Ok(predictions)
    }

    /// For passes with so many `words` each.
    fn rotation(&self, grid: FrameGrid, words: &[usize], device: &Device) -> Result<Arc<Rotation>> {
        let mut kept = self.rotations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rotation)) = kept.iter().find(|(of, rotation)| *of == grid && rotation.words == words) {
            return Ok(rotation.clone());
        }
        let rotation = Arc::new(Rotation::new(self.config.axes_dims_rope, grid, words, device)?);
        if kept.len() == ROTATIONS {
            kept.remove(0);
        }
        kept.push((grid, rotation.clone()));
        Ok(rotation)
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
