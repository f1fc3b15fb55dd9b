//! Joining and splitting layers until there are as many as asked for.

use layers::Kind;

use super::unit::{Class, Unit};
use super::{Arranged, Arrangement};
use crate::layer::{Part, Sheet};
use crate::plane::Rect;

/// Share of the picture under which no piece is split off.
const WORTH_A_LAYER: f32 = 0.002;
/// Ratio of sizes from which two lines have different styles.
const ANOTHER_SIZE: f32 = 1.25;

impl Arrangement {
    /// Layers above the background.
    pub(crate) fn len(&self) -> usize {
        self.sheets.iter().map(|sheet| sheet.units.len()).sum()
    }

    /// Joins until there are at most `most` layers.
    pub(crate) fn join_until(&mut self, most: usize) {
        if most == 0 {
            self.sheets.clear();
        }
        while self.len() > most && (self.join_alike() || self.join_sheets()) {}
    }

    /// Splits until there are `least` layers, or nothing can be split further.
    pub(crate) fn split_until(&mut self, least: usize) {
        while self.len() < least && self.split_once() {}
    }

    /// The least important unit that has another of its class in its sheet joins the one that it fits best.
    fn join_alike(&mut self) -> bool {
        let long = self.long();
        let mut least: Option<(usize, usize)> = None;
        for (s, sheet) in self.sheets.iter().enumerate() {
            for (u, unit) in sheet.units.iter().enumerate() {
                let alike = sheet.units.iter().filter(|other| other.class() == unit.class()).count();
                let less = |(t, v): (usize, usize)| unit.importance < self.sheets[t].units[v].importance;
                if alike > 1 && least.is_none_or(less) {
                    least = Some((s, u));
                }
            }
        }
        let Some((s, u)) = least else { return false };
        let class = self.sheets[s].units[u].class();
        self.sheets[s].join_best(u, |other: Class| other == class, long)
    }

    /// Joins what is not alike: pieces of one sheet first, then a sheet with the next; text last.
    fn join_sheets(&mut self) -> bool {
        let long = self.long();
        for with_text in [false, true] {
            let fits = |(kind, _): Class| with_text || kind != Kind::Text;
            let inside =
                self.sheets.iter().position(|sheet| sheet.units.iter().filter(|u| fits(u.class())).count() > 1);
            if let Some(sheet) = inside.map(|s| &mut self.sheets[s]) {
                let least = (0..sheet.units.len())
                    .filter(|&u| fits(sheet.units[u].class()))
                    .min_by(|&a, &b| sheet.units[a].importance.total_cmp(&sheet.units[b].importance));
                return least.is_some_and(|u| sheet.join_best(u, fits, long));
            }
            let weight = |s: usize| self.sheets[s].units.iter().map(|u| u.importance).fold(f32::INFINITY, f32::min);
            let pairs = (1..self.sheets.len())
                .filter(|&s| [s - 1, s].iter().all(|&k| with_text || self.sheets[k].sheet.kind != Kind::Text));
            let lightest = pairs.min_by(|&a, &b| {
                let least = |s: usize| weight(s - 1).min(weight(s));
                least(a).total_cmp(&least(b))
            });
            if let Some(s) = lightest {
                let upper = self.sheets.remove(s);
                let lower = self.sheets.remove(s - 1);
                self.sheets.insert(s - 1, lower.under(upper));
                return true;
            }
        }
        false
    }

    /// The largest unit of several pieces loses its largest piece; else the most important text is divided.
    fn split_once(&mut self) -> bool {
        let least = (WORTH_A_LAYER * self.pixels() as f32) as u64;
        let long = self.long();
        let mut best: Option<(u64, f32, usize, usize)> = None;
        for (s, sheet) in self.sheets.iter().enumerate() {
            for (u, unit) in sheet.units.iter().enumerate() {
                let second = match unit.kind {
                    Kind::Text if unit.parts.len() > 1 => 0,
                    Kind::Text => continue,
                    _ => {
                        let mut areas: Vec<u64> = unit.parts.iter().map(|&k| sheet.looks[k].area).collect();
                        areas.sort_unstable_by_key(|&area| std::cmp::Reverse(area));
                        areas.get(1).copied().filter(|&area| area > least).unwrap_or(0)
                    }
                };
                let worth = (second, unit.importance);
                let better = best.is_none_or(|(area, importance, ..)| worth > (area, importance));
                if (second > 0 || unit.kind == Kind::Text) && better {
                    best = Some((worth.0, worth.1, s, u));
                }
            }
        }
        let Some((.., s, u)) = best else { return false };
        self.sheets[s].split(u, long);
        true
    }
}

