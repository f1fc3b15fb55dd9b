//! Which characters a face has, and the scripts that follow from them.

use serde::{Deserialize, Serialize};

/// The scripts that a face can write, told by characters that every text of the script needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scripts {
    /// Basic Latin letters and digits.
    pub latin: bool,
    /// Korean syllables: at least the 2350 of KS X 1001, of which ten are looked up.
    pub hangul: bool,
    /// Hiragana and katakana.
    pub kana: bool,
    /// Common Chinese characters.
    pub han: bool,
    /// Russian letters.
    pub cyrillic: bool,
    /// Modern Greek letters.
    pub greek: bool,
    /// Arabic letters.
    pub arabic: bool,
    /// Hebrew letters.
    pub hebrew: bool,
    /// Letters of Devanagari.
    pub devanagari: bool,
    /// Thai letters.
    pub thai: bool,
    /// Common emoji.
    pub emoji: bool,
}

/// The characters of a face: ranges, both ends included, in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage(Vec<(u32, u32)>);

impl Coverage {
    pub(super) fn new(codes: impl Iterator<Item = u32>) -> Self {
        let mut codes: Vec<u32> = codes.collect();
        codes.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for code in codes {
            match ranges.last_mut() {
                Some((_, last)) if code <= last.saturating_add(1) => *last = code,
                _ => ranges.push((code, code)),
            }
        }
        Self(ranges)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, character: char) -> bool {
        let code = u32::from(character);
        let after = self.0.partition_point(|&(first, _)| first <= code);
        after > 0 && self.0[after - 1].1 >= code
    }

    /// Whether each character that leaves ink is there.
    pub(crate) fn has_all(&self, text: &str) -> bool {
        text.chars().all(|character| is_ignorable(character) || self.has(character))
    }

    pub(super) fn scripts(&self) -> Scripts {
        let all = |sample: &str| self.has_all(sample);
        Scripts {
            latin: all("AEMRZaegz059"),
            hangul: all("가나뷰는왜힘홍쌀책빛"),
            kana: all("あのんアノン"),
            han: all("一中國人大日"),
            cyrillic: all("АЖЯажя"),
            greek: all("ΑΔΩαδω"),
            arabic: all("ابجيم"),
            hebrew: all("אבגש"),
            devanagari: all("अकमह"),
            thai: all("กขมอ"),
            emoji: all("😀🎉🔥"),
        }
    }
}

/// Spaces, joiners, variation selectors and other marks that leave no ink: no face needs a glyph for them.
pub(crate) fn is_ignorable(character: char) -> bool {
    character.is_whitespace()
        || matches!(u32::from(character),
            0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
            | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xE0000..=0xE0FFF)
}
