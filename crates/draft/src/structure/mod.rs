//! Which parts of the sheets become layers: text by block, objects by connected piece, people one by one.

mod blocks;
mod count;
mod divide;
mod look;
mod pieces;
mod unit;

use layers::Kind;

use crate::layer::{Group, Part, Sheet, TextLine};
use crate::monitor::{Monitor, Stopped};
use crate::note::Note;
use crate::plane::Rgb8;

pub(crate) use look::{Look, SOLID};
pub(crate) use unit::Unit;

/// A subject is also each further piece of at least this share of its largest: the figures of a group.
const ANOTHER_FIGURE: f32 = 0.2;

/// Share of the largest piece from which another one is a layer, where a single layer is split.
const SPLIT_SHARE: f32 = 0.03;

/// A sheet and the layers that it becomes.
pub(crate) struct Arranged {
    /// Its parts are the least that can be a layer.
    pub sheet: Sheet,
    /// What each part looks like.
    pub looks: Vec<Look>,
    /// Each part is in one of them. The lowest comes first.
    pub units: Vec<Unit>,
}

/// All that lies above the background, the lowest sheet first.
pub(crate) struct Arrangement {
    pub sheets: Vec<Arranged>,
    size: (usize, usize),
}

impl Arrangement {
    /// The layers that the picture suggests; `sheets` come highest first.
    ///
    /// # Errors
    /// [`Stopped`] when the caller gave up.
    pub(crate) fn new(background: &Rgb8, sheets: Vec<Sheet>, monitor: &Monitor) -> Result<Self, Stopped> {
        let size = (background.width, background.height);
        let mut arranged: Vec<Arranged> = Vec::new();
        for sheet in sheets.into_iter().rev() {
            monitor.check()?;
            let below = arranged.last().map_or(background, |lower| &lower.sheet.above);
            let next = Arranged::new(sheet, below, size.0.max(size.1), monitor)?;
            arranged.push(next);
        }
        Ok(Self { sheets: arranged, size })
    }

    /// As many layers as there are things, at most `most` above the background; says what was chosen.
    pub(crate) fn fit_naturally(&mut self, most: usize) -> Note {
        self.join_until(most);
        let all = || self.sheets.iter().flat_map(|sheet| &sheet.units);
        let count = |kind| all().filter(|unit| unit.kind == kind).count();
        Note::ChoseLayers { objects: count(Kind::Object), subjects: count(Kind::Subject), texts: count(Kind::Text) }
    }

    /// `wanted` layers above the background, or as many as can be made.
    pub(crate) fn fit(&mut self, wanted: usize) {
        self.join_until(wanted);
        self.split_until(wanted);
    }

    /// Divides what is a single layer further: a block into its lines, a swarm into its pieces.
    pub(crate) fn take_apart(&mut self) {
        let long = self.long();
        if let [sheet] = &mut self.sheets[..] {
            sheet.take_apart(long);
        }
    }

    /// Puts the layers of each sheet in order: those of a group next to each other, the largest objects lowest, text
    /// from the top of the picture to its bottom, as it is read in a list of layers.
    pub(crate) fn sort(&mut self) {
        let rank = |unit: &Unit| match (unit.kind, unit.group) {
            (Kind::Text, _) | (_, Some(Group::Text)) => 3,
            (_, Some(Group::People)) => 2,
            (Kind::Subject, _) => 1,
            _ => 0,
        };
        for sheet in &mut self.sheets {
            sheet.units.sort_by_key(|unit| {
                let rect = unit.look.rect;
                let (y, x) = rect.map_or((0, 0), |rect| (rect.y0, rect.x0));
                let place = if rank(unit) >= 2 { 0 } else { unit.look.area };
                (rank(unit), std::cmp::Reverse(place), std::cmp::Reverse((y, x)))
            });
        }
    }

    fn long(&self) -> usize {
        self.size.0.max(self.size.1)
    }

    fn pixels(&self) -> usize {
        self.size.0 * self.size.1
    }
}

impl Arranged {
    fn new(mut sheet: Sheet, below: &Rgb8, long: usize, monitor: &Monitor) -> Result<Self, Stopped> {
        let mut origins = divide::divide(&mut sheet);
        monitor.check()?;
        let looks = Look::of(&sheet, below);
        monitor.check()?;
        let mut found = Self { sheet, looks, units: Vec::new() };
        found.gather_rows(&mut origins);
        found.units = found.layers_of(&origins, (below.width, below.height), long);
        // What has no solid pixel goes with the first.
        if found.units.iter().any(|unit| unit.look.area > 0) {
            found.units.retain(|unit| unit.look.area > 0);
        } else {
            found.units.truncate(1);
        }
        Ok(found)
    }

