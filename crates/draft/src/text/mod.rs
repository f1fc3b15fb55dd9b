//! Text: where it is, what it says, which pixels are letters.

#[cfg(feature = "networks")]
mod arc;
#[cfg(feature = "networks")]
pub(crate) mod bridge;
#[cfg(feature = "networks")]
mod complete;
#[cfg(feature = "networks")]
pub(crate) mod detect;
#[cfg(feature = "networks")]
mod edging;
#[cfg(feature = "networks")]
mod frame;
#[cfg(feature = "networks")]
pub(crate) mod glyphs;
#[cfg(feature = "networks")]
mod ink;
#[cfg(feature = "networks")]
pub(crate) mod more;
#[cfg(feature = "networks")]
pub(crate) mod numbers;
pub(crate) mod outline;
#[cfg(feature = "networks")]
mod paper;
#[cfg(feature = "networks")]
mod pieces;
pub(crate) mod plain;
#[cfg(feature = "networks")]
pub(crate) mod read;
#[cfg(feature = "networks")]
mod region;
#[cfg(feature = "networks")]
mod rows;
#[cfg(feature = "networks")]
pub(crate) mod scene;
#[cfg(feature = "networks")]
mod share;
#[cfg(feature = "networks")]
mod sharpness;
#[cfg(feature = "networks")]
mod soft;
#[cfg(feature = "networks")]
mod tidy;
#[cfg(feature = "networks")]
pub(crate) mod words;
#[cfg(feature = "networks")]
mod writing;
