use std::io::{self, Seek, Write};

use std::sync::Arc;

use image::RgbaImage;
use serde::{Deserialize, Serialize};
use typeset::Fonts;

use crate::canvas::CanvasTooLarge;
use crate::document::{ComposeError, Document, DocumentLayer, PixelSource, SourceError, TooDeep};
use crate::extent::crop_in_place;
use crate::turn::Loaded;
use crate::{ArchiveError, Density, EncodeError, Rect, bounding_box, write_layer_png};

mod bundle;
mod ora;
mod packbits;
mod pptx;
mod psd;
mod shapes;
mod svg;
mod words;
mod xml;

#[cfg(test)]
mod tests;

/// File formats a document can be taken away in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PNGs, a manifest with names and offsets, a preview.
    Zip,
    /// Photoshop and all that read its files.
    Psd,
    /// OpenRaster: Krita, GIMP, MyPaint.
    Ora,
    /// One slide with one picture per layer.
    Pptx,
    /// One SVG with a PNG for each layer.
    Svg,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 5] = [Format::Zip, Format::Psd, Format::Ora, Format::Pptx, Format::Svg];

    /// As in a file name, such as `psd`.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::Psd => "psd",
            Format::Ora => "ora",
            Format::Pptx => "pptx",
            Format::Svg => "svg",
        }
    }

    /// Whether layers that are one flat shape can be shapes in it.
    pub fn has_shapes(self) -> bool {
        matches!(self, Format::Psd | Format::Pptx | Format::Svg)
    }

    /// Whether layers with live text can be text in it.
    pub fn has_text(self) -> bool {
        matches!(self, Format::Psd | Format::Pptx | Format::Svg)
    }

    /// For a `Content-Type` header.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Zip => "application/zip",
            Format::Psd => "image/vnd.adobe.photoshop",
            Format::Ora => "image/openraster",
            Format::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            Format::Svg => "image/svg+xml",
        }
    }
}

/// A word that does not name a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an export format; the formats are zip, psd, ora, pptx and svg")]
pub struct UnknownFormat(pub String);

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let known = Self::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(word));
        known.ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// How PPTX and SVG write layers with live text. ORA has their pixels, ZIP pixels and the words as data, and PSD type layers
/// (but for [`TextMode::Pixels`]) whose pixels show until the words are edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TextMode {
    /// As text.
    Live,
    /// As pixels.
    Pixels,
    /// As text, with the pixels hidden beside it.
    #[default]
    Both,
}

/// A word that does not name a text mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to write text; the ways are live, pixels and both")]
pub struct UnknownTextMode(pub String);

impl std::str::FromStr for TextMode {
    type Err = UnknownTextMode;

    fn from_str(word: &str) -> Result<Self, UnknownTextMode> {
        match word.to_ascii_lowercase().as_str() {
            "live" => Ok(Self::Live),
            "pixels" => Ok(Self::Pixels),
            "both" => Ok(Self::Both),
            _ => Err(UnknownTextMode(word.to_owned())),
        }
    }
}

/// How PPTX, SVG and PSD write layers that are one flat shape: an ellipse, a rectangle, a line or a simple contour of one
/// colour. The others have their pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ShapeMode {
    /// As shapes where these look like the pixels: within 4/255 inside, and within 1 px along the contour. Layers with words
    /// are none.
    #[default]
    Native,
    /// As pixels.
    Pixels,
}

/// A word that does not name a way to write shapes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to write shapes; the ways are native and pixels")]
pub struct UnknownShapeMode(pub String);

impl std::str::FromStr for ShapeMode {
    type Err = UnknownShapeMode;

    fn from_str(word: &str) -> Result<Self, UnknownShapeMode> {
        match word.to_ascii_lowercase().as_str() {
            "native" => Ok(Self::Native),
            "pixels" => Ok(Self::Pixels),
            _ => Err(UnknownShapeMode(word.to_owned())),
        }
    }
}

/// How a document is written.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// ZIP: also write each layer trimmed to its box, under `trimmed/`. The other formats always trim and place.
    pub trim: bool,
    /// ZIP: name the layers' files after the layers ([`crate::file_name`]) and not by their numbers.
    pub names: bool,
    /// How layers with live text are written.
    pub text: TextMode,
    /// How layers that are one flat shape are written.
    pub shapes: ShapeMode,
    /// What the words are set in. Without fonts, and where words cannot be set, they stay pixels.
    pub fonts: Option<Arc<Fonts>>,
    /// ZIP: files to add as they are, such as `metadata.json`.
    pub extra_files: Vec<(String, Vec<u8>)>,
}

