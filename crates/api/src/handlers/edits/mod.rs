//! Changes that leave the stored result as it is: edits of layers, compositions of them, and splits.

pub(crate) mod compose;
pub(crate) mod document;
pub(crate) mod split;
mod text_patch;
