//! The building blocks, each written once; the choice of kernel hides behind them.

mod attention;
mod conv;
mod cpu;
mod elementwise;
mod linear;
mod panels;
mod tile;
mod word;

pub use attention::{AttentionOptions, attention};
pub use conv::{Conv2d, Walk};
pub use elementwise::{add_gated, channel_norm, gelu_tanh, modulate, rms_norm, rms_norm_rotate, silu};
pub use linear::Linear;
