//! The most probable line of Korean: what the network sees, over all ways to spread it over the steps, times how likely
//! its syllables follow one another (a prefix beam search of CTC, Hannun et al. 2014).

use std::collections::BTreeMap;

use super::pairs::likely;
use super::reading::Run;
use super::steady;

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// A letter of a syllable, with its place among those of its kind: the first, the vowel, and the last, of which
    /// number 0 stands for none.
    Lead(u32),
    Vowel(u32),
    Tail(u32),
    /// Anything else; `None` for a class that stands for nothing.
    Sign(Option<char>),
}

/// Lines that are kept at each step.
const BEAM: usize = 8;
/// Probability of a class from which it is looked at.
const LEAST: f32 = 1.0 / 1024.0;
/// What counts as the least probability: of what is less, the network says 0.
const NEARLY_NONE: f32 = 1.0 / 4096.0;
/// How much the syllables' likeliness counts against what is seen, and its logarithm at which it counts nothing.
/// Measured on 400 lines in twenty typefaces, none of them from a poster of the benchmark.
const WEIGHT: f32 = 0.7;
const NEUTRAL: f32 = -6.0;

/// Logarithm of a probability of 0.
const NEVER: f32 = -1e30;

/// A line up to some class: all of them make a tree.
struct Node {
    class: usize,
    code: Code,
    before: Option<usize>,
    /// What counts for its syllables.
    likely: f32,
    /// The syllable that ends here, and the one before the one that has begun.
    syllable: Option<char>,
    earlier: Option<char>,
}

/// Logarithms of the probabilities of a line whose last step is "nothing" (or which is empty), and of one whose last
/// step is its last class.
#[derive(Clone, Copy)]
struct Score {
    nothing: f32,
    class: f32,
}

/// The classes of the best line with the steps that they take; `codes` says what each class stands for.
pub(super) fn best_runs(probabilities: &[f32], codes: &[Code], nothing: usize) -> Vec<Run> {
    let classes = codes.len();
    let steps: Vec<Vec<(usize, f32)>> = probabilities
        .chunks_exact(classes)
        .map(|values| {
            let seen = values.iter().enumerate().map(|(class, &p)| (class, steady(p)));
            seen.filter(|&(class, p)| class == nothing || p >= LEAST)
                .map(|(class, p)| (class, libm::logf(p.max(NEARLY_NONE))))
                .collect()
        })
        .collect();
    let line = search(&steps, codes, nothing);
    spread(probabilities, &line, classes, nothing)
}

/// The classes of the best line.
fn search(steps: &[Vec<(usize, f32)>], codes: &[Code], nothing: usize) -> Vec<usize> {
    let mut tree = Tree { nodes: Vec::new(), known: BTreeMap::new() };
    let mut beam: Vec<(Option<usize>, Score)> = vec![(None, Score { nothing: 0.0, class: NEVER })];
    for step in steps {
        let mut next: BTreeMap<Option<usize>, Score> = BTreeMap::new();
        let mut add = |line: Option<usize>, score: Score| {
            let sum = next.entry(line).or_insert(Score { nothing: NEVER, class: NEVER });
            *sum = Score { nothing: either(sum.nothing, score.nothing), class: either(sum.class, score.class) };
        };
        for &(line, Score { nothing: quiet, class: sounding }) in &beam {
            let any = either(quiet, sounding);
            let last = line.map(|line| tree.nodes[line].class);
            for &(class, p) in step {
                if class == nothing {
                    add(line, Score { nothing: any + p, class: NEVER });
                    continue;
                }
                if last == Some(class) {
                    add(line, Score { nothing: NEVER, class: sounding + p });
                }
                // The same class again is another letter only after "nothing".
                let before = if last == Some(class) { quiet } else { any };
                if before > NEVER
                    && let Some(longer) = tree.with(line, class, codes)
                {
                    add(Some(longer), Score { nothing: NEVER, class: before + p });
                }
            }
        }
        beam = next.into_iter().collect();
        let rate = |(line, score): &(Option<usize>, Score)| tree.likely(*line) + either(score.nothing, score.class);
        beam.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then(a.0.cmp(&b.0)));
        beam.truncate(BEAM);
    }
    tree.classes(beam.first().and_then(|(line, _)| *line))
}

