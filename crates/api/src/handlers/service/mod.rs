//! The service itself: what it can do, whether it works, and its metrics.

pub mod capabilities;
pub mod health;
pub mod metrics;
