//! Signing in, and sharing.

pub(crate) mod session;
pub(crate) mod share;
