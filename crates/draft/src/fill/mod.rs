//! Completion of what lies behind a layer.

pub mod complete;
pub mod membrane;
pub mod palette;
pub mod patches;
pub mod quadratic;
