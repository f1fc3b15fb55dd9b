use candle_core::{D, Tensor};

use crate::nn::{AttentionOptions, Conv2d, Walk, attention, channel_norm};
use crate::weights::Weights;
use crate::{Monitor, Result};

/// `x / max(||x||, 1e-12) * sqrt(c) * gamma` over the channels.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    gamma: Tensor,
}

impl ChannelNorm {
    /// `gamma` is stored with trailing axes of 1, as many as `axes`: 3 before 3D convolutions, 2 before 2D ones.
    pub fn load(channels: usize, axes: usize, weights: &Weights) -> Result<Self> {
        let shape = [&[channels], vec![1; axes].as_slice()].concat();
        Ok(Self { gamma: weights.get(shape, "gamma")?.flatten_all()? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        channel_norm(x, &self.gamma, false)
    }

    pub fn forward_silu(&self, x: &Tensor) -> Result<Tensor> {
        channel_norm(x, &self.gamma, true)
    }
}

/// Norm, SiLU and convolution, twice, beside a shortcut.
#[derive(Debug, Clone)]
pub struct ResidualBlock {
    norm1: ChannelNorm,
    conv1: Conv2d,
    norm2: ChannelNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResidualBlock {
    pub fn load(in_dim: usize, out_dim: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            norm1: ChannelNorm::load(in_dim, 3, &weights.pp("norm1"))?,
            conv1: weights.pp("conv1").causal_conv2d(in_dim, out_dim, 3)?,
            norm2: ChannelNorm::load(out_dim, 3, &weights.pp("norm2"))?,
            conv2: weights.pp("conv2").causal_conv2d(out_dim, out_dim, 3)?,
            conv_shortcut: match in_dim == out_dim {
                true => None,
                false => Some(weights.pp("conv_shortcut").causal_conv2d(in_dim, out_dim, 1)?),
            },
        })
    }

    /// `x` (b, h, w, in) -> (b, h, w, out)
    pub fn forward(&self, x: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let h = self.conv1.forward(&self.norm1.forward_silu(x)?, Walk::Same, monitor)?;
        let h = self.norm2.forward_silu(&h)?;
        match &self.conv_shortcut {
            Some(conv) => self.conv2.forward_add(&h, Walk::Same, &conv.forward(x, Walk::Same, monitor)?, monitor),
            None => self.conv2.forward_add(&h, Walk::Same, x, monitor),
        }
    }
}

/// Self-attention of all pixels, one head.
#[derive(Debug, Clone)]
pub struct AttentionBlock {
    norm: ChannelNorm,
    to_qkv: Conv2d,
    proj: Conv2d,
}

impl AttentionBlock {
    pub fn load(dim: usize, weights: &Weights) -> Result<Self> {
        Ok(Self {
            norm: ChannelNorm::load(dim, 2, &weights.pp("norm"))?,
            to_qkv: weights.pp("to_qkv").conv2d(dim, 3 * dim, 1)?,
            proj: weights.pp("proj").conv2d(dim, dim, 1)?,
        })
    }

    /// `x` (b, h, w, c) -> the same
    pub fn forward(&self, x: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let (batch, height, width, dim) = x.dims4()?;
        let qkv = self.to_qkv.forward(&self.norm.forward(x)?, Walk::Same, monitor)?;
        let qkv = qkv.reshape((batch, 1, height * width, 3 * dim))?;
        let part = |i: usize| qkv.narrow(D::Minus1, i * dim, dim);
        let options = AttentionOptions { scale: 1.0 / (dim as f32).sqrt(), causal: false };
        let y = attention(&part(0)?, &part(1)?, &part(2)?, options, monitor)?; // (b, 1, h*w, c)
        self.proj.forward_add(&y.reshape((batch, height, width, dim))?, Walk::Same, x, monitor)
    }
}

/// Residual block, attention, residual block.
#[derive(Debug, Clone)]
pub struct MidBlock {
    resnets: [ResidualBlock; 2],
    attention: AttentionBlock,
}

impl MidBlock {
    pub fn load(dim: usize, weights: &Weights) -> Result<Self> {
        let resnet = |i: usize| ResidualBlock::load(dim, dim, &weights.pp("resnets").pp(i));
        Ok(Self {
            resnets: [resnet(0)?, resnet(1)?],
            attention: AttentionBlock::load(dim, &weights.pp("attentions.0"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let x = self.resnets[0].forward(x, monitor)?;
        let x = self.attention.forward(&x, monitor)?;
        self.resnets[1].forward(&x, monitor)
    }
}
