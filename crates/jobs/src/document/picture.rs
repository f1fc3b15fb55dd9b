//! Pictures that belong to a document: what people brought into it, and what was made from its layers.

use std::fmt;
use std::str::FromStr;

use layers::{Kind, Label, Rect};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Document;
use crate::edits::LayerEdit;

/// A stored picture by its content: the start of the SHA-256 of its PNG, and its size, so that nobody has to open it to
/// learn that. Written as `{40 hexadecimal digits}-{width}x{height}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PictureId {
    hash: [u8; 20],
    width: u32,
    height: u32,
}

impl PictureId {
    /// The id of a PNG of `width` x `height` pixels.
    pub fn of(png: &[u8], (width, height): (u32, u32)) -> Self {
        let mut hash = [0; 20];
        hash.copy_from_slice(&Sha256::digest(png)[..20]);
        Self { hash, width, height }
    }

    /// Width and height in pixels.
    pub fn size(self) -> (u32, u32) {
        (self.width, self.height)
    }
}

impl fmt::Display for PictureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}x{}", service::hex(&self.hash), self.width, self.height)
    }
}

/// That a text is not a [`PictureId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the id of a picture, which is as POST /api/jobs/{{id}}/pictures answers it: 40 hexadecimal digits, then -WIDTHxHEIGHT"
)]
pub struct NotAnId;

impl FromStr for PictureId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (digits, size) = text.split_once('-').ok_or(NotAnId)?;
        let (width, height) = size.split_once('x').ok_or(NotAnId)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|side| *side > 0).ok_or(NotAnId);
        let mut id = Self { hash: [0; 20], width: number(width)?, height: number(height)? };
        if digits.len() != 40 || !digits.is_ascii() {
            return Err(NotAnId);
        }
        for (at, byte) in id.hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| NotAnId)?;
        }
        // Written again, so that one picture has one id: no `+1`, no `01`, no capital letters.
        if id.to_string() == text { Ok(id) } else { Err(NotAnId) }
    }
}

impl Serialize for PictureId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PictureId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("\"{}\" is {NotAnId}", shortened(&text))))
    }
}

/// The start of a text that may be of any length.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(60)]
}

/// A picture in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// As `POST /api/jobs/{id}/pictures` answers it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{40}-[1-9][0-9]*x[1-9][0-9]*$")]
    pub id: PictureId,
    /// Where its left edge lies on the document's canvas, in pixels, before the element's own edit moves it.
    #[serde(default)]
    #[schema(minimum = -100_000, maximum = 100_000)]
    pub x: i32,
    /// The same for its upper edge.
    #[serde(default)]
    #[schema(minimum = -100_000, maximum = 100_000)]
    pub y: i32,
    /// What it shows, for an element without a layer.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub kind: Kind,
    /// The same in codes, as of layers in `metadata.json`: what it is called while nobody gives it a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

fn is_unknown(kind: &Kind) -> bool {
    *kind == Kind::Unknown
}

impl Picture {
    /// The stored picture with its upper left corner at `x`, `y`.
    pub fn at(id: PictureId, x: i32, y: i32) -> Self {
        Self { id, x, y, kind: Kind::Unknown, label: None }
    }

    /// All of its pixels.
    pub(crate) fn area(&self) -> Rect {
        Rect::whole(self.id.width, self.id.height)
    }

    /// Its name while nobody gives it one.
    pub(super) fn plain_name(&self) -> String {
        self.label.as_ref().map_or_else(|| "Picture".to_owned(), Label::to_string)
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<String> {
        /// Characters of a code.
        const CODE: usize = 40;
        let most = LayerEdit::MAX_OFFSET;
        let is_far = |at: i32| !(-most..=most).contains(&at);
        if is_far(self.x) || is_far(self.y) {
            return Some(format!("must have x and y from -{most} to {most}"));
        }
        let codes = self.label.iter().flat_map(|label| [Some(&label.thing), label.colour.as_ref()]).flatten();
        let is_code = |code: &String| {
            (1..=CODE).contains(&code.len())
                && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let problem = || format!("must have a label of codes: at most {CODE} lower-case letters, digits and _ each");
        (!codes.into_iter().all(is_code)).then(problem)
    }
}

impl Document {
    /// The pictures that its elements show.
    pub fn pictures(&self) -> impl Iterator<Item = PictureId> {
        self.elements.iter().filter_map(|element| Some(element.picture.as_ref()?.id))
    }

    /// The same document on a canvas whose origin is at `origin` of this one's.
    pub(crate) fn seen_from(mut self, origin: (u32, u32)) -> Self {
        for picture in self.elements.iter_mut().filter_map(|element| element.picture.as_mut()) {
            picture.x = picture.x.saturating_sub_unsigned(origin.0);
            picture.y = picture.y.saturating_sub_unsigned(origin.1);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_one_id() {
        let id = PictureId::of(b"png", (640, 48));
        let text = id.to_string();
        assert!(text.ends_with("-640x48"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_ne!(PictureId::of(b"other", (640, 48)), id);
        let digits = &text[..40];
        for bad in [
            "",
            "-",
            digits,
            &format!("{digits}-640x0"),
            &format!("{digits}-0640x48"),
            &format!("{digits}-+640x48"),
            &format!("{digits}-640x48x2"),
            &format!("{digits}-640x99999999999"),
            &format!("{}-640x48", &digits[..39]),
            &format!("{}-640x48", digits.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")),
            &format!("{}/-640x48", &digits[..39]),
            &format!("{}é-640x48", &digits[..38]),
            &format!("../{text}"),
        ] {
            assert_eq!(bad.parse::<PictureId>(), Err(NotAnId), "{bad:?}");
        }
    }
}