impl ExportOptions {
    /// Whether [`ExportOptions::fonts`] would be used: listing fonts takes a while.
    pub fn needs_fonts(document: &Document, format: Format, text: TextMode) -> bool {
        let has_words = || document.layers().iter().any(|layer| !layer.live_text.is_empty());
        format.has_text() && text != TextMode::Pixels && has_words()
    }
}

/// A document could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The pixels of a layer could not be loaded.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Groups are nested too deep.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
    /// The canvas does not fit into memory.
    #[error(transparent)]
    CanvasTooLarge(#[from] CanvasTooLarge),
    /// The writer failed.
    #[error("the export could not be written: {0}")]
    Io(#[from] io::Error),
    /// A PNG could not be made.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The ZIP archive (of ZIP, ORA and PPTX) could not be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The document has more than the format can hold.
    #[error("{format} files hold at most {limit}; ORA and ZIP have no such limit")]
    TooLarge {
        /// Name of the format, such as `PSD`.
        format: &'static str,
        /// What it holds at most, such as `30000 pixels on a side`.
        limit: &'static str,
    },
}

impl From<ComposeError> for ExportError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Source(error) => Self::Source(error),
            ComposeError::TooDeep(error) => Self::TooDeep(error),
            ComposeError::CanvasTooLarge(error) => Self::CanvasTooLarge(error),
        }
    }
}

impl From<zip::result::ZipError> for ExportError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Archive(error.into())
    }
}

/// Writes `document` as `format`.
///
/// Pixels are loaded one layer at a time, so the number of layers costs no
/// memory; [`Document::compose_memory`] says what the largest one and the canvas
/// cost. PSD loads each layer twice, as its merged picture's thumbnail comes before
/// the layers; the others once.
///
/// # Errors
/// When pixels cannot be loaded, the writer fails, groups are nested more than [`Document::MAX_DEPTH`] deep, the canvas
/// does not fit into memory, or the format is too small for the document.
pub fn export(
    document: &Document,
    source: &dyn PixelSource,
    format: Format,
    options: &ExportOptions,
    mut writer: impl Write + Seek,
) -> Result<(), ExportError> {
    document.check_depth()?;
    // Not generic below, so that the writers are compiled once.
    let writer: &mut dyn Target = &mut writer;
    match format {
        Format::Zip => bundle::write(document, source, options, writer),
        Format::Psd => psd::write(document, source, options, writer),
        Format::Ora => ora::write(document, source, writer),
        Format::Pptx => pptx::write(document, source, options, writer),
        Format::Svg => svg::write(document, source, options, writer),
    }
}

/// What an export is written to.
trait Target: Write + Seek {}

impl<T: Write + Seek> Target for T {}

/// The pixels of a layer cut to what is not transparent, and where they lie on the canvas.
struct Placed {
    pixels: RgbaImage,
    x: i32,
    y: i32,
}

impl Placed {
    /// Loads, turns and trims.
    fn load(layer: &DocumentLayer, source: &dyn PixelSource) -> Result<Self, SourceError> {
        Ok(Self::trim(Loaded::of(layer, source)?))
    }

    /// An empty layer becomes one transparent pixel, since no format has pictures of size zero.
    fn trim(Loaded { pixels, x, y }: Loaded) -> Self {
        let (found, pixels) = match bounding_box(&pixels) {
            None => (Rect { x: 0, y: 0, width: 1, height: 1 }, RgbaImage::new(1, 1)),
            Some(found) => (found, crop_in_place(pixels, found)),
        };
        // Nobody sees a layer that far outside; its other edge must fit into the formats' 32 bits too.
        let at = |offset: i32, inside: u32, length: u32| {
            let most = i64::from(i32::MAX) - i64::from(length);
            i32::try_from((i64::from(offset) + i64::from(inside)).min(most)).unwrap_or(i32::MIN)
        };
        Self { x: at(x, found.x, found.width), y: at(y, found.y, found.height), pixels }
    }

    /// Writes the pixels alone.
    fn write(&mut self, writer: &mut dyn Write, density: Option<Density>) -> Result<(), EncodeError> {
        let size = self.pixels.dimensions();
        write_layer_png(writer, &mut self.pixels, (0, 0), size, density)
    }

    fn right(&self) -> i64 {
        i64::from(self.x) + i64::from(self.pixels.width())
    }

    fn bottom(&self) -> i64 {
        i64::from(self.y) + i64::from(self.pixels.height())
    }
}
