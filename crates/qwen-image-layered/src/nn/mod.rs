//! The building blocks, each written once; the choice of kernel hides behind them.

mod attention;
#[cfg(feature = "testing")]
pub mod composed;
#[cfg(not(feature = "testing"))]
mod composed;
mod conv;
mod cpu;
mod device_attention;
mod elementwise;
#[cfg(any(test, feature = "cuda"))]
mod fused;
mod linear;
mod panels;
mod tile;
#[cfg(feature = "cuda")]
mod trial;
mod word;

pub use attention::{AttentionOptions, attention};
pub use conv::{CONV_COLUMNS_BYTES, Conv2d, Walk};
#[cfg(any(test, feature = "testing"))]
pub use cpu::as_device;
pub use device_attention::DEVICE_SCORES;
#[cfg(all(feature = "flash-attn", feature = "testing"))]
pub use device_attention::flash_2;
pub use elementwise::{add_gated, channel_norm, gelu_tanh, modulate, rms_norm, rms_norm_rotate, silu};
pub use linear::{Linear, Products};

/// Why kernels of our own are not used on `device`, where they could be.
pub fn remark(device: &candle_core::Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    return trial::remark(device);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        None
    }
}
