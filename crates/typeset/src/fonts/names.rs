//! What a font file calls itself.

use harfrust::font::Font;
use harfrust::font::name::{Encoded, Localized};
use harfrust::font::variation::NamedInstance;

/// The names of one face.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) family: String,
    /// Of at most four styles: of a family with more, the others are families of their own.
    pub(super) styled: String,
    pub(super) korean: Option<String>,
    pub(super) postscript: String,
    /// Every name under which it can be asked for, lowercase, spaces left out, in rising order.
    keys: Vec<String>,
    /// Those of its family, likewise.
    family_keys: Vec<String>,
}

/// Longer names are cut: no real one is.
const MOST_CHARACTERS: usize = 100;

// Numbers of the `name` table (OpenType 1.9, name IDs).
const FAMILY: u16 = 1;
const FULL: u16 = 4;
const POSTSCRIPT: u16 = 6;
const TYPOGRAPHIC_FAMILY: u16 = 16;

impl Names {
    pub(super) fn read(font: &Font) -> Self {
        let localized = |id: u16| font.names().get(id.into());
        let english = |id: u16| localized(id)?.english_or_first().map(|name| text(&name.name()));
        let korean = |id: u16| localized(id)?.iter().find(is_korean).map(|name| text(&name.name()));
        let family = english(TYPOGRAPHIC_FAMILY).or_else(|| english(FAMILY)).filter(|name| !name.is_empty());
        let mut keys: Vec<String> = [TYPOGRAPHIC_FAMILY, FAMILY, FULL, POSTSCRIPT]
            .into_iter()
            .filter_map(localized)
            .flat_map(|name| name.iter().map(|name| key(&text(&name.name()))).collect::<Vec<_>>())
            .filter(|key| !key.is_empty())
            .collect();
        keys.sort();
        keys.dedup();
        let family = family.unwrap_or_else(|| "Unnamed".to_owned());
        let styled = english(FAMILY).filter(|name| !name.is_empty()).unwrap_or_else(|| family.clone());
        let korean = korean(TYPOGRAPHIC_FAMILY).or_else(|| korean(FAMILY));
        let mut family_keys: Vec<String> = korean.iter().chain([&family]).map(|name| key(name)).collect();
        family_keys.sort();
        Self { family, styled, korean, family_keys, postscript: english(POSTSCRIPT).unwrap_or_default(), keys }
    }

    /// The names of an instance of a variable font: those of the font, with its own PostScript name.
    pub(super) fn of_instance(&self, font: &Font, instance: &NamedInstance<'_>) -> Self {
        let english = |id| font.names().get(id)?.english_or_first().map(|name| text(&name.name()));
        let own = instance.postscript_name().and_then(english);
        let made = || {
            let style = english(instance.subfamily_name()).unwrap_or_default().replace(' ', "");
            format!("{}-{style}", self.family.replace(' ', ""))
        };
        Self { postscript: own.unwrap_or_else(made), styled: self.family.clone(), ..self.clone() }
    }

    /// Whether the face answers to a name, of which this is the [`key`].
    pub(super) fn answers(&self, key: &str) -> bool {
        has(&self.keys, key)
    }

    /// Whether the name is the family's, rather than that of one of its styles.
    pub(super) fn is_family(&self, key: &str) -> bool {
        has(&self.family_keys, key)
    }
}

fn has(keys: &[String], key: &str) -> bool {
    keys.binary_search_by(|known| known.as_str().cmp(key)).is_ok()
}

/// A name in any language, whatever the case and the spaces.
pub(super) fn key(name: &str) -> String {
    name.chars().filter(|character| !character.is_whitespace()).flat_map(char::to_lowercase).collect()
}

fn text(name: &Encoded<'_>) -> String {
    let name: String = name.chars().filter(|character| !character.is_control()).take(MOST_CHARACTERS).collect();
    name.trim().to_owned()
}

fn is_korean(name: &Localized<'_>) -> bool {
    name.language().is_some_and(|language| language.starts_with("ko"))
}
