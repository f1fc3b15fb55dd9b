#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod blur;
mod error;
mod fonts;
mod glyph;
mod identify;
mod measure;
mod raster;
mod render;
mod shape;
mod text;

pub use error::Error;
pub use fonts::{Face, FaceId, Fonts, Generic, Origin, Scripts, Skipped, Slant, Sources, Wanted, sisters};
pub use identify::{Match, Options, identify, match_coverage, nearest_generic};
pub use measure::{Block, MeasuredLine, Paint, ink, line_text, measure, measure_block};
pub use render::{Bounds, LineBox, Rendered, Replaced, line_boxes, render};
pub use text::{
    Align, Colour, Fill, Gradient, Limits, Line, NotAColour, Outline, Position, Run, Shadow, Stop, Style, Text,
};
