//! Changes that leave the stored result as it is: edits of layers, compositions of them, and splits.

pub mod compose;
pub mod document;
pub mod split;
