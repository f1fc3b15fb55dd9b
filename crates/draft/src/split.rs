//! Bringing the number of layers to what was asked for.

use layers::Kind;

use crate::morphology::{Components, NOWHERE, components, dilate, nearest};
use crate::naming::OBJECTS;
use crate::plane::{Mask, Plane, Rgb8};
use crate::sheet::{Sheet, Word};

/// Share of the picture from which a component is worth a layer of its own.
const WORTH_A_LAYER: f32 = 0.002;
/// The same where nobody asked for a number of layers.
const CLEARLY_A_LAYER: f32 = 0.02;
/// Ratio of sizes from which lines of text get layers of their own, unasked.
const CLEARLY_ANOTHER_SIZE: f32 = 1.7;
/// Ratio of sizes from which two lines are of another style, where more layers are asked for.
const ANOTHER_SIZE: f32 = 1.25;
/// Most layers above the background where nobody asked for a number.
const MOST_BY_ITSELF: usize = 6;

/// The layers above the background while they are split and joined.
pub struct Pile {
    pub background: Rgb8,
    /// The lowest first.
    pub sheets: Vec<Sheet>,
}

impl Pile {
    /// The picture below a sheet.
    fn below(&self, index: usize) -> &Rgb8 {
        if index == 0 { &self.background } else { &self.sheets[index - 1].above }
    }

    /// Splits or joins until there are `wanted` sheets, as far as that goes.
    pub fn fit(&mut self, wanted: usize) {
        if wanted == 0 {
            self.sheets.clear();
        }
        while self.sheets.len() < wanted && self.split_once(WORTH_A_LAYER) {}
        while self.sheets.len() > wanted {
            self.join_lowest();
        }
    }

    /// As many sheets as the picture has: one per kind, and one for each large
    /// piece beside the largest. Gives the reason in words.
    pub fn fit_naturally(&mut self, most: usize) -> String {
        let most = most.min(MOST_BY_ITSELF);
        while self.sheets.len() < most && self.split_once(CLEARLY_A_LAYER) {}
        while self.sheets.len() > most {
            self.join_lowest();
        }
        let mut parts = vec!["a background".to_owned()];
        for (kind, one, many) in [
            (Kind::Object, "one layer of objects", "layers of objects"),
            (Kind::Subject, "a subject", "subjects"),
            (Kind::Text, "one layer of text", "layers of text"),
        ] {
            match self.sheets.iter().filter(|sheet| sheet.kind == kind).count() {
                0 => {}
                1 => parts.push(one.to_owned()),
                count => parts.push(format!("{count} {many}")),
            }
        }
        let count = match self.sheets.len() + 1 {
            1 => "1 layer".to_owned(),
            count => format!("{count} layers"),
        };
        format!("{count}: {}.", parts.join(", "))
    }

    /// Makes one more layer from a piece of at least a `share` of the picture, or
    /// else from lines of text of another size; false where there is none.
    fn split_once(&mut self, share: f32) -> bool {
        let mut order: Vec<usize> = (0..self.sheets.len()).filter(|&k| self.sheets[k].kind != Kind::Text).collect();
        order.sort_by_key(|&k| std::cmp::Reverse(solid(&self.sheets[k]).count()));
        if order.into_iter().any(|index| self.split_components(index, share)) {
            return true;
        }
        let texts: Vec<usize> = (0..self.sheets.len()).rev().filter(|&k| self.sheets[k].kind == Kind::Text).collect();
        let step = if share > WORTH_A_LAYER { CLEARLY_ANOTHER_SIZE } else { 1.0 };
        texts.into_iter().any(|index| self.split_text(index, step))
    }

    /// The largest component becomes a layer of its own.
    fn split_components(&mut self, index: usize, share: f32) -> bool {
        let mask = solid(&self.sheets[index]);
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
        let mut words = self.sheets[index].words.clone();
        if words.len() < 2 {
            return false;
        }
        words.sort_by(|a, b| b.size.total_cmp(&a.size));
        let mut cut = widest(words.len(), |k| words[k - 1].size / words[k].size.max(1.0));
        if words[cut - 1].size < least * words[cut].size {
            return false;
        }
        if words[cut - 1].size < ANOTHER_SIZE * words[cut].size {
            words.sort_by_key(|word| (word.rect.y0, word.rect.x0));
            cut = widest(words.len(), |k| words[k].rect.y0 as f32 - words[k - 1].rect.y1 as f32);
        }
        let sheet = &self.sheets[index];
        let mut owner = Plane::new(sheet.alpha.width, sheet.alpha.height, 0u8);
        for (rank, word) in words.iter().enumerate().rev() {
            for y in word.rect.y0..word.rect.y1 {
                for x in word.rect.x0..word.rect.x1 {
                    owner.set(x, y, if rank < cut { 1 } else { 2 });
                }
            }
        }
        let seeds = owner.zip(&solid(sheet), |o, s| o > 0 && s);
        let places = nearest(&seeds);
        let upper = places.map(|place| place != NOWHERE && owner.data[place as usize] == 1);
        self.split(index, &upper);
        let (low, high) = words.split_at(cut);
        self.rename_text(index + 1, low.to_vec());
        self.rename_text(index, high.to_vec());
        true
    }

