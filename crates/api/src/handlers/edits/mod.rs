//! Changes that leave the stored result as it is: its document, compositions of it, and splits.

pub(crate) mod compose;
pub(crate) mod document;
pub(crate) mod keep;
pub(crate) mod layer_patch;
pub(crate) mod pick;
mod pick_request;
pub(crate) mod pictures;
pub(crate) mod split;
pub(crate) mod strokes;
mod text_patch;
pub(crate) mod versions;
