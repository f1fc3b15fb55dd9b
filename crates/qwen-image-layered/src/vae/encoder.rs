use candle_core::Tensor;

use super::VaeConfig;
use super::blocks::{ChannelNorm, MidBlock, ResidualBlock};
use crate::nn::{Conv2d, Walk};
use crate::weights::Weights;
use crate::{Monitor, Result};

#[derive(Debug, Clone)]
enum DownBlock {
    Residual(ResidualBlock),
    Halve(Conv2d),
}

#[derive(Debug, Clone)]
pub struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    norm_out: ChannelNorm,
    conv_out: Conv2d,
}

impl Encoder {
    pub fn load(config: &VaeConfig, weights: &Weights) -> Result<Self> {
        let mut down_blocks = Vec::new();
        let mut dim = config.base_dim;
        for (level, multiplier) in config.dim_mult.iter().enumerate() {
            let out_dim = config.base_dim * multiplier;
            for _ in 0..config.num_res_blocks {
                let place = weights.pp("down_blocks").pp(down_blocks.len());
                down_blocks.push(DownBlock::Residual(ResidualBlock::load(dim, out_dim, &place)?));
                dim = out_dim;
            }
            if level + 1 < config.dim_mult.len() {
                let place = weights.pp("down_blocks").pp(down_blocks.len());
                place.pp("time_conv").skip();
                down_blocks.push(DownBlock::Halve(place.pp("resample.1").conv2d(dim, dim, 3)?));
            }
        }
        Ok(Self {
            conv_in: weights.pp("conv_in").causal_conv2d(config.input_channels, config.base_dim, 3)?,
            down_blocks,
            mid_block: MidBlock::load(dim, &weights.pp("mid_block"))?,
            norm_out: ChannelNorm::load(dim, 3, &weights.pp("norm_out"))?,
            conv_out: weights.pp("conv_out").causal_conv2d(dim, 2 * config.z_dim, 3)?,
        })
    }

    /// `x` (b, h, w, 4) -> (b, h/s, w/s, 2 z)
    pub fn forward(&self, x: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        let mut x = self.conv_in.forward(x, Walk::Same, monitor)?;
        for (i, block) in self.down_blocks.iter().enumerate() {
            monitor.within(i as f32 / (self.down_blocks.len() + 1) as f32)?;
            x = match block {
                DownBlock::Residual(block) => block.forward(&x, monitor)?,
                DownBlock::Halve(conv) => conv.forward(&x, Walk::Half, monitor)?,
            };
        }
        let x = self.mid_block.forward(&x, monitor)?;
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?, Walk::Same, monitor)
    }
}
