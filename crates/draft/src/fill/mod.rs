//! Inpainting of the background behind a layer.

pub(crate) mod inpaint;
pub(crate) mod membrane;
pub(crate) mod palette;
pub(crate) mod patches;
pub(crate) mod quadratic;
pub(crate) mod rim;
pub(crate) mod seam;
pub(crate) mod typical;
