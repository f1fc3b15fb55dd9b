//! What a line looks like: fill, outline and shadow from its pixels; and how lines stand together.

mod block;
mod fill;
mod halo;
mod ink;
mod line;
mod shadow;

use image::{GrayImage, RgbaImage};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::text::{Fill, Outline, Shadow};

pub use block::{Block, MeasuredLine, measure_block};
pub use ink::ink;
pub use line::line_text;

/// How letters are painted, as a [`Style`](crate::Style) says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Paint {
    /// The colour inside of the letters, or a gradient of two stops; its start and end are px from the upper left
    /// corner of the pixels that were measured.
    pub fill: Fill,
    /// The line around them, if one shows.
    pub outline: Option<Outline>,
    /// The shadow, if one shows: soft pixels beyond letters and outline. Its opacity is that of the darkest of it.
    pub shadow: Option<Shadow>,
}

/// Measures how a line is painted.
///
/// `pixels` is the line as it was lifted: sRGB, straight alpha, with outline and shadow. `letters` is the coverage of
/// its letters alone, 0 to 255, of the same size: from [`match_coverage`](crate::match_coverage) where the face is
/// known, which tells letters from their outline; or the line's mask. Colours are medians, so that a few wrong pixels
/// do not count.
///
/// # Errors
/// The two differ in size, or the letters have no ink on opaque pixels.
pub fn measure(pixels: &RgbaImage, letters: &GrayImage) -> Result<Paint, Error> {
    if pixels.dimensions() != letters.dimensions() {
        return Err(Error::SizeMismatch { first: pixels.dimensions(), second: letters.dimensions() });
    }
    let inside = fill::inside(pixels, letters).ok_or(Error::NoInk)?;
    let fill = fill::measure(&inside);
    let halo = halo::Halo::new(pixels, letters);
    let outline = halo.outline(&fill);
    let shadow = halo.shadow(outline.as_ref());
    Ok(Paint { fill, outline, shadow })
}
