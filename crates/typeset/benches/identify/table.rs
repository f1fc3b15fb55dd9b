//! The table that the benchmark prints.

use std::time::Duration;

use typeset::Match;

/// Families that share their letters: one was made from the other, or only spacing or some signs differ.
const SISTERS: &[&[&str]] = &[
    &["Noto Sans KR", "Noto Sans CJK", "Noto Sans Mono CJK"],
    &["Noto Serif KR", "Noto Serif CJK"],
    &["NanumSquare", "NanumSquare_ac"],
    &["NanumGothic", "NanumGothic Eco", "NanumGothicCoding"],
    &["NanumBarunGothic", "NanumBarunGothic YetHangul"],
    &["NanumMyeongjo", "NanumMyeongjo Eco", "NanumMyeongjo YetHangul"],
    &["BM HANNA 11yrs old", "BM HANNA Pro", "BM HANNA Air"],
    &["BM EULJIRO TTF", "BM Euljiro 10 years later", "BM Euljiro oraeorae"],
    &["BM JUA_TTF", "Jua"],
    &["BM DoHyeon", "Do Hyeon"],
    &["DejaVu Sans", "DejaVu Sans Mono"],
    &["DejaVu Serif", "DejaVu Math TeX Gyre"],
    &["Liberation Sans", "Liberation Sans Narrow", "Nimbus Sans", "Nimbus Sans Narrow"],
    &["Liberation Serif", "Nimbus Roman"],
    &["Liberation Mono", "Nimbus Mono PS"],
    &["Noto Mono", "Noto Sans Mono"],
];

/// Whether two families are the same or sisters.
pub(crate) fn sisters(one: &str, two: &str) -> bool {
    // "Noto Sans CJK KR" and "Noto Sans CJK JP" differ in a few Chinese characters.
    let plain = |name: &str| {
        let cjk = [" HK", " JP", " KR", " SC", " TC"].iter().find_map(|region| name.strip_suffix(region));
        cjk.filter(|name| name.ends_with("CJK")).unwrap_or(name).to_owned()
    };
    let (one, two) = (plain(one), plain(two));
    one == two || SISTERS.iter().any(|group| group.contains(&one.as_str()) && group.contains(&two.as_str()))
}

#[derive(Default)]
pub(crate) struct Row {
    lines: usize,
    family: usize,
    sister: usize,
    exact: usize,
    size: Vec<f32>,
    spacing: Vec<f32>,
    baseline: Vec<f32>,
    overlap: Vec<f32>,
    own: Vec<f32>,
    wrong: Vec<f32>,
    ms: Vec<f32>,
}

impl Row {
    pub(crate) const HEADER: &str = "damage     lines family sister  face | size % p50  p95  <3% | base px p50  p95  <2px \
        | spacing p95 | own IoU p5  p50 | own sim p5 | wrong sim p95 | ms p50  p95";

    pub(crate) fn right(&mut self, family: bool, sister: bool, face: bool) {
        self.lines += 1;
        self.family += usize::from(family);
        self.sister += usize::from(sister);
        self.exact += usize::from(face);
    }

    pub(crate) fn fit(&mut self, found: &Match, size: f32, spacing: f32, baseline: f32) {
        self.size.push(100.0 * (found.size / size - 1.0).abs());
        self.spacing.push((found.letter_spacing - spacing).abs());
        self.baseline.push((found.baseline - baseline).abs());
    }

    pub(crate) fn took(&mut self, took: Duration) {
        self.ms.push(took.as_secs_f32() * 1e3);
    }

    pub(crate) fn own(&mut self, similarity: f32, overlap: f32) {
        self.own.push(similarity);
        self.overlap.push(overlap);
    }

    pub(crate) fn wrong(&mut self, similarity: Option<f32>) {
        self.wrong.extend(similarity);
    }

    pub(crate) fn line(&self, name: &str) -> String {
        let share = |count: usize| 100.0 * count as f32 / self.lines.max(1) as f32;
        let within = |values: &[f32], limit: f32| {
            100.0 * values.iter().filter(|value| **value <= limit).count() as f32 / values.len().max(1) as f32
        };
        format!(
            "{name:10} {:5} {:5.1}% {:5.1}% {:4.1}% | {:9.2} {:5.2} {:4.1} | {:10.2} {:5.2} {:4.1} | {:11.2} | {:10.3} {:.3} | {:10.3} | {:12.3} | {:6.1} {:5.1}",
            self.lines,
            share(self.family),
            share(self.sister),
            share(self.exact),
            at(&self.size, 0.5),
            at(&self.size, 0.95),
            within(&self.size, 3.0),
            at(&self.baseline, 0.5),
            at(&self.baseline, 0.95),
            within(&self.baseline, 2.0),
            at(&self.spacing, 0.95),
            at(&self.overlap, 0.05),
            at(&self.overlap, 0.5),
            at(&self.own, 0.05),
            at(&self.wrong, 0.95),
            at(&self.ms, 0.5),
            at(&self.ms, 0.95),
        )
    }

    /// How often the right face and the best wrong family reach each similarity.
    pub(crate) fn histogram(&self, name: &str) {
        let share = |values: &[f32], least: f32| {
            100.0 * values.iter().filter(|value| **value >= least).count() as f32 / values.len().max(1) as f32
        };
        let steps: Vec<String> = [0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.95]
            .iter()
            .map(|&step| format!("≥{step}: {:.0}% {:.0}%", share(&self.own, step), share(&self.wrong, step)))
            .collect();
        println!("{name:8} own, wrong {}", steps.join("  "));
    }
}

fn at(values: &[f32], share: f32) -> f32 {
    let mut values = values.to_vec();
    values.sort_by(f32::total_cmp);
    values.get((share * values.len().saturating_sub(1) as f32).round() as usize).copied().unwrap_or(f32::NAN)
}
