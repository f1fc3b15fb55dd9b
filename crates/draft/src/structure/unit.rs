//! A layer to be: some of the parts of one sheet.

use layers::Kind;

use super::look::Look;
use super::pieces::is_hairline;
use crate::layer::{Group, Part, TextLine};

/// How much an opaque pixel of each kind matters beside others.
const TEXT_WEIGHT: f32 = 3.0;
const SUBJECT_WEIGHT: f32 = 4.0;
/// The same for a line drawn thinly.
const HAIRLINE_WEIGHT: f32 = 0.02;

/// What becomes one layer.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// Places of the parts in their sheet.
    pub parts: Vec<usize>,
    pub kind: Kind,
    /// Code of what it shows, where all its parts show the same.
    pub thing: Option<&'static str>,
    pub group: Option<Group>,
    /// What is written, in reading order.
    pub lines: Vec<TextLine>,
    pub look: Look,
    pub importance: f32,
    /// Whether it is several units joined because fewer layers were asked for.
    pub joined: bool,
}

/// What may be joined without asking: text with text, people with people.
pub(crate) type Class = (Kind, Option<Group>);

impl Unit {
    /// Some parts of a sheet. `long` is the long side of the picture.
    pub(crate) fn new(parts: Vec<usize>, all: &[Part], looks: &[Look], long: usize) -> Self {
        let first = &all[parts[0]];
        let look = parts.iter().map(|&k| looks[k]).reduce(Look::with).unwrap_or_default();
        let lines = parts.iter().flat_map(|&k| all[k].lines.clone()).collect();
        let told: f32 = parts.iter().map(|&k| all[k].importance).sum();
        let weight = match first.kind {
            Kind::Text => TEXT_WEIGHT,
            _ if is_hairline(&look, long) => HAIRLINE_WEIGHT,
            Kind::Subject => SUBJECT_WEIGHT,
            _ => 1.0,
        };
        let importance = told + weight * look.area as f32 * look.contrast();
        let (kind, thing, group) = (first.kind, first.thing, first.group);
        Self { parts, kind, thing, group, lines, look, importance, joined: false }
    }

    pub(crate) fn class(&self) -> Class {
        (self.kind, self.group)
    }

    /// Takes another one in. What is neither text nor the same kind becomes what matters more.
    pub(crate) fn join(&mut self, other: Unit) {
        if self.kind != other.kind {
            let text = self.kind == Kind::Text || other.kind == Kind::Text;
            let subject = self.kind == Kind::Subject || other.kind == Kind::Subject;
            self.kind = if subject && !text { Kind::Subject } else { Kind::Object };
        }
        if self.group != other.group {
            self.group = Some(Group::Objects);
        }
        self.thing = self.thing.filter(|_| self.thing == other.thing);
        self.parts.extend(other.parts);
        self.lines.extend(other.lines);
        self.lines.sort_by_key(|line| (line.rect.y0, line.rect.x0));
        self.look = self.look.with(other.look);
        self.importance += other.importance;
        self.joined = true;
    }

    /// How badly another one fits: by style, distance and colour.
    pub(crate) fn strangeness(&self, other: &Unit, long: usize) -> f32 {
        let size = |unit: &Unit| unit.lines.iter().map(|line| line.size).fold(0.0, f32::max).max(1.0);
        let ratio = (size(self).max(size(other)) / size(self).min(size(other))).min(8.0);
        let apart = self.look.gap(&other.look) / long.max(1) as f32;
        0.3 * (ratio - 1.0) + 4.0 * apart + 2.0 * self.look.colour_distance(&other.look)
    }
}
