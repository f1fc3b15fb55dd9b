//! Layers before their colours are solved.

use layers::Kind;

use crate::plane::{Plane, Rect, Rgb8};

/// A line of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextLine {
    /// What it says; empty where it could not be read.
    pub text: String,
    /// Bounding box of its letters.
    pub rect: Rect,
    /// Height of the letters in pixels, to tell headlines from small print.
    pub size: f32,
}

/// A layer before its colours are solved.
#[derive(Debug, Clone)]
pub(crate) struct DraftLayer {
    /// The picture with this layer and all below it.
    pub above: Rgb8,
    /// Opacity, 0 to 255.
    pub alpha: Plane<u8>,
    pub kind: Kind,
    pub name: String,
    /// What a text layer says, line by line.
    pub text: Option<String>,
    pub lines: Vec<TextLine>,
}
