//! Names of layers as names of files.

use std::collections::HashSet;

/// The longest name, in bytes: file systems take 255, and an ending and a number come behind it.
const MOST_BYTES: usize = 180;
/// What Windows takes for devices, whatever their ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A name that every file system takes, without an ending: letters of all scripts stay, what separates folders, control
/// characters and the signs that Windows forbids become spaces. `layer` where nothing is left.
///
/// ```
/// assert_eq!(layers::file_name("봄날의 음악회"), "봄날의 음악회");
/// assert_eq!(layers::file_name("../a/b?\n"), "a b");
/// ```
#[must_use]
pub fn file_name(name: &str) -> String {
    let forbidden = |c: char| c.is_control() || "\\/:*?\"<>|\u{feff}".contains(c) || is_direction(c);
    let spaced: String = name.chars().map(|c| if forbidden(c) { ' ' } else { c }).collect();
    let mut kept = String::new();
    for word in spaced.split_whitespace() {
        // Hidden files, and folders above.
        let word = if kept.is_empty() { word.trim_start_matches('.') } else { word };
        if !kept.is_empty() && !word.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    while kept.len() > MOST_BYTES {
        kept.pop();
    }
    let kept = kept.trim_end_matches([' ', '.']);
    let lower = kept.to_ascii_lowercase();
    let is_port = |name: &str| {
        let number = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
        number.is_some_and(|number| number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()))
    };
    let stem = lower.split('.').next().unwrap_or_default();
    match kept {
        "" => "layer".to_owned(),
        _ if DEVICES.contains(&stem) || is_port(stem) => format!("{kept} layer"),
        _ => kept.to_owned(),
    }
}

/// Marks that turn the direction of text round, so that an ending seems to be another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names that are given once each, also where upper and lower case are the same.
#[derive(Debug, Default)]
pub(crate) struct FileNames {
    taken: HashSet<String>,
}

impl FileNames {
    /// Some names are taken already.
    pub(crate) fn without<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { taken: names.into_iter().map(str::to_lowercase).collect() }
    }

    /// A name with an ending such as `.png`; with a number behind it if it was given before.
    pub(crate) fn next(&mut self, name: &str, ending: &str) -> String {
        let plain = file_name(name);
        let mut found = format!("{plain}{ending}");
        let mut number = 2;
        while !self.taken.insert(found.to_lowercase()) {
            found = format!("{plain} {number}{ending}");
            number += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_on_every_system() {
        for (name, expected) in [
            ("Yellow circle 2", "Yellow circle 2"),
            ("標題 🎈", "標題 🎈"),
            ("../../etc/passwd", "etc passwd"),
            ("C:\\a|b", "C a b"),
            (" . ", "layer"),
            ("", "layer"),
            ("a\u{202e}gnp.exe", "a gnp.exe"),
            ("CON", "CON layer"),
            ("lpt1.txt", "lpt1.txt layer"),
            ("company", "company"),
            ("end. . .", "end"),
            (".hidden", "hidden"),
        ] {
            assert_eq!(file_name(name), expected, "{name:?}");
        }
        let long = file_name(&"가".repeat(300));
        assert!(long.len() <= MOST_BYTES && long.chars().all(|c| c == '가') && long.chars().count() == 60);
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = FileNames::without(["preview.png"]);
        let given = ["A", "a", "a", "b/", "b", "Preview"].map(|name| names.next(name, ".png"));
        assert_eq!(given, ["A.png", "a 2.png", "a 3.png", "b.png", "b 2.png", "Preview 2.png"]);
    }
}
