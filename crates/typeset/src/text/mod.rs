//! Text as data.

mod change;
mod colour;
mod gradient;
mod validate;

use serde::{Deserialize, Serialize};

pub use colour::{Colour, NotAColour};
pub use validate::Limits;
pub(crate) use validate::{count, range};

use crate::fonts::Slant;

/// A block of text on a poster. Lengths are in px of the poster, x to the right, y downwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Lines from top to bottom, 1 to 1000. An empty line leaves its height.
    pub lines: Vec<Line>,
    /// Which point of each line is at the block's x.
    #[serde(default)]
    pub align: Align,
    /// Degrees clockwise about the block's position, from -360 to 360.
    #[serde(default)]
    pub angle: f32,
    /// Where on the first line's baseline the block is held: its left end, centre or right end, by `align`.
    pub position: Position,
}

/// A place on the poster, px from its upper left corner; from -1e6 to 1e6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Point))]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

/// Which point of each line is at the block's x. Left and right are the poster's, also for right-to-left text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// The left end.
    #[default]
    Left,
    /// The centre.
    Centre,
    /// The right end.
    Right,
}

/// One line: runs in reading order, as they are typed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// At most 4000 in a block. The direction of the line is that of its first letter (Unicode's bidirectional algorithm).
    pub runs: Vec<Run>,
}

/// Words of one style.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Without line breaks and other control characters.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// How a run looks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Style {
    /// A family in English or in its own language, a full or PostScript name, or `sans-serif`, `serif`, `display`,
    /// `round`. A family that is not there is drawn with the sans that ships and reported.
    pub family: String,
    /// How heavy, from 1 to 1000; 400 is regular, 700 bold. The family's closest weight is taken.
    #[serde(default = "regular")]
    pub weight: u16,
    /// Upright or italic. A family without italics is drawn upright.
    #[serde(default)]
    pub slant: Slant,
    /// How wide, in percent of normal, from 50 to 200. The family's closest width is taken.
    #[serde(default = "normal")]
    pub width: u16,
    /// px an em, from 1 to 4000.
    pub size: f32,
    /// px from the baseline above to this line's; the largest of a line's runs counts, and the first line's is not
    /// used. From 0 to 40 000.
    pub line_height: f32,
    /// px added after each letter, from -1000 to 1000. Letters that join, as in Arabic, stay together.
    #[serde(default)]
    pub letter_spacing: f32,
    /// What the letters are filled with.
    pub fill: Fill,
    /// A line around the letters, behind all fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// A shadow of letters and outline, behind all outlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

fn regular() -> u16 {
    400
}

fn normal() -> u16 {
    100
}

impl Style {
    /// A regular face of a family in one colour, with lines 1.2 em apart.
    pub fn new(family: impl Into<String>, size: f32, colour: Colour) -> Self {
        Self {
            family: family.into(),
            weight: regular(),
            slant: Slant::Upright,
            width: normal(),
            size,
            line_height: size * 1.2,
            letter_spacing: 0.0,
            fill: Fill::Colour(colour),
            outline: None,
            shadow: None,
        }
    }
}

/// What letters are filled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// One colour.
    Colour(Colour),
    /// Colours along a line.
    Gradient(Gradient),
}

/// Colours along a line, mixed in sRGB; beyond the ends they stay the same (as in SVG and CSS).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Gradient {
    /// Where it starts: px from the block's position before the block is turned. It turns with the block.
    pub start: Position,
    /// Where it ends, likewise.
    pub end: Position,
    /// 2 to 16, in rising order.
    pub stops: Vec<Stop>,
}

/// A colour on the way of a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The share of the way, from 0 to 1.
    pub offset: f32,
    /// The colour there.
    pub colour: Colour,
}

/// A line around letters, with round corners.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// px of it that show around the letters, from 0 to 500. (SVG's `stroke-width` is twice that, behind the fill.)
    pub width: f32,
    /// Its colour.
    pub colour: Colour,
}

/// A shadow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// px to the right, from -2000 to 2000. It does not turn with the block.
    pub dx: f32,
    /// px downwards, likewise.
    pub dy: f32,
    /// px, from 0 to 500: twice the standard deviation of the Gaussian, as in CSS.
    pub blur: f32,
    /// Its colour.
    pub colour: Colour,
    /// How much of it shows, from 0 to 1; times the colour's alpha.
    pub opacity: f32,
}
