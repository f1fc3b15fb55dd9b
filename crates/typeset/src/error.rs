/// Why text cannot be rendered or a line not be identified. Each message says what is allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number is out of its range or not a number.
    #[error("{field} is {value}; it must be from {from} to {to}{unit}")]
    OutOfRange {
        /// The field, as in the serialized text: `lines[0].runs[1].style.size`.
        field: String,
        /// What it was.
        value: f32,
        /// The smallest value allowed.
        from: f32,
        /// The largest value allowed.
        to: f32,
        /// The unit with a space before it, or nothing.
        unit: &'static str,
    },
    /// There is more of something than is allowed.
    #[error("there are {count} {what}; at most {limit} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        count: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// A run has a control character, such as a line break.
    #[error("{field} contains the control character U+{code:04X}; a line break is a new line in `lines`")]
    ControlCharacter {
        /// The field, as in the serialized text.
        field: String,
        /// The character.
        code: u32,
    },
    /// The stops of a gradient are not from two upwards, or not in order.
    #[error("{field} has stops at {offsets:?}; a gradient has 2 to 16 stops in rising order from 0 to 1")]
    Stops {
        /// The field, as in the serialized text.
        field: String,
        /// Where the stops are.
        offsets: Vec<f32>,
    },
    /// The collection has no font at all, so nothing can be drawn.
    #[error("there are no fonts; the ones that ship can be loaded with `Sources::default()`")]
    NoFonts,
    /// Nothing in the mask is ink.
    #[error("the mask has no ink: hardly any pixel has a coverage of 40 or more")]
    NoInk,
    /// The words have no character that leaves ink.
    #[error("the words are empty or only spaces")]
    NoWords,
    /// Two pictures that belong together differ in size.
    #[error("the pictures differ in size: {first:?} and {second:?}")]
    SizeMismatch {
        /// Width and height of the first, px.
        first: (u32, u32),
        /// Width and height of the second, px.
        second: (u32, u32),
    },
}
