//! How well the text layers are read: the character error rate, line by line.

use serde::{Deserialize, Serialize};

/// Lines that one line may stand for: the cells of a row are read as one line or one by one.
const MOST_JOINED: usize = 6;
/// Share of wrong characters from which two lines are not the same line.
const STRANGE: f64 = 0.7;

/// Edits and true characters; their quotient is the character error rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    pub edits: usize,
    pub characters: usize,
}

impl Errors {
    /// Character error rate; none where nothing is to be read.
    pub(crate) fn rate(self) -> Option<f64> {
        (self.characters > 0).then(|| self.edits as f64 / self.characters as f64)
    }
}

impl std::ops::AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.characters += other.characters;
    }
}

/// Errors in lines with Hangul, and in the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    pub korean: Errors,
    pub other: Errors,
}

/// Matches what the text layers say with the true lines, the likest first; what has no partner is missing or made up.
pub(crate) fn names(truth: &[String], found: &[&str]) -> Names {
    let truth: Vec<Vec<char>> = truth.iter().map(|line| tidy(line)).filter(|line| !line.is_empty()).collect();
    let found: Vec<Vec<char>> =
        found.iter().flat_map(|text| text.lines()).map(tidy).filter(|l| !l.is_empty()).collect();
    let mut pairs = Vec::new();
    for (true_lines, found_lines) in runs(truth.len(), MOST_JOINED)
        .flat_map(|t| runs(found.len(), 1).map(move |f| (t.clone(), f)))
        .chain(runs(truth.len(), 1).flat_map(|t| runs(found.len(), MOST_JOINED).map(move |f| (t.clone(), f))))
    {
        let (a, b) = (join(&truth[true_lines.clone()]), join(&found[found_lines.clone()]));
        let longer = a.len().max(b.len());
        if a.len().abs_diff(b.len()) as f64 / (longer as f64) < STRANGE {
            let edits = distance(&a, &b);
            pairs.push((edits as f64 / longer as f64, longer, edits, true_lines, found_lines));
        }
    }
    // Of equally good pairs the longer one: it explains more.
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut true_free, mut found_free) = (vec![true; truth.len()], vec![true; found.len()]);
    let mut names = Names::default();
    let mut count = |line: &[char], edits: usize, characters: usize| {
        let sum = if line.iter().any(|&c| is_hangul(c)) { &mut names.korean } else { &mut names.other };
        *sum += Errors { edits, characters };
    };
    for (share, _, edits, true_lines, found_lines) in pairs {
        let is_free = true_free[true_lines.clone()].iter().chain(&found_free[found_lines.clone()]).all(|&free| free);
        if share < STRANGE && is_free {
            let line = join(&truth[true_lines.clone()]);
            count(&line, edits, line.len());
            true_free[true_lines].fill(false);
            found_free[found_lines].fill(false);
        }
    }
    for (line, _) in truth.iter().zip(true_free).filter(|(_, free)| *free) {
        count(line, line.len(), line.len());
    }
    for (line, _) in found.iter().zip(found_free).filter(|(_, free)| *free) {
        count(line, line.len(), 0);
    }
    names
}

/// All runs of 1 to `most` neighbours among `count`.
fn runs(count: usize, most: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..count).flat_map(move |start| (start + 1..=count.min(start + most)).map(move |end| start..end))
}

fn join(lines: &[Vec<char>]) -> Vec<char> {
    lines.join(&' ')
}

/// One space for every run of white space, and one form of dashes, quotes and wide characters, which only the font tells
/// apart.
fn tidy(line: &str) -> Vec<char> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let plain = |c: char| match c {
        '–' | '—' | '−' => '-',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '！'..='～' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '•' | '・' | '‧' => '·',
        c => c,
    };
    words.join(" ").chars().map(plain).collect()
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{AC00}'..='\u{D7A3}')
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (row[j + 1] + 1).min(row[j] + 1).min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
