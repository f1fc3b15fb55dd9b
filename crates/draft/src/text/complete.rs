//! A line is complete or it is no text: what the letters of a line have beside and between them, in their colour, is
//! part of the line.
//!
//! Around each line the picture without the line is estimated, and each pixel is told by where it lies between that
//! and the nearest colour of the letters. Components of the pixels that are more letter than background then join the
//! line, from the letters outwards, if they are as high, as bold and as near as letters, or are small marks where
//! marks stand.

use rayon::prelude::*;

use crate::colour::{distance_squared, oklab_plane};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{Components, NOWHERE, components, distance_to, nearest};
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane, Rect, Rgb8};
use crate::text::frame::Frame;
use crate::text::share::{SOLID, inks, share_of};
use crate::text::sharpness::soft_parts;
use crate::text::tidy::own_colours;

/// How far a line is looked for beyond its ends, in heights of its letters.
const BEYOND: f32 = 4.0;
/// How far beyond the marked region the letters of a line reach, in reaches of the detector.
const OUTER: f32 = 1.25;
/// Boldness from which something among the letters is none of them, against that of the line.
const BLOB: f32 = 2.6;
/// How far above and below: accents, commas and tails lie there.
const ABOVE: f32 = 0.4;
/// Widest gap between two letters of a line, in heights.
const GAP: f32 = 0.95;
/// Share of a letter's colour from which a pixel is part of it.
const LETTER: f32 = 0.5;
/// The same where it is surely no gap between two strokes.
const FIRM: f32 = 0.7;
/// How far from a component, in pixels, the colour that it stands on is seen, and the Oklab distance up to which two
/// stand on the same.
const GROUND: (usize, usize) = (2, 6);
const SAME_GROUND: f32 = 0.12;
/// Height of a letter, in heights of the line.
const LETTER_HEIGHTS: std::ops::Range<f32> = 0.42..1.45;
/// Length of a dash against its height.
const LONG_BAR: f32 = 1.5;
/// Boldness of a dash, against that of the line.
const BARS: std::ops::Range<f32> = 0.35..1.5;
/// Boldness of a letter, against that of the line.
const STROKES: std::ops::Range<f32> = 0.45..1.7;

/// A line to complete.
pub(super) struct Found<'a> {
    /// Region that the detector marked, at the corner of `marked_rect`.
    pub marked: &'a Mask,
    pub marked_rect: Rect,
    /// How far the letters reach beyond the region.
    pub reach: f32,
    /// Letters found so far, at the corner of `rect`.
    pub mask: &'a Mask,
    pub rect: Rect,
    /// Whether there is texture or another thing behind the line.
    pub rough: bool,
}

/// A completed line: the letters at the corner of the rectangle.
pub(super) struct Whole {
    pub mask: Mask,
    /// What of it is not letters: outlines and hard shadows.
    pub edging: Mask,
    pub rect: Rect,
}

/// Completes lines; the answer has one entry for each.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(super) fn complete(image: &Rgb8, lines: &[Found], monitor: &Monitor) -> Result<Vec<Whole>, Stopped> {
    // What belongs to one line is not offered to another.
    let mut owner = Plane::new(image.width, image.height, 0u32);
    for (k, line) in lines.iter().enumerate() {
        owner.paste(line.rect, &line.mask.map(|_| k as u32 + 1), line.mask);
    }
    lines
        .par_iter()
        .enumerate()
        .map(|(k, line)| {
            monitor.check()?;
            let whole = Surroundings::of(image, line, k as u32 + 1, &owner).and_then(|around| around.whole());
            Ok(whole.unwrap_or_else(|| Whole {
                mask: line.mask.clone(),
                edging: line.mask.same_size(false),
                rect: line.rect,
            }))
        })
        .collect()
}

/// A line and what is around it; everything is in the coordinates of `rect`.
pub(super) struct Surroundings {
    rect: Rect,
    pub(super) frame: Frame,
    own: Mask,
    /// Letters of other lines.
    pub(super) others: Mask,
    /// Share of the letters' colour.
    share: Gray,
    /// Half the width of the line's strokes.
    stroke: f32,
    /// Whether they have hardly a pixel that is no soft edge.
    is_thin: bool,
    /// Far ends of what the detector says that the line is, across it.
    outer: (f32, f32),
    pub(super) lab: Colour,
    pub(super) inks: Vec<[f32; 3]>,
    /// As of [`Found`].
    rough: bool,
}

/// A component that could be part of the line.
struct Piece {
    label: usize,
    start: f32,
    end: f32,
    low: f32,
    high: f32,
    /// Half the width of its widest stroke.
    stroke: f32,
    area: f32,
}

/// What a piece is of a line.
enum Role {
    Letter,
    Mark,
}

