#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod archive;
mod blend;
mod canvas;
mod compose;
mod composite;
mod decode;
mod density;
mod difference;
mod document;
mod effects;
mod encode;
mod export;
mod extent;
mod file_name;
mod label;
mod layer;
pub mod metrics;
mod preview;
mod prune;
mod read_line;
mod recolour;
mod report;
mod resize;
mod sheet;
mod solve;
mod spread;
mod stack;
mod turn;
mod upscale;

pub use archive::{ArchiveEntry, ArchiveError, ZipStream, write_zip};
pub use blend::Blend;
pub use canvas::CanvasTooLarge;
pub use composite::{flatten, flatten_pictures, over, over_colour, premultiply};
pub use decode::{DecodeError, Limits, Picture, decode};
pub use density::Density;
pub use difference::{Difference, SizeMismatch};
pub use document::{
    ComposeError, Document, DocumentGroup, DocumentLayer, Node, PixelSource, SourceError, TooDeep, grouped,
};
pub use effects::Effects;
pub use encode::{EncodeError, write_dense_png, write_layer_png, write_png};
pub use export::{
    ExportError, ExportOptions, Format, ShapeMode, TextMode, UnknownFormat, UnknownShapeMode, UnknownTextMode, export,
};
pub use extent::{bounding_box, coverage, crop};
pub use file_name::file_name;
pub use label::Label;
pub use layer::{Group, Kind, Layer, Rect};
pub use preview::{PREVIEW_SIDE, preview_jpeg, thumbnail_jpeg};
pub use prune::{PruneNote, Pruned, prune};
pub use read_line::ReadLine;
pub use recolour::Recolour;
pub use report::{LayerReport, Report, Thresholds};
pub use resize::{Filter, ResizeError, fit, resize};
pub use sheet::contact_sheet;
pub use solve::{solve_closely, solve_exact};
pub use stack::{LayerStack, StackError};
pub use turn::{TurnedBox, turn, turned_box};
pub use upscale::{UpscaleError, upscale};
