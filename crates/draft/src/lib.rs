#![doc = include_str!("../README.md")]
#![allow(clippy::needless_range_loop, reason = "index loops read like the formulas that they come from")]
#![cfg_attr(not(feature = "networks"), allow(dead_code, reason = "some tools serve the text stages only"))]

pub mod allocator;
mod background;
mod check;
mod colour;
mod decompose;
mod drawn;
mod exact;
mod fading;
mod fill;
mod filter;
mod kmeans;
mod layer;
mod layer_count;
mod matte;
mod maxflow;
mod monitor;
mod morphology;
mod naming;
#[cfg(feature = "networks")]
mod networks;
mod note;
mod numeric;
mod perceive;
mod pipeline;
mod plane;
mod random;
mod refine;
mod segments;
mod subject;
mod text;

pub use check::worst_difference;
pub use decompose::{Error, MOST_LAYERS, Options, Output, SceneText, decompose, memory_bytes};
pub use monitor::{Progress, Stage};
pub use note::Note;