impl Surroundings {
    fn of(image: &Rgb8, line: &Found, number: u32, owner: &Plane<u32>) -> Option<Self> {
        let mut frame = Frame::of(line.marked, line.marked_rect)?;
        let mut outer = (frame.low - OUTER * line.reach, frame.high + OUTER * line.reach);
        if line.rough {
            let body = frame.body(line.mask, line.rect);
            outer = (outer.0.max(body.0), outer.1.min(body.1));
        }
        frame.fit_to(line.mask, line.rect);
        frame.low = frame.low.max(outer.0);
        frame.high = frame.high.min(outer.1);
        let height = frame.height();
        let rect = frame.bounds(BEYOND * height, 1.2 * height, image.width, image.height).union(&line.rect);
        let own = owner.crop(rect).map(|o| o == number);
        let others = owner.crop(rect).map(|o| o != 0 && o != number);
        let lab = oklab_plane(&image.crop(rect));
        let depth = distance_to(&own.not());
        let mut depths: Vec<f32> = depth.data.iter().copied().filter(|d| *d > 0.0 && d.is_finite()).collect();
        let stroke = quantile(&mut depths, 0.9).max(1.0);
        let middle = quantile(&mut depths, 0.5);
        let inner = depth.map(|d| d >= middle && d.is_finite() && d > 0.0);
        // Texture has the colours of soft edges as well, and so have rings around lettering.
        let is_thin = middle < SOLID && !line.rough && frame.is_level();
        let inks = if is_thin { inks(&inner, &lab, &own, &others) } else { own_colours(&inner, &lab) };
        if inks.is_empty() {
            return None;
        }
        let share = share_of(&lab, &inks, &own, &others)?;
        Some(Self { rect, frame, own, others, share, stroke, is_thin, outer, lab, inks, rough: line.rough })
    }

    fn whole(&self) -> Option<Whole> {
        let height = self.frame.height();
        let (width, rows) = (self.own.width, self.own.height);
        let place = |x: usize, y: usize| self.frame.place((self.rect.x0 + x) as f32, (self.rect.y0 + y) as f32);
        let band = (self.frame.low - ABOVE * height, self.frame.high + ABOVE * height);
        let letters = Plane::from_fn(width, rows, |x, y| {
            (self.own.at(x, y) || self.share.at(x, y) > LETTER) && !self.others.at(x, y)
        });
        let parts = components(&letters);
        let pieces = self.pieces(&parts, &letters, &place);
        let mut taken = vec![false; parts.areas.len()];
        // Spans along the line that the letters have.
        let own = parts.count_in(&self.own);
        let mut spans: Vec<(f32, f32)> = Vec::new();
        for piece in &pieces {
            if own[piece.label] > 0 {
                spans.push((piece.start, piece.end));
                let inside = piece.low >= band.0 && piece.high <= band.1 && !self.cut(&parts, piece.label);
                taken[piece.label] = inside && (piece.area <= 4.0 * own[piece.label] as f32);
            }
        }
        let mut open: Vec<&Piece> = pieces.iter().filter(|p| own[p.label] == 0 && !self.cut(&parts, p.label)).collect();
        open.retain(|p| p.low >= band.0 && p.high <= band.1);
        let soft = if self.rough { soft_parts(&parts, &self.lab, &self.own) } else { vec![false; parts.areas.len()] };
        open.retain(|p| !soft[p.label]);
        taken.iter_mut().zip(&soft).for_each(|(taken, soft)| *taken &= !soft);
        if !self.rough {
            let grounds = self.grounds(&parts);
            open.retain(|p| distance_squared(grounds[p.label], grounds[0]) < SAME_GROUND * SAME_GROUND);
        }
        loop {
            let before = open.len();
            let mut rest = Vec::with_capacity(before);
            for piece in std::mem::take(&mut open) {
                let gap = spans.iter().map(|(a, b)| (a - piece.end).max(piece.start - b)).fold(f32::INFINITY, f32::min);
                match self.belongs(piece, gap, height) {
                    Some(Role::Letter) => {
                        taken[piece.label] = true;
                        spans.push((piece.start, piece.end));
                    }
                    // A mark stands beside a letter: stars and lights in a row are none.
                    Some(Role::Mark) => taken[piece.label] = true,
                    None => rest.push(piece),
                }
            }
            open = rest;
            if open.len() == before {
                break;
            }
        }
        if self.is_thin {
            // The soft edges of what is there already are not letters alone: their colour is left to matting.
            taken.iter_mut().zip(&own).for_each(|(taken, own)| *taken &= *own == 0);
        }
        let (added, found) = (parts.select(&taken), self.own.minus(&parts.select(&soft)));
        let letters = match self.is_thin {
            true => self.pruned(added, &place).or(&found),
            false => self.pruned(added.or(&found), &place),
        };
        // The soft edges of thin strokes look like an outline.
        let mask = match self.is_thin {
            true => letters.clone(),
            false => self.with_companions(&self.with_hard_shadow(self.with_outline(&letters), &place), &place),
        };
        let bounds = mask.bounds()?;
        let rect = bounds.moved(self.rect.x0, self.rect.y0);
        Some(Whole { mask: mask.crop(bounds), edging: mask.minus(&letters).crop(bounds), rect })
    }

