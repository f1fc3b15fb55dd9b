//! Text: where it is, what it says, which pixels are letters.

#[cfg(feature = "networks")]
pub mod detect;
#[cfg(feature = "networks")]
pub mod glyphs;
#[cfg(feature = "networks")]
mod outline;
pub mod plain;
#[cfg(feature = "networks")]
mod tidy;
#[cfg(feature = "networks")]
mod writing;
