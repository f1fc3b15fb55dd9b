//! Inpainting of the background behind a layer.

pub mod inpaint;
pub mod membrane;
pub mod palette;
pub mod patches;
pub mod quadratic;