struct Tree {
    nodes: Vec<Node>,
    /// The longer line for a line and a class.
    known: BTreeMap<(Option<usize>, usize), usize>,
}

impl Tree {
    /// A line with one more class; `None` where no syllable goes on so.
    fn with(&mut self, line: Option<usize>, class: usize, codes: &[Code]) -> Option<usize> {
        if let Some(&known) = self.known.get(&(line, class)) {
            return Some(known);
        }
        let last = line.map(|line| &self.nodes[line]);
        let code = codes[class];
        // What counts before the syllable, which is open until its tail is there: then the whole one counts in its place.
        let (syllable, earlier, before) = match (last.map(|last| (last.code, last)), code) {
            (Some((Code::Lead(lead), last)), Code::Vowel(vowel)) => (syllable(lead, vowel, 0), last.earlier, line),
            (Some((Code::Vowel(_), last)), Code::Tail(tail)) => {
                let whole = last.syllable.and_then(|open| char::from_u32(u32::from(open) + tail));
                (whole, last.earlier, last.before)
            }
            (_, Code::Vowel(_) | Code::Tail(_)) | (Some((Code::Lead(_), _)), _) => return None,
            (last, Code::Lead(_)) => (None, last.and_then(|(_, last)| last.syllable), line),
            (_, Code::Sign(_)) => (None, None, line),
        };
        let mut likely = self.likely(before);
        if let Some(syllable) = syllable {
            likely += WEIGHT * (libm::logf(self::likely(earlier, syllable)) - NEUTRAL);
        }
        self.nodes.push(Node { class, code, before: line, likely, syllable, earlier });
        self.known.insert((line, class), self.nodes.len() - 1);
        Some(self.nodes.len() - 1)
    }

    fn likely(&self, line: Option<usize>) -> f32 {
        line.map_or(0.0, |line| self.nodes[line].likely)
    }

    fn classes(&self, line: Option<usize>) -> Vec<usize> {
        let nodes = std::iter::successors(line.map(|line| &self.nodes[line]), |node| Some(&self.nodes[node.before?]));
        let mut classes: Vec<usize> = nodes.map(|node| node.class).collect();
        classes.reverse();
        classes
    }
}

/// A syllable of its letters, by the arithmetic of Unicode, section 3.12.
pub(super) fn syllable(lead: u32, vowel: u32, tail: u32) -> Option<char> {
    char::from_u32(0xAC00 + (lead * 21 + vowel) * 28 + tail)
}

/// The logarithm of the sum of two probabilities.
fn either(a: f32, b: f32) -> f32 {
    let (more, less) = if a >= b { (a, b) } else { (b, a) };
    if less <= NEVER { more } else { more + libm::log1pf(libm::expf(less - more)) }
}

