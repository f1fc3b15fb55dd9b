#![doc = include_str!("../README.md")]

mod archive;
mod canvas;
mod compose;
mod composite;
mod decode;
mod difference;
mod document;
mod encode;
mod export;
mod extent;
mod layer;
mod lift;
pub mod metrics;
mod prune;
mod recolour;
mod report;
mod resize;
mod sheet;
mod solve;

pub use archive::{ArchiveEntry, ArchiveError, ZipStream, write_zip};
pub use canvas::CanvasTooLarge;
pub use composite::{flatten, flatten_pictures, flatten_sequential, over, over_colour, premultiply};
pub use decode::{DecodeError, Limits, Picture, decode};
pub use difference::{Difference, SizeMismatch};
pub use document::{ComposeError, Document, DocumentGroup, DocumentLayer, Node, PixelSource, SourceError, TooDeep};
pub use encode::{Compression, EncodeError, PREVIEW_SIDE, preview_jpeg, thumbnail_jpeg, write_png, write_png_with};
pub use export::{ExportError, ExportOptions, Format, UnknownFormat, export};
pub use extent::{bounding_box, coverage, crop};
pub use layer::{Kind, Layer, LayerStack, Rect, StackError, counted};
pub use lift::{LiftError, lift};
pub use prune::{Pruned, prune};
pub use recolour::Recolour;
pub use report::{LayerReport, Report, Thresholds};
pub use resize::{Filter, ResizeError, fit, resize};
pub use sheet::contact_sheet;
pub use solve::{solve_closely, solve_exact};
