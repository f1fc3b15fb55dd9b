//! The building blocks of the models, each written once; which kernel runs is decided in here.

mod additions;
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
mod packed;
mod panels;
mod tile;
#[cfg(feature = "cuda")]
mod trial;
mod word;

pub use additions::{Addition, Additions, Place};
pub use attention::{AttentionOptions, attention};
pub use conv::{CONV_COLUMNS_BYTES, Conv2d, Walk};
#[cfg(any(test, feature = "testing"))]
pub use cpu::as_device;
pub use device_attention::DEVICE_SCORES;
#[cfg(all(feature = "flash-attn", feature = "testing"))]
pub use device_attention::flash_2;
pub use elementwise::{add_gated, channel_norm, gelu_tanh, modulate, rms_norm, rms_norm_rotate, silu};
pub use linear::{Linear, MatmulPrecision};
#[cfg(any(test, feature = "cuda", feature = "synthetic"))]
pub use packed::float8_e4m3;
pub use packed::{Packed, WIDENED_VALUES};

/// Which kernels of this crate are not used on `device`, though it could run them.
pub fn degradations(device: &candle_core::Device) -> Vec<crate::Degradation> {
    #[cfg(feature = "cuda")]
    return trial::degradations(device);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        Vec::new()
    }
}
