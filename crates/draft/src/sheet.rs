//! Layers while they are being made.

use layers::Kind;

use crate::plane::{Plane, Rect, Rgb8};

/// A line of text within a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    pub text: String,
    pub rect: Rect,
    /// Height of the letters in pixels, to tell headlines from small print.
    pub size: f32,
}

/// A layer before its colours are solved.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The picture with this layer and all below it.
    pub above: Rgb8,
    /// Opacity, 0 to 255.
    pub alpha: Plane<u8>,
    pub kind: Kind,
    pub name: String,
    pub text: Option<String>,
    pub words: Vec<Word>,
}
