//! The formats that compositions are written in.

use jobs::tree::Output;
use layers::{Density, Format, ShapeMode, TextMode};

use crate::http::error::Error;

/// The size of an export.
///
/// # Errors
/// 422 for a scale or density that cannot be.
pub(crate) fn output(scale: Option<u32>, dpi: Option<f64>) -> Result<Output, Error> {
    let invalid = |field: &'static str, problem: String| {
        Error::unprocessable("invalid_parameter", format!("{field} {problem}")).about(field)
    };
    let scale = scale.unwrap_or(1);
    if !(1..=Output::MAX_SCALE).contains(&scale) {
        return Err(invalid("scale", format!("must be a whole number from 1 to {}, not {scale}", Output::MAX_SCALE)));
    }
    let density = |dpi: f64| {
        Density::new(dpi, dpi).ok_or_else(|| invalid("dpi", format!("must be a number from 1 to 30000, not {dpi}")))
    };
    Ok(Output { scale, density: dpi.map(density).transpose()? })
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// One picture of what is visible; trimmed to it or as large as the canvas.
    Png { trim: bool },
    Document {
        format: Format,
        trim: bool,
        /// Whether files of layers are named after them.
        names: bool,
        text: TextMode,
        shapes: ShapeMode,
    },
}

impl Target {
    /// Reads the name of a format, `png` included.
    ///
    /// # Errors
    /// 400 for other names.
    pub(crate) fn parse(
        name: &str,
        (trim, names): (bool, bool),
        text: TextMode,
        shapes: ShapeMode,
    ) -> Result<Self, Error> {
        if name.eq_ignore_ascii_case("png") {
            return Ok(Self::Png { trim });
        }
        let format = name.parse().map_err(|_| {
            let shown: String = name.chars().take(20).collect();
            let known = Format::ALL.map(Format::extension).join(", ");
            let message = format!("\"{shown}\" is not a supported format; formats: png, {known}");
            Error::bad_request("unknown_format", message)
        })?;
        Ok(Self::Document { format, trim, names, text, shapes })
    }

    /// Whether it is the ZIP that results are stored for.
    pub(crate) fn is_plain_zip(self) -> bool {
        matches!(self, Self::Document { format: Format::Zip, trim: false, names: false, .. })
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png { .. } => "png",
            Self::Document { format, .. } => format.extension(),
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Png { .. } => "image/png",
            Self::Document { format, .. } => format.media_type(),
        }
    }
}
