//! How often one syllable of Hangul follows another in Korean words.

use std::sync::LazyLock;

/// Each syllable that the network was trained on, in Unicode's order.
static SYLLABLES: &str = include_str!("../../models/korean-syllables.txt");
/// The pairs of them that words have; see `models/tesseract.py`.
static PAIRS: &[u8] = include_bytes!("../../models/korean-pairs.bin");

/// Syllables of Hangul in Unicode, from 가 on.
const FIRST: u32 = 0xAC00;
const ALL: usize = 11_172;
/// How often a syllable counts that words do not have, and for how many pairs what is known of the second one alone
/// counts.
const UNSEEN: f32 = 0.3;
const ALONE: f32 = 5.0;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(SYLLABLES, PAIRS));

struct Table {
    /// The number of each of Unicode's syllables among the known ones.
    numbers: Vec<Option<u16>>,
    /// How often each known syllable follows each, first one by first one.
    pairs: Vec<u8>,
    /// How often each is the first and the second of a pair.
    first: Vec<f32>,
    second: Vec<f32>,
    all: f32,
}

impl Table {
    /// For each first syllable: the gaps between the numbers of those that follow it, counted from -1 on, each times four
    /// with the power of four (0 to 3) next to how often they do, in groups of seven bits, the lowest first, of which all
    /// but the last have the eighth bit set; then a zero.
    fn read(syllables: &str, bytes: &[u8]) -> Self {
        let mut numbers = vec![None; ALL];
        let mut count = 0_u16;
        for syllable in syllables.trim().chars() {
            if let Some(number) = place(syllable).and_then(|place| numbers.get_mut(place)) {
                *number = Some(count);
                count += 1;
            }
        }
        let count = usize::from(count);
        let (mut pairs, mut first, mut second) = (vec![0; count * count], vec![0.0; count], vec![0.0; count]);
        let (mut row, mut at, mut value, mut shift) = (0, 0, 0_usize, 0_u32);
        for &byte in bytes {
            value |= usize::from(byte & 0x7F) << shift;
            shift = (shift + 7).min(14);
            if byte & 0x80 != 0 {
                continue;
            }
            let often = 1_u8 << (2 * (value & 3));
            at += value >> 2;
            match (value, at.checked_sub(1)) {
                (0, _) => (row, at) = (row + 1, 0),
                (_, Some(number)) if row < count && number < count => {
                    pairs[row * count + number] = often;
                    first[row] += f32::from(often);
                    second[number] += f32::from(often);
                }
                _ => {}
            }
            (value, shift) = (0, 0);
        }
        let all = second.iter().sum::<f32>().max(1.0);
        Self { numbers, pairs, first, second, all }
    }

    fn likely(&self, before: Option<char>, syllable: char) -> f32 {
        let number = |syllable| self.numbers.get(place(syllable)?).copied().flatten().map(usize::from);
        let own = number(syllable);
        let alone = (own.map_or(0.0, |own| self.second[own]) + UNSEEN) / self.all;
        let Some(before) = before else { return alone };
        let before = number(before);
        let often = before.zip(own).map_or(0, |(before, own)| self.pairs[before * self.first.len() + own]);
        (f32::from(often) + ALONE * alone) / (before.map_or(0.0, |before| self.first[before]) + ALONE)
    }
}

/// The place of a syllable among Unicode's.
fn place(syllable: char) -> Option<usize> {
    u32::from(syllable).checked_sub(FIRST).map(|place| place as usize).filter(|&place| place < ALL)
}

pub(super) fn prepare() {
    LazyLock::force(&TABLE);
}

/// How likely a syllable is after another one, or, with none, by itself: more than 0, up to 1.
pub(super) fn likely(before: Option<char>, syllable: char) -> f32 {
    TABLE.likely(before, syllable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        // 가나 about four times, 가라 once, nothing after 나, 라가 about 64 times.
        let table = Table::read("가나라\n", &[(2 << 2) | 1, 1 << 2, 0, 0, (1 << 2) | 3, 0]);
        assert_eq!(table.pairs, [0, 4, 1, 0, 0, 0, 64, 0, 0]);
        assert_eq!((table.first.as_slice(), table.second.as_slice()), (&[5.0, 0.0, 64.0][..], &[64.0, 4.0, 1.0][..]));
        assert!(table.likely(Some('가'), '나') > 3.0 * table.likely(Some('가'), '라'));
        assert!(table.likely(None, '쀓') > 0.0 && table.likely(Some('쀓'), '7') > 0.0);
    }

    #[test]
    fn a_wide_gap_takes_two_bytes() {
        let syllables: String = (0..300).filter_map(|k| char::from_u32(FIRST + k)).collect();
        let value = (251 << 2) | 1;
        let table = Table::read(&syllables, &[(value & 0x7F) as u8 | 0x80, (value >> 7) as u8, 0]);
        let found: Vec<usize> = (0..table.pairs.len()).filter(|&pair| table.pairs[pair] != 0).collect();
        assert_eq!((found, table.pairs[250]), (vec![250], 4));
    }

    #[test]
    fn what_words_have_is_likelier() {
        assert_eq!(TABLE.first.len(), 1076);
        for (before, right, wrong) in [('불', '빛', '빚'), ('사', '람', '랍')] {
            assert!(likely(Some(before), right) > likely(Some(before), wrong), "{before}{right}");
        }
    }
}
