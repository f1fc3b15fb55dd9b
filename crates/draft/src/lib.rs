#![doc = include_str!("../README.md")]
#![allow(clippy::needless_range_loop, reason = "index loops read like the formulas that they come from")]
#![cfg_attr(not(feature = "networks"), allow(dead_code, reason = "some tools serve the text stages only"))]

pub mod allocator;
mod background;
mod check;
mod colour;
mod cut;
mod decompose;
mod drawn;
mod exact;
mod fading;
mod fill;
mod filter;
mod kmeans;
mod large;
mod layer;
mod lift;
mod matte;
mod maxflow;
mod monitor;
mod morphology;
mod naming;
#[cfg(feature = "networks")]
mod networks;
mod note;
mod numeric;
#[cfg(feature = "networks")]
mod objects;
mod perceive;
mod pipeline;
mod plane;
mod random;
mod rating;
mod read_layer;
mod refine;
mod regions;
#[cfg(feature = "networks")]
mod segmenter;
mod segments;
mod split;
mod structure;
mod subject;
mod text;

pub use check::worst_difference;
pub use decompose::{Error, MOST_LAYERS, Options, Output, SceneText, decompose, memory_bytes};
pub use lift::{Edge, LiftError, Lifted, lift};
pub use monitor::{Progress, Stage};
pub use note::Note;
pub use rating::{Background, BackgroundReason, Measured, Quality};
pub use read_layer::read_layer;
#[cfg(feature = "networks")]
pub use segmenter::{Embedding, Prompt, Segment, SegmentError, Segmenter};
