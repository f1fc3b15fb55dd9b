//! Kernels of our own on CUDA, for what candle does in several passes over memory.
//!
//! They are used on a device after they gave there what candle's own operations give (`check`).

#[cfg(feature = "cuda")]
mod check;
#[cfg(feature = "cuda")]
mod ops;
#[cfg(feature = "cuda")]
mod product;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
pub use check::{remark, takes};
#[cfg(feature = "cuda")]
pub use ops::{add_gated, rms_norm_rotate};
#[cfg(feature = "cuda")]
pub use product::{product, takes_product};

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
}
