use candle_core::Tensor;

use super::VaeConfig;
use super::blocks::{ChannelNorm, MidBlock, ResidualBlock};
use crate::nn::{Conv2d, Walk};
use crate::weights::Weights;
use crate::{Monitor, Result};

#[derive(Debug, Clone)]
struct UpBlock {
    resnets: Vec<ResidualBlock>,
    /// Doubles the sides and halves the channels.
    upsampler: Option<Conv2d>,
}

#[derive(Debug, Clone)]
pub struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    norm_out: ChannelNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub fn load(config: &VaeConfig, weights: &Weights) -> Result<Self> {
        let levels = config.dim_mult.len();
        let top = config.base_dim * config.dim_mult[levels - 1];
        let mut up_blocks = Vec::new();
        let mut dim = top;
        for (level, multiplier) in config.dim_mult.iter().rev().enumerate() {
            let out_dim = config.base_dim * multiplier;
            let place = weights.pp("up_blocks").pp(level);
            let mut resnets = Vec::new();
            for i in 0..=config.num_res_blocks {
                resnets.push(ResidualBlock::load(dim, out_dim, &place.pp("resnets").pp(i))?);
                dim = out_dim;
            }
            let mut upsampler = None;
            if level + 1 < levels {
                let place = place.pp("upsamplers.0");
                place.pp("time_conv").skip();
                upsampler = Some(place.pp("resample.1").conv2d(dim, dim / 2, 3)?);
                dim /= 2;
            }
            up_blocks.push(UpBlock { resnets, upsampler });
        }
        Ok(Self {
            conv_in: weights.pp("conv_in").causal_conv2d(config.z_dim, top, 3)?,
            mid_block: MidBlock::load(top, &weights.pp("mid_block"))?,
            up_blocks,
            norm_out: ChannelNorm::load(dim, 3, &weights.pp("norm_out"))?,
            conv_out: weights.pp("conv_out").causal_conv2d(dim, config.input_channels, 3)?,
        })
    }

    /// `z` (b, h, w, z) -> (b, h s, w s, 4)
    pub fn forward(&self, z: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let mut x = self.mid_block.forward(&self.conv_in.forward(z, Walk::Same, monitor)?, monitor)?;
        for (i, block) in self.up_blocks.iter().enumerate() {
            monitor.within((i + 1) as f32 / (self.up_blocks.len() + 1) as f32)?;
            for resnet in &block.resnets {
                x = resnet.forward(&x, monitor)?;
            }
            if let Some(conv) = &block.upsampler {
                x = conv.forward(&x, Walk::Doubled, monitor)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?, Walk::Same, monitor)
    }
}