    fn rename_text(&mut self, index: usize, mut words: Vec<Word>) {
        words.sort_by_key(|word| (word.rect.y0, word.rect.x0));
        let sheet = &mut self.sheets[index];
        sheet.text = said(&words);
        sheet.name = text_name(&words, sheet.alpha.height);
        sheet.words = words;
    }

    /// Splits a sheet: `upper` pixels go above the rest.
    fn split(&mut self, index: usize, upper: &Mask) {
        let below = self.below(index).clone();
        let sheet = &mut self.sheets[index];
        let both = below.zip(&sheet.above, |b, a| (b, a));
        let middle = both.zip(upper, |(b, a), up| if up { b } else { a });
        let mut lower = sheet.clone();
        lower.above = middle;
        lower.alpha = sheet.alpha.zip(upper, |a, up| if up { 0 } else { a });
        sheet.alpha = sheet.alpha.zip(upper, |a, up| if up { a } else { 0 });
        if sheet.kind == Kind::Subject {
            // What is left of a subject beside its largest part is an ornament of it.
            lower.kind = Kind::Object;
            lower.name = OBJECTS.to_owned();
        }
        self.sheets.insert(index, lower);
    }

    /// The two lowest sheets become one; text stays apart while there is a choice.
    fn join_lowest(&mut self) {
        let lower = self.sheets.remove(0);
        let sheet = &mut self.sheets[0];
        sheet.alpha = sheet.alpha.zip(&lower.alpha, |a, b| {
            let (a, b) = (u32::from(a), u32::from(b));
            (255 - ((255 - a) * (255 - b)) / 255) as u8
        });
        if lower.kind == Kind::Subject || sheet.kind == Kind::Text {
            sheet.kind = if lower.kind == sheet.kind { lower.kind } else { Kind::Object };
            sheet.name = if lower.kind == Kind::Subject { lower.name } else { "Foreground".to_owned() };
        }
        sheet.words.extend(lower.words);
    }
}

/// The place, 1 to `count - 1`, before which `step` is the largest; the first of equals.
fn widest(count: usize, step: impl Fn(usize) -> f32) -> usize {
    (1..count).max_by(|&a, &b| step(a).total_cmp(&step(b)).then(b.cmp(&a))).unwrap_or(1)
}

fn solid(sheet: &Sheet) -> Mask {
    sheet.alpha.map(|a| a > 127)
}

/// Pixels whose nearest component is wanted.
fn belongs_to(parts: &Components, wanted: impl Fn(usize) -> bool + Sync) -> Mask {
    let places = nearest(&parts.labels.map(|l| l != 0));
    places.map(|place| place != NOWHERE && wanted(parts.labels.data[place as usize] as usize))
}

/// What a text layer says, line by line; `None` where no line was read.
pub fn said(words: &[Word]) -> Option<String> {
    let lines: Vec<&str> = words.iter().map(|word| word.text.trim()).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Name of a text layer: its words on one line, at most 48 characters; where nothing could
/// be read, how large it is and where it stands on a picture `height` pixels high.
pub fn text_name(words: &[Word], height: usize) -> String {
    let line = words.iter().map(|word| word.text.trim()).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return unread_name(words, height);
    }
    if line.chars().count() <= 48 { line } else { line.chars().take(47).chain(['…']).collect() }
}

fn unread_name(words: &[Word], height: usize) -> String {
    let Some(rect) = words.iter().map(|word| word.rect).reduce(|a, b| a.union(&b)) else { return "Text".to_owned() };
    let middle = (rect.y0 + rect.y1) as f32 / 2.0 / height.max(1) as f32;
    let place = match middle {
        m if m < 0.35 => "top",
        m if m > 0.65 => "bottom",
        _ => "middle",
    };
    let largest = words.iter().map(|word| word.size).fold(0.0, f32::max) / height.max(1) as f32;
    let size = match largest {
        s if s > 0.07 => "large",
        s if s < 0.035 => "small",
        _ => "medium",
    };
    format!("Text ({size}, {place})")
}
