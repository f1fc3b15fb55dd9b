//! Splitting and merging layers until there are as many as requested.

use layers::Kind;

use crate::layer::{Sheet, TextLine};
use crate::morphology::{Components, NOWHERE, components, dilate, nearest};
use crate::naming::{OBJECTS, joined_text, text_name};
use crate::note::Note;
use crate::plane::{Mask, Plane, Rgb8};

/// Least share of the picture for a component that becomes a layer of its own. Like the limits below: chosen on the
/// tuning posters of `synth`.
const WORTH_A_LAYER: f32 = 0.002;
/// The same where the number of layers is left to the engine.
const CLEARLY_A_LAYER: f32 = 0.02;
/// Ratio of sizes from which lines of text get layers of their own where the number is left to the engine.
const CLEARLY_ANOTHER_SIZE: f32 = 1.7;
/// Ratio of sizes from which two lines have different styles, where more layers are requested.
const ANOTHER_SIZE: f32 = 1.25;
/// Most layers above the background where the number is left to the engine.
const MOST_BY_ITSELF: usize = 6;

/// The background and the layers above it, while they are split and merged.
pub(crate) struct DraftStack {
    pub background: Rgb8,
    /// Lowest first.
    pub layers: Vec<DraftLayer>,
}

/// A layer before its colours are solved.
#[derive(Debug, Clone)]
pub(crate) struct DraftLayer {
    /// The picture with this layer and all below it.
    pub above: Rgb8,
    /// Opacity, 0 to 255.
    pub alpha: Plane<u8>,
    pub kind: Kind,
    pub name: String,
    /// What a text layer says, line by line.
    pub text: Option<String>,
    pub lines: Vec<TextLine>,
}

impl DraftStack {
    /// Each part of each sheet becomes a layer; `sheets` come highest first.
    pub(crate) fn new(background: Rgb8, sheets: Vec<Sheet>) -> Self {
        let mut stack = Self { background, layers: Vec::new() };
        for sheet in sheets.into_iter().rev() {
            let Sheet { above, alpha, owner, parts, .. } = sheet;
            let below = stack.below(stack.layers.len()).clone();
            for (k, part) in parts.into_iter().enumerate().rev() {
                let number = k as u8 + 1;
                let name = match part.kind {
                    Kind::Text => text_name(&part.lines, alpha.height),
                    Kind::Subject => "Subject".to_owned(),
                    _ => OBJECTS.to_owned(),
                };
                // The parts from this one on are above those before it.
                let above = above.zip(&below, |a, b| (a, b)).zip(&owner, |(a, b), o| if o >= number { a } else { b });
                let alpha = alpha.zip(&owner, |a, o| if o == number { a } else { 0 });
                let text = joined_text(&part.lines);
                stack.layers.push(DraftLayer { above, alpha, kind: part.kind, name, text, lines: part.lines });
            }
        }
        stack
    }

    /// The picture below a layer.
    fn below(&self, index: usize) -> &Rgb8 {
        if index == 0 { &self.background } else { &self.layers[index - 1].above }
    }

    /// Splits or merges until there are `wanted` layers, or no layer can be split further.
    pub(crate) fn fit(&mut self, wanted: usize) {
        if wanted == 0 {
            self.layers.clear();
        }
        while self.layers.len() < wanted && self.split_once(WORTH_A_LAYER) {}
        while self.layers.len() > wanted {
            self.join_lowest();
        }
    }

    /// Chooses the number of layers: one per kind, and one for each large piece beside the largest, at most `most`.
    /// Returns what was chosen.
    pub(crate) fn fit_naturally(&mut self, most: usize) -> Note {
        let most = most.min(MOST_BY_ITSELF);
        while self.layers.len() < most && self.split_once(CLEARLY_A_LAYER) {}
        while self.layers.len() > most {
            self.join_lowest();
        }
        let count = |kind| self.layers.iter().filter(|layer| layer.kind == kind).count();
        Note::ChoseLayers { objects: count(Kind::Object), subjects: count(Kind::Subject), texts: count(Kind::Text) }
    }

    /// Makes one more layer from a piece of at least a `share` of the picture, or
    /// else from lines of text of another size; false if there is none.
    fn split_once(&mut self, share: f32) -> bool {
        let mut order: Vec<usize> = (0..self.layers.len()).filter(|&k| self.layers[k].kind != Kind::Text).collect();
        order.sort_by_key(|&k| std::cmp::Reverse(solid(&self.layers[k]).count()));
        if order.into_iter().any(|index| self.split_components(index, share)) {
            return true;
        }
        let texts: Vec<usize> = (0..self.layers.len()).rev().filter(|&k| self.layers[k].kind == Kind::Text).collect();
        let step = if share > WORTH_A_LAYER { CLEARLY_ANOTHER_SIZE } else { 1.0 };
        texts.into_iter().any(|index| self.split_text(index, step))
    }

