//! Wording that no text of this repository may have; docs/glossary.md has the terms to use instead.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::root;

/// The tracked files that are checked, as pathspecs of git.
const FILES: [&str; 4] = ["*.rs", "*.md", "*.js", ".env.example"];

/// Files that have to name the phrases: this one, and the glossary.
const EXEMPT: [&str; 2] = ["crates/xtask/src/phrases.rs", "docs/glossary.md"];

/// Phrases in lower case, each with what to write instead. Only whole words match.
const PHRASES: [(&str, &str); 7] = [
    ("trying on", "retrying"),
    ("true lets it", "true allows it"),
    ("with a word on", "with a message that says"),
    ("in a hurry?", "a heading that names the subject"),
    ("die of a job", "are lost while running a job"),
    ("kernels of our own", "custom kernels"),
    ("needs no leave", "needs no permission"),
];

/// Nouns that "is no" and "are no" must not stand before: write "is not a".
const NOUNS: [&str; 34] = [
    "address",
    "archive",
    "bucket",
    "checkpoint",
    "document",
    "event",
    "events",
    "field",
    "file",
    "folder",
    "font",
    "gguf",
    "host",
    "id",
    "json",
    "layer",
    "name",
    "names",
    "network",
    "number",
    "option",
    "origin",
    "parameter",
    "path",
    "picture",
    "png",
    "range",
    "safetensors",
    "secret",
    "setting",
    "unit",
    "url",
    "uuid",
    "valid",
];

/// Fails if a tracked text file has wording of the list.
pub(crate) fn check() -> anyhow::Result<()> {
    let output = Command::new("git").args(["ls-files", "-z", "--"]).args(FILES).current_dir(root()).output();
    let output = output.context("git cannot be started; is it installed?")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("git lists a path that is not UTF-8")?;
    let mut findings = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty() && !EXEMPT.contains(name)) {
        let path = root().join(name);
        // Tracked, but deleted in the working tree.
        if !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("{name} cannot be read"))?;
        findings.extend(find(&text).into_iter().map(|(line, finding)| format!("{name}:{line}: {finding}")));
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("wording that docs/glossary.md rules out:\n  {}", findings.join("\n  "))
}

/// The wording in `text` that is on the list: numbers of lines, and what is wrong there.
fn find(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate();
    lines.flat_map(|(number, line)| in_line(line).into_iter().map(move |finding| (number + 1, finding))).collect()
}

fn in_line(line: &str) -> Vec<String> {
    let line = line.to_lowercase();
    let phrases = PHRASES.iter().filter(|(phrase, _)| has_phrase(&line, phrase));
    let mut findings: Vec<String> =
        phrases.map(|(phrase, instead)| format!("\"{phrase}\"; write \"{instead}\"")).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    for (index, window) in words.windows(3).enumerate() {
        let &[verb, no, noun] = window else { continue };
        if !["is", "are"].contains(&verb) || no != "no" || expletive(&words[..index]) {
            continue;
        }
        let word = noun.trim_matches(|c: char| !c.is_alphanumeric());
        if NOUNS.contains(&word) {
            findings.push(format!("\"{verb} no {word}\"; write \"{verb} not ...\""));
        }
    }
    findings
}

/// Whether the words before "is no" make it say that something does not exist: "there is no address".
fn expletive(before: &[&str]) -> bool {
    let last = before.last().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    matches!(last, Some("there" | "where"))
}

/// Whether `line` has `phrase` with no letter or digit right before or after it.
fn has_phrase(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + phrase.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wording_is_found_with_its_line() {
        let text = "fine\n// The delivery failed; trying on.\n\"{x} is no address such as\"\n";
        let lines: Vec<usize> = find(text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 3]);
        for line in
            ["FLAG=true lets it", "Is No Parameter;", "these are no events.", "\"--host x is no valid address\""]
        {
            assert_eq!(find(line).len(), 1, "{line}");
        }
    }

    #[test]
    fn plain_english_passes() {
        for line in [
            "there is no address for it",
            "There is no name left",
            "where there is no file, it is created",
            "is no longer an address",
            "is not a parameter",
            "retrying once",
            "the policy lets it fetch pictures",
            "no path is no problem",
        ] {
            assert_eq!(find(line), [], "{line}");
        }
    }
}