    /// The words of a row become one part.
    fn gather_rows(&mut self, origins: &mut Vec<usize>) {
        let lines = |part: &Part| (part.kind == Kind::Text).then(|| part.lines.first().cloned()).flatten();
        let (mut parts, mut looks, mut from) = (Vec::new(), Vec::new(), Vec::new());
        let mut number = vec![0u8; self.sheet.parts.len() + 1];
        let mut add = |places: &[usize], part: Part, number: &mut [u8]| {
            places.iter().for_each(|&k| number[k + 1] = parts.len() as u8 + 1);
            parts.push(part);
            looks.push(places.iter().map(|&k| self.looks[k]).reduce(Look::with).unwrap_or_default());
            from.push(origins[places[0]]);
        };
        let olds = origins.iter().max().map_or(0, |last| last + 1);
        for old in 0..olds {
            let own: Vec<usize> = (0..origins.len()).filter(|&k| origins[k] == old).collect();
            let all: Vec<TextLine> = own.iter().filter_map(|&k| lines(&self.sheet.parts[k])).collect();
            if all.len() < own.len() || all.is_empty() {
                own.iter().for_each(|&k| add(&[k], self.sheet.parts[k].clone(), &mut number));
                continue;
            }
            let own_looks: Vec<Look> = own.iter().map(|&k| self.looks[k]).collect();
            for (row, line) in blocks::rows(&all, &own_looks) {
                let places: Vec<usize> = row.into_iter().map(|k| own[k]).collect();
                let part = Part { lines: vec![line], ..self.sheet.parts[places[0]].clone() };
                add(&places, part, &mut number);
            }
        }
        self.sheet.owner = self.sheet.owner.map(|owner| number.get(usize::from(owner)).copied().unwrap_or(1));
        (self.sheet.parts, self.looks, *origins) = (parts, looks, from);
    }

    /// Blocks, things and pieces.
    fn layers_of(&self, origins: &[usize], size: (usize, usize), long: usize) -> Vec<Unit> {
        let parts = &self.sheet.parts;
        let unit = |places: Vec<usize>| Unit::new(places, parts, &self.looks, long);
        let mut units = Vec::new();
        let olds = origins.iter().max().map_or(0, |last| last + 1);
        for old in 0..olds {
            let own: Vec<usize> = (0..parts.len()).filter(|&k| origins[k] == old).collect();
            let Some(first) = own.first().map(|&k| &parts[k]) else { continue };
            let looks: Vec<Look> = own.iter().map(|&k| self.looks[k]).collect();
            if first.thing.is_some() || first.lines.is_empty() && first.kind == Kind::Text {
                units.push(unit(own));
            } else if first.kind == Kind::Text {
                let rows: Vec<TextLine> = own.iter().flat_map(|&k| parts[k].lines.clone()).collect();
                let blocks = blocks::blocks(&rows, &looks).into_iter();
                units.extend(blocks.map(|block| unit(block.into_iter().map(|k| own[k]).collect())));
            } else {
                let largest = looks.iter().map(|look| look.area).max().unwrap_or(0) as f32;
                for (rank, group) in pieces::groups(&looks, size).into_iter().enumerate() {
                    let mut unit = unit(group.into_iter().map(|k| own[k]).collect());
                    if unit.kind == Kind::Subject && rank > 0 && (unit.look.area as f32) < ANOTHER_FIGURE * largest {
                        unit.kind = Kind::Object;
                    }
                    units.push(unit);
                }
            }
        }
        units
    }

    /// Makes each part of its only unit a layer; pieces that are much smaller than the largest stay with the nearest.
    fn take_apart(&mut self, long: usize) {
        let [unit] = &self.units[..] else { return };
        let largest = unit.parts.iter().map(|&k| self.looks[k].area).max().unwrap_or(0);
        let least = if unit.kind == Kind::Text { 1 } else { (SPLIT_SHARE * largest as f32) as u64 };
        let (large, small): (Vec<usize>, Vec<usize>) =
            unit.parts.iter().partition(|&&k| self.looks[k].area >= least.max(1));
        let mut groups: Vec<Vec<usize>> = large.into_iter().map(|k| vec![k]).collect();
        for k in small {
            let gap = |group: &Vec<usize>| self.looks[group[0]].gap(&self.looks[k]);
            if let Some(nearest) = groups.iter_mut().min_by(|a, b| gap(a).total_cmp(&gap(b))) {
                nearest.push(k);
            }
        }
        if groups.len() > 1 {
            let made = groups.into_iter().map(|places| Unit::new(places, &self.sheet.parts, &self.looks, long));
            self.units = made.collect();
        }
    }

    /// For each part of the sheet, in which unit it is; those in none go with the first.
    pub(crate) fn unit_of_part(&self) -> Vec<usize> {
        let mut of = vec![0; self.sheet.parts.len()];
        for (u, unit) in self.units.iter().enumerate() {
            unit.parts.iter().for_each(|&k| of[k] = u);
        }
        of
    }
}
