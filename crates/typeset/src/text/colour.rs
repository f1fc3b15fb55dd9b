use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An sRGB colour with straight alpha. Serialized as `#rrggbb`, or `#rrggbbaa` if it is not opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Colour {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
    /// 0 transparent, 255 opaque.
    pub alpha: u8,
}

/// The text is not a colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a colour; write #rrggbb or #rrggbbaa in hexadecimal")]
pub struct NotAColour(String);

impl Colour {
    /// An opaque colour.
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue, alpha: 255 }
    }

    /// Red, green, blue and straight alpha, 0 to 1.
    pub(crate) fn unit(self) -> [f32; 4] {
        [self.red, self.green, self.blue, self.alpha].map(|value| f32::from(value) / 255.0)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)?;
        if self.alpha < 255 { write!(f, "{:02x}", self.alpha) } else { Ok(()) }
    }
}

impl FromStr for Colour {
    type Err = NotAColour;

    fn from_str(text: &str) -> Result<Self, NotAColour> {
        let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.filter(|digits| matches!(digits.len(), 6 | 8)).and_then(|digits| {
            let opaque = if digits.len() == 6 { "ff" } else { "" };
            u32::from_str_radix(&format!("{digits}{opaque}"), 16).ok()
        });
        let [red, green, blue, alpha] = value.ok_or_else(|| NotAColour(text.chars().take(40).collect()))?.to_be_bytes();
        Ok(Self { red, green, blue, alpha })
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl TryFrom<String> for Colour {
    type Error = NotAColour;

    fn try_from(text: String) -> Result<Self, NotAColour> {
        text.parse()
    }
}

#[cfg(feature = "openapi")]
mod openapi {
    use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
    use utoipa::{PartialSchema, ToSchema};

    use super::Colour;

    impl PartialSchema for Colour {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .description(Some("An sRGB colour with straight alpha: `#rrggbb`, or `#rrggbbaa` if it is not opaque."))
                .pattern(Some("^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$"))
                .examples(["#e63c5a"])
                .into()
        }
    }

    impl ToSchema for Colour {}
}