impl Arranged {
    /// Joins a unit with the one of a class for which `fits` that it fits best.
    fn join_best(&mut self, u: usize, fits: impl Fn(Class) -> bool, long: usize) -> bool {
        let one = self.units.remove(u);
        let others = (0..self.units.len()).filter(|&v| fits(self.units[v].class()));
        let best = others
            .min_by(|&a, &b| one.strangeness(&self.units[a], long).total_cmp(&one.strangeness(&self.units[b], long)));
        match best {
            Some(v) => self.units[v].join(one),
            None => self.units.insert(u, one),
        }
        best.is_some()
    }

    /// One unit of all that this sheet and the next one above it have.
    fn under(self, upper: Arranged) -> Arranged {
        let mut units = self.units.into_iter().chain(upper.units);
        let Some(mut unit) = units.next() else { return Arranged { units: Vec::new(), ..upper } };
        units.for_each(|other| unit.join(other));
        unit.parts = vec![0];
        let alpha = self.sheet.alpha.zip(&upper.sheet.alpha, |a, b| {
            let (a, b) = (u32::from(a), u32::from(b));
            (255 - ((255 - a) * (255 - b)) / 255) as u8
        });
        let part = Part { thing: unit.thing, group: unit.group, lines: unit.lines.clone(), ..Part::new(unit.kind) };
        Arranged { sheet: Sheet::whole(part, alpha, upper.sheet.above), looks: vec![unit.look], units: vec![unit] }
    }

    /// Splits a unit in two; the first one stays in its place.
    fn split(&mut self, u: usize, long: usize) {
        let unit = self.units[u].clone();
        let (kept, rest) = match unit.kind {
            Kind::Text => self.halves_of_text(&unit),
            _ => {
                let mut parts = unit.parts.clone();
                parts.sort_by_key(|&k| (std::cmp::Reverse(self.looks[k].area), k));
                let rest = parts.split_off(1);
                (parts, rest)
            }
        };
        let by_place = |mut parts: Vec<usize>| {
            parts.sort_by_key(|&k| (self.box_of(k).y0, self.box_of(k).x0, k));
            Unit::new(parts, &self.sheet.parts, &self.looks, long)
        };
        let made = [kept, rest].map(by_place);
        let [first, mut second] = made;
        if unit.kind == Kind::Subject {
            // What is left of a subject beside its largest part is an ornament of it.
            second.kind = Kind::Object;
        }
        self.units[u] = first;
        self.units.insert(u + 1, second);
    }

    fn box_of(&self, part: usize) -> Rect {
        let line = self.sheet.parts[part].lines.first().map(|line| line.rect);
        line.or(self.looks[part].rect).unwrap_or(Rect { x0: 0, y0: 0, x1: 0, y1: 0 })
    }

    /// Lines of similar size stay together: the largest step in size divides. Lines that are all alike are divided at
    /// the widest gap between them.
    fn halves_of_text(&self, unit: &Unit) -> (Vec<usize>, Vec<usize>) {
        let size = |k: usize| self.sheet.parts[k].lines.first().map_or(0.0, |line| line.size);
        let (top, bottom) = (|k: usize| self.box_of(k).y0, |k: usize| self.box_of(k).y1);
        let mut parts = unit.parts.clone();
        parts.sort_by(|&a, &b| size(b).total_cmp(&size(a)).then(a.cmp(&b)));
        let ratio = |parts: &[usize], k: usize| size(parts[k - 1]) / size(parts[k]).max(1.0);
        let mut cut = widest(parts.len(), |k| ratio(&parts, k));
        if ratio(&parts, cut) < ANOTHER_SIZE {
            parts.sort_by_key(|&k| (top(k), self.box_of(k).x0, k));
            cut = widest(parts.len(), |k| top(parts[k]) as f32 - bottom(parts[k - 1]) as f32);
        }
        let rest = parts.split_off(cut);
        (parts, rest)
    }
}

/// The place, 1 to `count - 1`, before which `step` is the largest; the first of equals.
fn widest(count: usize, step: impl Fn(usize) -> f32) -> usize {
    (1..count).max_by(|&a, &b| step(a).total_cmp(&step(b)).then(b.cmp(&a))).unwrap_or(1)
}
