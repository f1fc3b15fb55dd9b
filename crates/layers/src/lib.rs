#![doc = include_str!("../README.md")]

mod archive;
mod composite;
mod decode;
mod difference;
mod encode;
mod extent;
mod layer;
mod resize;

pub use archive::{ArchiveEntry, ArchiveError, stream_zip, write_zip};
pub use composite::{flatten, flatten_pictures, flatten_sequential, over, over_colour, premultiply};
pub use decode::{DecodeError, Limits, Picture, decode};
pub use difference::{Difference, SizeMismatch};
pub use encode::{Compression, EncodeError, PREVIEW_SIDE, preview_jpeg, thumbnail_jpeg, write_png, write_png_with};
pub use extent::{bounding_box, coverage, crop};
pub use layer::{Box, Kind, Layer, LayerStack, StackError};
pub use resize::{Filter, ResizeError, fit, resize};
