//! The building blocks, each written once; the choice of kernel hides behind them.

mod linear;

pub use linear::Linear;