/// The most probable steps of each class of a line (Viterbi).
fn spread(probabilities: &[f32], line: &[usize], classes: usize, nothing: usize) -> Vec<Run> {
    // "Nothing" before, between and after the classes.
    let places: Vec<usize> = (0..2 * line.len() + 1).map(|k| if k % 2 == 0 { nothing } else { line[k / 2] }).collect();
    let log = |step: &[f32], place: usize| libm::logf(steady(step[places[place]]).max(NEARLY_NONE));
    let mut best = vec![NEVER; places.len()];
    let mut came: Vec<u8> = Vec::new();
    for (number, step) in probabilities.chunks_exact(classes).enumerate() {
        let from = |place: usize| -> (f32, u8) {
            if number == 0 {
                return (if place < 2 { 0.0 } else { NEVER }, 0);
            }
            let skips = place >= 2 && places[place] != nothing && places[place] != places[place - 2];
            let ways = (0..=2_u8).filter(|&way| usize::from(way) <= place && (way < 2 || skips));
            let rated = ways.map(|way| (best[place - usize::from(way)], way));
            rated.fold((NEVER, 0), |best, found| if found.0 > best.0 { found } else { best })
        };
        let ways: Vec<(f32, u8)> = (0..places.len()).map(from).collect();
        came.extend(ways.iter().map(|(_, way)| way));
        best = ways.iter().enumerate().map(|(place, (sum, _))| (sum + log(step, place)).max(NEVER)).collect();
    }
    let steps = came.len() / places.len();
    let mut place = places.len() - 1;
    if place > 0 && best[place - 1] > best[place] {
        place -= 1;
    }
    let mut runs: Vec<Option<Run>> = vec![None; line.len()];
    for step in (0..steps).rev() {
        if place % 2 == 1 {
            let class = places[place];
            let sure = steady(probabilities[step * classes + class]);
            let run = runs[place / 2].get_or_insert(Run { class, sure, from: step, to: step });
            (run.from, run.sure) = (step, run.sure.max(sure));
        }
        place -= usize::from(came[step * places.len() + place]).min(place);
    }
    runs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: usize = 7;
    /// ㅂ, ㅣ, ㅊ and ㅈ as tails, "7", ㅂㅜ's ㅜ and ㄹ as a tail.
    const CODES: [Code; 8] = [
        Code::Lead(7),
        Code::Vowel(20),
        Code::Tail(23),
        Code::Tail(22),
        Code::Sign(Some('7')),
        Code::Vowel(13),
        Code::Tail(8),
        Code::Sign(None),
    ];

    /// Steps in each of which some classes have a probability, "nothing" the rest.
    fn steps(seen: &[&[(usize, f32)]]) -> Vec<f32> {
        let step = |seen: &&[(usize, f32)]| {
            let mut values = vec![0.0; CODES.len()];
            seen.iter().for_each(|&(class, p)| values[class] = p);
            values[NOTHING] = 1.0 - values.iter().sum::<f32>();
            values
        };
        seen.iter().flat_map(step).collect()
    }

    fn classes(seen: &[&[(usize, f32)]]) -> Vec<usize> {
        best_runs(&steps(seen), &CODES, NOTHING).iter().map(|run| run.class).collect()
    }

    #[test]
    fn likely_syllables_win_where_the_network_doubts() {
        // 불빛, not 불빚, although the network is a little surer of that.
        let fire: [&[(usize, f32)]; 3] = [&[(0, 0.99)], &[(5, 0.99)], &[(6, 0.99)]];
        let doubtful: [&[(usize, f32)]; 3] = [&[(0, 0.99)], &[(1, 0.99)], &[(2, 0.4), (3, 0.55)]];
        assert_eq!(classes(&[fire, doubtful].concat()), [0, 5, 6, 0, 1, 2]);
        let sure: [&[(usize, f32)]; 3] = [&[(0, 0.99)], &[(1, 0.99)], &[(3, 0.999)]];
        assert_eq!(classes(&[fire, sure].concat()), [0, 5, 6, 0, 1, 3], "what is seen surely stays");
    }

    #[test]
    fn letters_make_syllables() {
        // A vowel without a lead is none, however sure.
        assert_eq!(classes(&[&[(4, 0.9)], &[(1, 0.9)], &[(4, 0.9)]]), [4, 4]);
        assert_eq!(classes(&[&[(4, 0.9)], &[(4, 0.9)]]), [4], "one digit over two steps");
        assert_eq!(classes(&[&[(4, 0.9)], &[], &[(4, 0.9)]]), [4, 4]);
        assert_eq!(classes(&[&[], &[]]), [] as [usize; 0]);
        assert_eq!(classes(&[]), [] as [usize; 0]);
    }

    #[test]
    fn runs_have_their_steps() {
        let seen: [&[(usize, f32)]; 6] = [&[], &[(0, 0.5)], &[(0, 0.75)], &[(1, 0.875)], &[], &[(4, 1.0)]];
        let run = |class, sure, from, to| Run { class, sure, from, to };
        let found = best_runs(&steps(&seen), &CODES, NOTHING);
        assert_eq!(found, [run(0, 0.75, 1, 2), run(1, 0.875, 3, 3), run(4, 1.0, 5, 5)]);
    }
}
