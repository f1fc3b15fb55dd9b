//! Which parts of the sheets become layers: text by block, objects by connected piece, people one by one.

mod blocks;
mod count;
mod divide;
mod look;
mod pieces;
mod unit;

use layers::Kind;

use crate::layer::{Group, Sheet};
use crate::monitor::{Monitor, Stopped};
use crate::note::Note;
use crate::plane::Rgb8;

pub(crate) use look::Look;
pub(crate) use unit::Unit;

/// A subject is also each further piece of at least this share of its largest: the figures of a group.
const ANOTHER_FIGURE: f32 = 0.2;

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
        let olds = sheet.parts.len();
        let origins = divide::divide(&mut sheet);
        monitor.check()?;
        let looks = Look::of(&sheet, below);
        monitor.check()?;
        let size = (below.width, below.height);
        let mut units = Vec::new();
        for old in 0..olds {
            let own: Vec<usize> = (0..sheet.parts.len()).filter(|&k| origins[k] == old).collect();
            let Some(&first) = own.first() else { continue };
            let part = &sheet.parts[first];
            if part.kind == Kind::Text {
                let lines: Vec<_> = own.iter().flat_map(|&k| sheet.parts[k].lines.first().cloned()).collect();
                if lines.len() < own.len() {
                    units.push(Unit::new(own, &sheet.parts, &looks, lines, long));
                    continue;
                }
                let own_looks: Vec<Look> = own.iter().map(|&k| looks[k]).collect();
                for block in blocks::blocks(&lines, &own_looks) {
                    let parts = block.lines.iter().map(|&k| own[k]).collect();
                    units.push(Unit::new(parts, &sheet.parts, &looks, block.rows, long));
                }
            } else if part.thing.is_some() {
                units.push(Unit::new(own, &sheet.parts, &looks, Vec::new(), long));
            } else {
                let own_looks: Vec<Look> = own.iter().map(|&k| looks[k]).collect();
                for (rank, group) in pieces::groups(&own_looks, size).into_iter().enumerate() {
                    let parts: Vec<usize> = group.into_iter().map(|k| own[k]).collect();
                    let mut unit = Unit::new(parts, &sheet.parts, &looks, Vec::new(), long);
                    let largest = own_looks.iter().map(|look| look.area).max().unwrap_or(0) as f32;
                    if unit.kind == Kind::Subject && rank > 0 && (unit.look.area as f32) < ANOTHER_FIGURE * largest {
                        unit.kind = Kind::Object;
                    }
                    units.push(unit);
                }
            }
        }
        // What has no solid pixel goes with the first.
        if units.iter().any(|unit| unit.look.area > 0) {
            units.retain(|unit| unit.look.area > 0);
        } else {
            units.truncate(1);
        }
        Ok(Self { sheet, looks, units })
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
