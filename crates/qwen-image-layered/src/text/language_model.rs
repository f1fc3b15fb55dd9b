//! The text model of Qwen2.5-VL: a causal transformer with grouped queries and
//! rotary positions on three axes.
//!
//! Reference: `Qwen2_5_VLTextModel` in transformers 5.23,
//! `models/qwen2_5_vl/modeling_qwen2_5_vl.py`.

use candle_core::{DType, Device, Tensor};

use super::config::TextConfig;
use super::layers::{RmsNorm, SwiGlu, rotate_half};
use crate::nn::{AttentionOptions, Linear, attention};
use crate::weights::{Rows, Weights};
use crate::{Error, Monitor, Result};

/// Where a token stands in time, row and column; equal for text.
pub type Position = [u32; 3];

pub struct LanguageModel {
    config: TextConfig,
    embed_tokens: Rows,
    layers: Vec<Layer>,
    norm: RmsNorm,
    dtype: DType,
    device: Device,
}

struct Layer {
    input_layernorm: RmsNorm,
    post_attention_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    mlp: SwiGlu,
    heads: usize,
    kv_heads: usize,
}

/// Keys and values of the tokens so far, (1, kv_heads, n, head_dim) per layer.
#[derive(Default)]
pub struct Cache {
    layers: Vec<(Tensor, Tensor)>,
}

impl LanguageModel {
    /// `weights` is the place `model`.
    pub fn load(config: &TextConfig, weights: &Weights) -> Result<Self> {
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(config, &weights.pp("layers").pp(index)));
        Ok(Self {
            config: config.clone(),
            embed_tokens: weights.pp("embed_tokens").rows((config.vocab_size, config.hidden_size), "weight")?,
            layers: layers.collect::<Result<_>>()?,
            norm: RmsNorm::load(config.hidden_size, config.rms_norm_eps, &weights.pp("norm"))?,
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// Values that a token has.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Embeddings (n, hidden) of `ids`.
    ///
    /// # Errors
    /// When an id lies outside of the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        match ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            None => self.embed_tokens.gather(ids),
            Some(id) => Err(Error::Input(format!(
                "token {id} is outside of the model's vocabulary of {}; tokenizer and text encoder do not belong together",
                self.config.vocab_size
            ))),
        }
    }

    /// Hidden states (n, hidden) after the final norm, for `x` (n, hidden) at
    /// `positions`. With a `cache`, the tokens continue what is in it.
    ///
    /// # Errors
    /// On a device failure, or on stop.
    pub fn forward(
        &self,
        x: &Tensor,
        positions: &[Position],
        mut cache: Option<&mut Cache>,
        monitor: &Monitor,
    ) -> Result<Tensor> {
        let (cos, sin) = self.rotary(positions)?;
        let mut x = x.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            monitor.check()?;
            let slot = cache.as_deref_mut().map(|cache| (cache, index));
            x = layer.forward(&x, (&cos, &sin), slot, monitor)?;
        }
        self.norm.forward(&x)
    }

    /// Cosines and sines (n, head_dim) in the model's type.
    fn rotary(&self, positions: &[Position]) -> Result<(Tensor, Tensor)> {
        let dim = self.config.head_dim();
        let theta = self.config.rope_theta as f32;
        let frequencies: Vec<f32> = (0..dim).step_by(2).map(|i| 1.0 / theta.powf(i as f32 / dim as f32)).collect();
        let [time, row, column] = self.config.mrope_section;
        let axes = [vec![0; time], vec![1; row], vec![2; column]].concat();
        let mut angles = Vec::with_capacity(positions.len() * dim);
        for position in positions {
            for _ in 0..2 {
                angles.extend(axes.iter().zip(&frequencies).map(|(&axis, f)| position[axis] as f32 * f));
            }
        }
        let angles = Tensor::from_vec(angles, (positions.len(), dim), &Device::Cpu)?;
        let finish = |values: Tensor| -> Result<Tensor> { Ok(values.to_dtype(self.dtype)?.to_device(&self.device)?) };
        Ok((finish(angles.cos()?)?, finish(angles.sin()?)?))
    }
}

impl Layer {
    fn load(config: &TextConfig, weights: &Weights) -> Result<Self> {
        let hidden = config.hidden_size;
        let kv = config.num_key_value_heads * config.head_dim();
        let attn = weights.pp("self_attn");
        let norm = |name: &str| RmsNorm::load(hidden, config.rms_norm_eps, &weights.pp(name));
        Ok(Self {
            input_layernorm: norm("input_layernorm")?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            q_proj: attn.pp("q_proj").linear(hidden, hidden, true)?,
            k_proj: attn.pp("k_proj").linear(hidden, kv, true)?,
            v_proj: attn.pp("v_proj").linear(hidden, kv, true)?,
            o_proj: attn.pp("o_proj").linear(hidden, hidden, false)?,
            mlp: SwiGlu::load(hidden, config.intermediate_size, false, &weights.pp("mlp"))?,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        rotary: (&Tensor, &Tensor),
        cache: Option<(&mut Cache, usize)>,
        monitor: &Monitor,
    ) -> Result<Tensor> {
        let x = (x + self.attend(&self.input_layernorm.forward(x)?, rotary, cache, monitor)?)?;
        Ok((&x + self.mlp.forward(&self.post_attention_layernorm.forward(&x)?)?)?)
    }

    fn attend(
        &self,
        x: &Tensor,
        (cos, sin): (&Tensor, &Tensor),
        cache: Option<(&mut Cache, usize)>,
        monitor: &Monitor,
    ) -> Result<Tensor> {
        let (count, hidden) = x.dims2()?;
        let head_dim = hidden / self.heads;
        // (1, heads, n, head_dim)
        let split = |x: Tensor, heads: usize| -> Result<Tensor> {
            Ok(x.reshape((1, count, heads, head_dim))?.transpose(1, 2)?.contiguous()?)
        };
        let rotate =
            |x: Tensor| -> Result<Tensor> { Ok((x.broadcast_mul(cos)? + rotate_half(&x)?.broadcast_mul(sin)?)?) };
        let q = rotate(split(self.q_proj.forward(x)?, self.heads)?)?;
        let mut k = rotate(split(self.k_proj.forward(x)?, self.kv_heads)?)?;
        let mut v = split(self.v_proj.forward(x)?, self.kv_heads)?;
        if let Some((cache, layer)) = cache {
            (k, v) = cache.extend(layer, k, v)?;
        }
        let options = AttentionOptions { scale: (head_dim as f32).sqrt().recip(), causal: true };
        let y = attention(&q, &k, &v, options, monitor)?;
        self.o_proj.forward(&y.transpose(1, 2)?.reshape((count, hidden))?)
    }
}

impl Cache {
    /// Appends to what `layer` has and gives all of it.
    fn extend(&mut self, layer: usize, k: Tensor, v: Tensor) -> Result<(Tensor, Tensor)> {
        let all = match self.layers.get(layer) {
            Some((old_k, old_v)) => (Tensor::cat(&[old_k, &k], 2)?, Tensor::cat(&[old_v, &v], 2)?),
            None => (k, v),
        };
        match self.layers.get_mut(layer) {
            Some(slot) => *slot = all.clone(),
            None => self.layers.push(all.clone()),
        }
        Ok(all)
    }
}
