//! The vision tower of Qwen2.5-VL: patches in, one embedding per 2x2 patches out.
//!
//! Reference: `Qwen2_5_VisionTransformerPretrainedModel` in transformers 5.23,
//! `models/qwen2_5_vl/modeling_qwen2_5_vl.py` and `vision_utils.py`.

use candle_core::{DType, Device, Tensor};

use super::config::VisionConfig;
use super::layers::{RmsNorm, SwiGlu, rotate_half};
use super::picture::Patches;
use crate::nn::{AttentionOptions, Linear, attention};
use crate::weights::Weights;
use crate::{Error, Monitor, Result};

const NORM_EPS: f64 = 1e-6;

pub struct VisionTower {
    config: VisionConfig,
    patch_embed: Linear,
    blocks: Vec<Block>,
    merger: Merger,
    dtype: DType,
    device: Device,
}

struct Block {
    norm1: RmsNorm,
    norm2: RmsNorm,
    qkv: Linear,
    proj: Linear,
    mlp: SwiGlu,
    heads: usize,
    /// Attends over the whole picture instead of windows.
    full: bool,
}

struct Merger {
    ln_q: RmsNorm,
    first: Linear,
    second: Linear,
    width: usize,
}

/// In which order the merged patches are computed, and where windows end.
struct Windows {
    /// Merged patch at each place.
    order: Vec<u32>,
    /// Number of patches in each window.
    lengths: Vec<usize>,
}

impl VisionTower {
    /// `weights` is the place `visual`.
    pub fn load(config: &VisionConfig, weights: &Weights) -> Result<Self> {
        let (hidden, patch) = (config.hidden_size, config.patch_size);
        let kernel = (hidden, config.in_channels, config.temporal_patch_size, patch, patch);
        let kernel = weights.pp("patch_embed").pp("proj").get(kernel, "weight")?;
        let blocks = (0..config.depth).map(|index| {
            let full = config.fullatt_block_indexes.contains(&index);
            Block::load(config, full, &weights.pp("blocks").pp(index))
        });
        Ok(Self {
            config: config.clone(),
            // Stride equals kernel size: the convolution is a product per patch.
            patch_embed: Linear::dense(kernel.reshape((hidden, ()))?, None),
            blocks: blocks.collect::<Result<_>>()?,
            merger: Merger::load(config, &weights.pp("merger"))?,
            dtype: weights.dtype(),
            device: weights.device().clone(),
        })
    }

    /// Embeddings (rows * columns / merge², out_hidden) of `patches`.
    ///
    /// # Errors
    /// When the processor's patches are not the tower's, on a device failure, or on stop.
    pub fn forward(&self, patches: &Patches, monitor: &Monitor) -> Result<Tensor> {
        let (rows, columns) = (patches.rows, patches.columns);
        let merge = self.config.spatial_merge_size;
        let wanted = self.config.in_channels * self.config.temporal_patch_size * self.config.patch_size.pow(2);
        if patches.values.dim(1)? != wanted || !rows.is_multiple_of(merge) || !columns.is_multiple_of(merge) {
            return Err(Error::Input(format!(
                "the processor cuts patches of {} values, the vision tower takes {wanted}; their configs do not \
                 belong together",
                patches.values.dim(1)?
            )));
        }
        let windows = self.windows(rows, columns);
        let order = Tensor::new(windows.order.as_slice(), &self.device)?;
        let x = self.patch_embed.forward(&patches.values.to_device(&self.device)?.to_dtype(self.dtype)?)?;
        let mut x = self.reorder(&x, &order)?;
        let (cos, sin) = self.rotary(rows, columns)?;
        let (cos, sin) = (self.reorder(&cos, &order)?, self.reorder(&sin, &order)?);
        for block in &self.blocks {
            monitor.check()?;
            x = block.forward(&x, (&cos, &sin), &windows.lengths, monitor)?;
        }
        let merged = self.merger.forward(&x)?;
        let mut inverse = vec![0u32; windows.order.len()];
        for (place, &patch) in windows.order.iter().enumerate() {
            inverse[patch as usize] = place as u32;
        }
        Ok(merged.index_select(&Tensor::new(inverse, &self.device)?, 0)?)
    }

    /// Moves groups of merge² rows of `x` (n, width) into window order.
    fn reorder(&self, x: &Tensor, order: &Tensor) -> Result<Tensor> {
        let (count, width) = x.dims2()?;
        let unit = self.config.spatial_merge_size.pow(2);
        let groups = x.reshape((count / unit, unit * width))?;
        Ok(groups.index_select(order, 0)?.reshape((count, width))?)
    }

    fn windows(&self, rows: usize, columns: usize) -> Windows {
        let merge = self.config.spatial_merge_size;
        let side = self.config.window_size / merge / self.config.patch_size;
        let (rows, columns) = (rows / merge, columns / merge);
        let mut windows = Windows { order: Vec::new(), lengths: Vec::new() };
        for top in (0..rows).step_by(side) {
            for left in (0..columns).step_by(side) {
                let before = windows.order.len();
                for row in top..(top + side).min(rows) {
                    for column in left..(left + side).min(columns) {
                        windows.order.push((row * columns + column) as u32);
                    }
                }
                windows.lengths.push((windows.order.len() - before) * merge * merge);
            }
        }
        windows
    }

