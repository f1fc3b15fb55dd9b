#![doc = include_str!("../README.md")]

mod layer;

pub use layer::{Box, Kind, Layer, LayerStack, StackError};