    /// The largest component becomes a layer of its own.
    fn split_components(&mut self, index: usize, share: f32) -> bool {
        let mask = solid(&self.layers[index]);
        let parts = components(&dilate(&mask, 2));
        let least = (share * mask.data.len() as f32) as usize;
        let big: Vec<usize> = (1..=parts.len()).filter(|&k| parts.areas[k] > least).collect();
        if big.len() < 2 {
            return false;
        }
        let largest = big.iter().copied().max_by_key(|&k| (parts.areas[k], std::cmp::Reverse(k)));
        let upper = belongs_to(&parts, |label| Some(label) == largest);
        self.split(index, &upper);
        true
    }

    /// Lines of similar size stay together: the largest step in size divides. Lines that are
    /// all alike are divided at the widest gap between them, unless `least` asks for a step.
    fn split_text(&mut self, index: usize, least: f32) -> bool {
        let mut lines = self.layers[index].lines.clone();
        if lines.len() < 2 {
            return false;
        }
        lines.sort_by(|a, b| b.size.total_cmp(&a.size));
        let mut cut = widest(lines.len(), |k| lines[k - 1].size / lines[k].size.max(1.0));
        if lines[cut - 1].size < least * lines[cut].size {
            return false;
        }
        if lines[cut - 1].size < ANOTHER_SIZE * lines[cut].size {
            lines.sort_by_key(|line| (line.rect.y0, line.rect.x0));
            cut = widest(lines.len(), |k| lines[k].rect.y0 as f32 - lines[k - 1].rect.y1 as f32);
        }
        let layer = &self.layers[index];
        let mut owner = Plane::new(layer.alpha.width, layer.alpha.height, 0u8);
        for (rank, line) in lines.iter().enumerate().rev() {
            for y in line.rect.y0..line.rect.y1 {
                for x in line.rect.x0..line.rect.x1 {
                    owner.set(x, y, if rank < cut { 1 } else { 2 });
                }
            }
        }
        let seeds = owner.zip(&solid(layer), |o, s| o > 0 && s);
        let places = nearest(&seeds);
        let upper = places.map(|place| place != NOWHERE && owner.data[place as usize] == 1);
        self.split(index, &upper);
        let (low, high) = lines.split_at(cut);
        self.rename_text(index + 1, low.to_vec());
        self.rename_text(index, high.to_vec());
        true
    }

    fn rename_text(&mut self, index: usize, mut lines: Vec<TextLine>) {
        lines.sort_by_key(|line| (line.rect.y0, line.rect.x0));
        let layer = &mut self.layers[index];
        layer.text = joined_text(&lines);
        layer.name = text_name(&lines, layer.alpha.height);
        layer.lines = lines;
    }

    /// Splits a layer: `upper` pixels go above the rest.
    fn split(&mut self, index: usize, upper: &Mask) {
        let below = self.below(index).clone();
        let layer = &mut self.layers[index];
        let both = below.zip(&layer.above, |b, a| (b, a));
        let middle = both.zip(upper, |(b, a), up| if up { b } else { a });
        let mut lower = layer.clone();
        lower.above = middle;
        lower.alpha = layer.alpha.zip(upper, |a, up| if up { 0 } else { a });
        layer.alpha = layer.alpha.zip(upper, |a, up| if up { a } else { 0 });
        if layer.kind == Kind::Subject {
            // What is left of a subject beside its largest part is an ornament of it.
            lower.kind = Kind::Object;
            lower.name = OBJECTS.to_owned();
        }
        self.layers.insert(index, lower);
    }

    /// The two lowest layers become one; text stays apart while there is a choice.
    fn join_lowest(&mut self) {
        let lower = self.layers.remove(0);
        let layer = &mut self.layers[0];
        layer.alpha = layer.alpha.zip(&lower.alpha, |a, b| {
            let (a, b) = (u32::from(a), u32::from(b));
            (255 - ((255 - a) * (255 - b)) / 255) as u8
        });
        if lower.kind == Kind::Subject || layer.kind == Kind::Text {
            layer.kind = if lower.kind == layer.kind { lower.kind } else { Kind::Object };
            layer.name = if lower.kind == Kind::Subject { lower.name } else { "Foreground".to_owned() };
        }
        layer.lines.extend(lower.lines);
    }
}

/// The place, 1 to `count - 1`, before which `step` is the largest; the first of equals.
fn widest(count: usize, step: impl Fn(usize) -> f32) -> usize {
    (1..count).max_by(|&a, &b| step(a).total_cmp(&step(b)).then(b.cmp(&a))).unwrap_or(1)
}

fn solid(layer: &DraftLayer) -> Mask {
    layer.alpha.map(|a| a > 127)
}

/// Pixels whose nearest component is wanted.
fn belongs_to(parts: &Components, wanted: impl Fn(usize) -> bool + Sync) -> Mask {
    let places = nearest(&parts.labels.map(|l| l != 0));
    places.map(|place| place != NOWHERE && wanted(parts.labels.data[place as usize] as usize))
}
