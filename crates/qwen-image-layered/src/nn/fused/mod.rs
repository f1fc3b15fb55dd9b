//! Kernels of our own on CUDA, for what candle does in several passes over memory.
//!
//! They are used on a device after they gave there what candle's own operations give (`nn::trial`).

#[cfg(feature = "cuda")]
mod library;
#[cfg(feature = "cuda")]
mod ops;
#[cfg(feature = "cuda")]
mod product;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
pub use ops::{add_gated, rms_norm_rotate};
#[cfg(feature = "cuda")]
pub use product::{product, product_float8, takes_float8, takes_product};

/// Whether norms and sums can be asked for a tensor like this one.
#[cfg(feature = "cuda")]
pub fn takes(x: &candle_core::Tensor) -> bool {
    use crate::nn::trial::{Kernels, passed};
    use candle_core::DType;

    matches!(x.dtype(), DType::F32 | DType::BF16) && passed(x.device(), Kernels::Fused)
}

/// Blocks of a launch along x and y, and threads of a block along x and y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Launch {
    grid: [u32; 2],
    block: [u32; 2],
}

impl Launch {
    /// A warp for each of `rows` rows.
    fn of_warps(rows: u32) -> Self {
        const ROWS: u32 = 8;
        Self { grid: [rows.div_ceil(ROWS), 1], block: [32, ROWS] }
    }

    /// Threads for `width` values in each of `rows` rows; a row is y of the grid, which ends at 65,535.
    fn of_rows(rows: u32, width: u32) -> Self {
        const THREADS: u32 = 256;
        Self { grid: [width.div_ceil(THREADS), rows.min(65_535)], block: [THREADS, 1] }
    }

    /// Threads that go over `pairs` pairs of values, several each where there are many.
    fn of_pairs(pairs: u64) -> Self {
        const THREADS: u32 = 256;
        let blocks = pairs.div_ceil(u64::from(THREADS)).clamp(1, 2048);
        Self { grid: [blocks as u32, 1], block: [THREADS, 1] }
    }
}