    /// Cosines and sines (patches, head_dim) in f32, in merge-block order.
    fn rotary(&self, rows: usize, columns: usize) -> Result<(Tensor, Tensor)> {
        let merge = self.config.spatial_merge_size;
        let half = self.config.hidden_size / self.config.num_heads / 2;
        let theta = self.config.rope_theta();
        let frequencies: Vec<f32> = (0..half).step_by(2).map(|i| 1.0 / theta.powf(i as f32 / half as f32)).collect();
        let mut angles = Vec::with_capacity(rows * columns * half * 2);
        for block in 0..(rows / merge) * (columns / merge) {
            let (top, left) = (block / (columns / merge) * merge, block % (columns / merge) * merge);
            for inside in 0..merge * merge {
                let (row, column) = ((top + inside / merge) as f32, (left + inside % merge) as f32);
                for _ in 0..2 {
                    angles.extend(frequencies.iter().map(|frequency| row * frequency));
                    angles.extend(frequencies.iter().map(|frequency| column * frequency));
                }
            }
        }
        let angles = Tensor::from_vec(angles, (rows * columns, half * 2), &Device::Cpu)?;
        Ok((angles.cos()?.to_device(&self.device)?, angles.sin()?.to_device(&self.device)?))
    }
}

impl Block {
    fn load(config: &VisionConfig, full: bool, weights: &Weights) -> Result<Self> {
        let hidden = config.hidden_size;
        let attn = weights.pp("attn");
        Ok(Self {
            norm1: RmsNorm::load(hidden, NORM_EPS, &weights.pp("norm1"))?,
            norm2: RmsNorm::load(hidden, NORM_EPS, &weights.pp("norm2"))?,
            qkv: attn.pp("qkv").linear(hidden, hidden * 3, true)?,
            proj: attn.pp("proj").linear(hidden, hidden, true)?,
            mlp: SwiGlu::load(hidden, config.intermediate_size, true, &weights.pp("mlp"))?,
            heads: config.num_heads,
            full,
        })
    }

    fn forward(&self, x: &Tensor, rotary: (&Tensor, &Tensor), windows: &[usize], monitor: &Monitor) -> Result<Tensor> {
        let x = (x + self.attend(&self.norm1.forward(x)?, rotary, windows, monitor)?)?;
        Ok((&x + self.mlp.forward(&self.norm2.forward(&x)?)?)?)
    }

    /// `x` (n, hidden) -> (n, hidden); `windows` are the lengths of the segments that see each other.
    fn attend(
        &self,
        x: &Tensor,
        (cos, sin): (&Tensor, &Tensor),
        windows: &[usize],
        monitor: &Monitor,
    ) -> Result<Tensor> {
        let (count, hidden) = x.dims2()?;
        let head_dim = hidden / self.heads;
        let qkv = self.qkv.forward(x)?.reshape((count, 3, self.heads, head_dim))?;
        // (heads, n, head_dim)
        let part = |index: usize| -> Result<Tensor> { Ok(qkv.narrow(1, index, 1)?.squeeze(1)?.transpose(0, 1)?) };
        // The reference rotates in f32 whatever the model computes in.
        let rotate = |x: Tensor| -> Result<Tensor> {
            let wide = x.to_dtype(DType::F32)?.contiguous()?;
            let turned = (wide.broadcast_mul(cos)? + rotate_half(&wide)?.broadcast_mul(sin)?)?;
            Ok(turned.to_dtype(x.dtype())?)
        };
        let (q, k, v) = (rotate(part(0)?)?, rotate(part(1)?)?, part(2)?);
        let options = AttentionOptions { scale: (head_dim as f32).sqrt().recip(), causal: false };
        let mut outputs = Vec::new();
        let whole = [count];
        for (start, windows, length) in runs(if self.full { &whole } else { windows }) {
            // (windows, heads, length, head_dim)
            let cut = |x: &Tensor| -> Result<Tensor> {
                let x = x.narrow(1, start, windows * length)?.reshape((self.heads, windows, length, head_dim))?;
                Ok(x.transpose(0, 1)?)
            };
            let y = attention(&cut(&q)?, &cut(&k)?, &cut(&v)?, options, monitor)?;
            outputs.push(y.transpose(1, 2)?.reshape((windows * length, hidden))?);
        }
        self.proj.forward(&Tensor::cat(&outputs, 0)?)
    }
}

/// Neighbouring windows of one length, which are computed together: (first patch, windows, length).
fn runs(lengths: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    let mut start = 0;
    for &length in lengths {
        match runs.last_mut() {
            Some(run) if run.2 == length => run.1 += 1,
            _ => runs.push((start, 1, length)),
        }
        start += length;
    }
    runs
}

impl Merger {
    fn load(config: &VisionConfig, weights: &Weights) -> Result<Self> {
        let width = config.hidden_size * config.spatial_merge_size.pow(2);
        Ok(Self {
            ln_q: RmsNorm::load(config.hidden_size, NORM_EPS, &weights.pp("ln_q"))?,
            first: weights.pp("mlp").pp(0).linear(width, width, true)?,
            second: weights.pp("mlp").pp(2).linear(width, config.out_hidden_size, true)?,
            width,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.ln_q.forward(x)?.reshape(((), self.width))?;
        self.second.forward(&self.first.forward(&x)?.gelu_erf()?)
    }
}