    /// The typical colour right around each component; first, that around the letters found before.
    fn grounds(&self, parts: &Components) -> Vec<[f32; 3]> {
        let places = nearest(&parts.labels.map(|label| label != 0));
        let width = self.own.width;
        let mut around: Vec<Vec<usize>> = vec![Vec::new(); parts.areas.len()];
        for (i, &place) in places.data.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            let (dx, dy) = ((place as usize % width).abs_diff(i % width), (place as usize / width).abs_diff(i / width));
            if (GROUND.0.pow(2)..GROUND.1.pow(2)).contains(&(dx * dx + dy * dy)) && !self.others.data[i] {
                let own = self.own.data[place as usize];
                around[if own { 0 } else { parts.labels.data[place as usize] as usize }].push(i);
            }
        }
        let typical = |places: Vec<usize>| {
            let channel = |c: usize| places.iter().map(|&i| self.lab.data[i][c]).collect::<Vec<f32>>();
            std::array::from_fn(|c| quantile(&mut channel(c), 0.5))
        };
        around.into_iter().map(typical).collect()
    }

    /// The mask without what lies outside the line, and without what is much bolder than letters.
    fn pruned(&self, mask: Mask, place: &(impl Fn(usize, usize) -> [f32; 2] + Sync)) -> Mask {
        let margin = ABOVE * self.frame.height();
        let (low, high) = self.outer;
        let within =
            Plane::from_fn(mask.width, mask.height, |x, y| mask.at(x, y) && (low..=high).contains(&place(x, y)[1]));
        let parts = components(&within);
        // Closed gaps between the strokes of a dense letter are not bold.
        let firm = within.zip(&self.share, |inside, share| inside && share > FIRM);
        let pieces = self.pieces(&parts, &firm, place);
        let mut keep = vec![true; parts.areas.len()];
        for piece in &pieces {
            // What lies beside the marked strip is a neighbour of the line, not a part of it.
            let beside = piece.high < self.outer.0.max(self.frame.low - margin)
                || piece.low > self.outer.1.min(self.frame.high + margin);
            keep[piece.label] = !beside && piece.stroke < BLOB * self.stroke;
        }
        let kept = parts.select(&keep);
        if kept.count() * 3 < mask.count() { mask } else { kept }
    }

    /// Whether a component reaches the edge of the surroundings: nobody knows how far it goes on.
    fn cut(&self, parts: &Components, label: usize) -> bool {
        let b = parts.boxes[label];
        b.x0 == 0 || b.y0 == 0 || b.x1 == self.own.width || b.y1 == self.own.height
    }

    /// The components with the strokes that `firm` has of them.
    fn pieces(&self, parts: &Components, firm: &Mask, place: &impl Fn(usize, usize) -> [f32; 2]) -> Vec<Piece> {
        let depth = distance_to(&firm.not());
        let mut pieces: Vec<Piece> = (0..parts.areas.len())
            .map(|label| Piece {
                label,
                start: f32::INFINITY,
                end: f32::NEG_INFINITY,
                low: f32::INFINITY,
                high: f32::NEG_INFINITY,
                stroke: 0.0,
                area: parts.areas[label] as f32,
            })
            .collect();
        for y in 0..parts.labels.height {
            for x in 0..parts.labels.width {
                let label = parts.labels.at(x, y) as usize;
                if label == 0 {
                    continue;
                }
                let [s, t] = place(x, y);
                let piece = &mut pieces[label];
                piece.start = piece.start.min(s);
                piece.end = piece.end.max(s);
                piece.low = piece.low.min(t);
                piece.high = piece.high.max(t);
                let here = depth.at(x, y);
                if here.is_finite() {
                    piece.stroke = piece.stroke.max(here);
                }
            }
        }
        pieces.remove(0);
        pieces
    }

    /// What a piece is of this line, `gap` pixels from its nearest letter.
    fn belongs(&self, piece: &Piece, gap: f32, height: f32) -> Option<Role> {
        let (tall, long) = (piece.high - piece.low + 1.0, piece.end - piece.start + 1.0);
        let boldness = piece.stroke / self.stroke;
        let (low, high) = (self.frame.low, self.frame.high);
        let inside = (piece.high.min(high) - piece.low.max(low) + 1.0) / tall;
        let letter = LETTER_HEIGHTS.contains(&(tall / height))
            && long < 3.5 * height
            && STROKES.contains(&boldness)
            && inside > 0.6
            && gap < GAP * height;
        // Stars and lights are as low, and lead from one to the next; they are not as long.
        let is_bar = tall < 0.35 * height && (LONG_BAR * tall..1.3 * height).contains(&long);
        let bar = is_bar && BARS.contains(&boldness) && inside > 0.9 && gap < 0.8 * height;
        // What is only partly in the line is small print beside it.
        let within = piece.low >= self.outer.0 && piece.high <= self.outer.1;
        let small = within && tall <= 0.5 * height && long <= 0.5 * height;
        let mark = small && boldness < 2.2 && piece.area >= 2.0 && gap < 0.7 * height;
        if letter || bar { Some(Role::Letter) } else { mark.then_some(Role::Mark) }
    }
}

#[cfg(test)]
mod tests;
