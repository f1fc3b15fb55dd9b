//! From a wish to a face: the matching of CSS Fonts 4, section 5.2, and who stands in where a glyph is missing.

use serde::{Deserialize, Serialize};

use super::names::key;
use super::{Face, Fonts, Origin, Slant, shipped};

/// A face as a text asks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted<'a> {
    /// A family in English or in its own language, a full or PostScript name, or a generic family of CSS.
    pub family: &'a str,
    /// 1 to 1000.
    pub weight: u16,
    /// Upright or italic.
    pub slant: Slant,
    /// Percent of normal, 50 to 200.
    pub width: u16,
}

/// A kind of family, for a line whose own family is not among the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Generic {
    /// Strokes of about one width without feet: Gothic, Gulim, Helvetica.
    Sans,
    /// Strokes that swell and end in feet: Myeongjo, Batang, Times.
    Serif,
    /// Heavy faces for titles.
    Display,
    /// Strokes with round ends.
    Round,
}

impl Generic {
    /// The family that ships for it.
    pub fn family(self) -> &'static str {
        match self {
            Self::Sans => shipped::SANS,
            Self::Serif => shipped::SERIF,
            Self::Display => shipped::DISPLAY,
            Self::Round => shipped::ROUND,
        }
    }

    /// The kind of a family that ships; `None` for others and for emoji.
    pub fn of_family(family: &str) -> Option<Self> {
        match family {
            shipped::SANS => Some(Self::Sans),
            shipped::SERIF => Some(Self::Serif),
            shipped::DISPLAY | shipped::SQUARE => Some(Self::Display),
            shipped::ROUND => Some(Self::Round),
            _ => None,
        }
    }

    /// The kind that CSS names so, if any.
    fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "sans-serif" | "sans" | "system-ui" | "ui-sans-serif" => Some(Self::Sans),
            "serif" | "ui-serif" => Some(Self::Serif),
            "display" | "fantasy" => Some(Self::Display),
            "round" | "ui-rounded" => Some(Self::Round),
            _ => None,
        }
    }
}

impl Fonts {
    /// The face that comes closest to what is wanted, within the family. `None` if no face answers to the name.
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<&Face> {
        let family = Generic::named(wanted.family).map_or(wanted.family, |generic| generic.family());
        let family = key(family);
        let in_family = |face: &&Face| face.names.is_family(&family);
        let by_other_name = |face: &&Face| face.names.answers(&family);
        let closest = |candidates: &mut dyn Iterator<Item = &'_ Face>| -> Option<super::FaceId> {
            candidates.min_by_key(|face| (distance(wanted, face), face.id())).map(Face::id)
        };
        closest(&mut self.faces().iter().filter(in_family))
            .or_else(|| closest(&mut self.faces().iter().filter(by_other_name)))
            .and_then(|id| self.face(id))
    }

    /// The face for what is wanted, or the one that stands in for an unknown family; whether it stands in.
    pub(crate) fn find_or_default(&self, wanted: &Wanted<'_>) -> Option<(&Face, bool)> {
        if let Some(face) = self.find(wanted) {
            return Some((face, false));
        }
        let sans = Wanted { family: shipped::SANS, ..*wanted };
        self.find(&sans).or_else(|| self.faces().first()).map(|face| (face, true))
    }

    /// A face that has all of a cluster, for one that has not: first the families that ship, then every other.
    pub(crate) fn fallback(&self, cluster: &str, near: &Face) -> Option<&Face> {
        let wanted = |family| Wanted { family, weight: near.weight(), slant: near.slant(), width: near.width() };
        let emoji = cluster.contains('\u{fe0f}').then_some(shipped::EMOJI);
        let first = emoji.into_iter().chain([shipped::SANS, shipped::SERIF, shipped::EMOJI]);
        let ships = first.filter_map(|family| self.find(&wanted(family))).find(|face| face.has_all(cluster));
        ships.or_else(|| {
            let able = self.faces().iter().filter(|face| face.has_all(cluster));
            let elsewhere = |face: &Face| !matches!(face.origin(), Origin::Shipped(_));
            able.min_by_key(|face| (elsewhere(face), distance(&wanted(""), face), face.id()))
        })
    }
}

/// Width before style before weight. A weight from 400 to 500 prefers a heavier one up to 500, then a lighter one; one
/// below prefers lighter ones, one above heavier ones.
fn distance(wanted: &Wanted<'_>, face: &Face) -> (u16, bool, u16) {
    let (weight, has) = (wanted.weight, face.weight());
    let turn = match weight {
        400..=500 if has > 500 => 2,
        400..=500 => u16::from(has < weight),
        0..400 => u16::from(has > weight),
        _ => u16::from(has < weight),
    };
    (face.width().abs_diff(wanted.width), face.slant() != wanted.slant, has.abs_diff(weight) + 1000 * turn)
}
