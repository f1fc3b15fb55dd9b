//! The service itself: what it can do, whether it works, and its metrics.

pub(crate) mod capabilities;
pub(crate) mod fonts;
pub(crate) mod health;
pub(crate) mod metrics;
