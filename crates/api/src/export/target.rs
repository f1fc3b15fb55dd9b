//! The formats that compositions are written in.

use layers::{Format, ShapeMode, TextMode};

use crate::http::error::Error;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// One picture of what is visible.
    Png,
    Document {
        format: Format,
        trim: bool,
        text: TextMode,
        shapes: ShapeMode,
    },
}

impl Target {
    /// Reads the name of a format, `png` included.
    ///
    /// # Errors
    /// 400 for other names.
    pub(crate) fn parse(name: &str, trim: bool, text: TextMode, shapes: ShapeMode) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case("png") {
            return Ok(Self::Png);
        }
        Self::parse_format(name, "png, ").map(|format| Self::Document { format, trim, text, shapes })
    }

    /// Reads the name of a document format; an error lists these after `others`.
    ///
    /// # Errors
    /// 400 for other names.
    pub(crate) fn parse_format(name: &str, others: &str) -> Result<Format, Error> {
        name.parse().map_err(|_| {
            let shown: String = name.chars().take(20).collect();
            let known = Format::ALL.map(Format::extension).join(", ");
            let message = format!("\"{shown}\" is not a supported format; formats: {others}{known}");
            Error::bad_request("unknown_format", message)
        })
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Document { format, .. } => format.extension(),
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Document { format, .. } => format.media_type(),
        }
    }
}
