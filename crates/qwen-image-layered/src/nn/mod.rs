//! The building blocks, each written once; the choice of kernel hides behind them.

mod attention;
mod conv;
mod cpu;
mod device_attention;
mod elementwise;
mod linear;
mod panels;
mod tile;
mod word;

pub use attention::{AttentionOptions, attention};
pub use conv::{CONV_COLUMNS_BYTES, Conv2d, Walk};
#[cfg(any(test, feature = "testing"))]
pub use cpu::as_device;
pub use device_attention::DEVICE_SCORES;
pub use elementwise::{add_gated, channel_norm, gelu_tanh, modulate, rms_norm, rms_norm_rotate, silu};
pub use linear::Linear;
