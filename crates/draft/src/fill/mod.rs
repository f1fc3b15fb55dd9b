//! Inpainting of the background behind a layer.

pub(crate) mod inpaint;
pub(crate) mod membrane;
pub(crate) mod palette;
pub(crate) mod patches;
pub(crate) mod quadratic;
mod rays;
pub(crate) mod rim;
pub(crate) mod seam;
pub(crate) mod typical;
