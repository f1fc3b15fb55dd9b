//! Text as pixels.

mod layout;
mod paint;

use image::RgbaImage;
use serde::Serialize;

use crate::fonts::{FaceId, Fonts};
use crate::raster::Pixels;
use crate::text::{Limits, Text};
use crate::{Error, text};

/// The part of the poster that is wanted, in px: pixels `x..x + width` and `y..y + height`, at most 2²⁶ of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first column.
    pub x: i32,
    /// The first row.
    pub y: i32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Drawn text: pixels and where they are.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// sRGB with straight alpha, no larger than ink and bounds require; 0 x 0 if nothing shows.
    pub picture: RgbaImage,
    /// The poster's column of the picture's first.
    pub x: i32,
    /// The poster's row of the picture's first.
    pub y: i32,
    /// The faces that were drawn with, in rising order.
    pub faces: Vec<FaceId>,
    /// What could not be drawn as asked.
    pub replaced: Vec<Replaced>,
}

/// Something that was drawn otherwise than asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Replaced {
    /// No face answers to the family.
    Family {
        /// What was asked for.
        wanted: String,
        /// What stands in.
        by: FaceId,
    },
    /// The face lacks a letter.
    Letter {
        /// The letter, with the marks that belong to it.
        wanted: String,
        /// The face that stands in; none has it if absent, and an empty box is drawn.
        by: Option<FaceId>,
    },
}

/// Where the lines of a text are, for boxes around them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LineBox {
    /// px from the block's position to the line's left end, before the block is turned.
    pub x: f32,
    /// px from the block's position down to the baseline, before the block is turned.
    pub baseline: f32,
    /// px from the line's left to its right end, by the advances of its letters.
    pub width: f32,
    /// px by which the tallest face of the line rises above its baseline.
    pub ascent: f32,
    /// px by which the deepest face of the line falls below its baseline.
    pub descent: f32,
}

/// Draws a text. The same text, fonts and bounds give the same bytes.
///
/// # Errors
/// A field of the text or the bounds is out of its range; there are no fonts.
pub fn render(text: &Text, fonts: &Fonts, bounds: Bounds) -> Result<Rendered, Error> {
    text.validate()?;
    let pixels = u64::from(bounds.width) * u64::from(bounds.height);
    if pixels > Limits::PIXELS {
        return Err(Error::TooMany { what: "pixels in the bounds", count: pixels, limit: Limits::PIXELS });
    }
    for (field, value) in [("bounds.x", bounds.x), ("bounds.y", bounds.y)] {
        #[expect(clippy::cast_precision_loss, reason = "only for the message")]
        text::range(field, value as f32, -1e6, 1e6, " px")?;
    }
    let within = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    let clip = Pixels {
        left: bounds.x,
        top: bounds.y,
        right: bounds.x.saturating_add(within(bounds.width)),
        bottom: bounds.y.saturating_add(within(bounds.height)),
    };
    let laid = layout::lay_out(text, fonts)?;
    let (picture, x, y) = paint::paint(text, &laid, clip)?;
    Ok(Rendered { picture, x, y, faces: laid.faces(), replaced: laid.replaced })
}

/// Measures a text without drawing it: one box for each line.
///
/// # Errors
/// A field of the text is out of its range; there are no fonts.
pub fn line_boxes(text: &Text, fonts: &Fonts) -> Result<Vec<LineBox>, Error> {
    text.validate()?;
    Ok(layout::lay_out(text, fonts)?.boxes)
}
