//! Text: where it is, what it says, which pixels are letters.

pub mod detect;
pub mod glyphs;
pub mod outline;
