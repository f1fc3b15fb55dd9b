#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod assign;
mod block;
mod colours;
mod draw;
mod fit;
mod frame;
mod level;
mod line;
mod respace;
mod round;
mod script;
mod weakest;

use engine::{LiveText, PixelLine, PixelReason};
use layers::{Kind, Layer, ReadLine, Rect};
use rayon::prelude::*;
use typeset::{FaceId, Fonts, Match};

use crate::assign::Cutout;
use crate::fit::{Fit, Known, fit};
use crate::line::{TextLine, text_line};

/// The share of a layer's alpha within the boxes of its lines from which it is text.
const MOSTLY: f32 = 0.8;
/// Layers whose families are then tried first on the others.
const FIRST: usize = 4;
/// How much less alike a line may be in the face of the largest line than in its best, to be set in that.
const SAME_FACE: f32 = 0.015;

/// Whether a layer is text: the boxes of the lines that were read in it hold most of its alpha.
pub fn is_text(layer: &Layer, lines: &[ReadLine]) -> bool {
    let Some((pixels, corner)) = visible(layer) else { return false };
    let lines: Vec<ReadLine> = lines.iter().filter_map(|line| within(line, corner, &pixels)).collect();
    !lines.is_empty() && assign::share_within(&pixels, &lines) >= MOSTLY
}

/// The words of a layer as live text, from its pixels and its [`lines`](Layer::lines). `None` if it is known to show
/// something else, it has no lines, none of them can be live, or `is_stopped`, which is asked before each line, says so.
pub fn live_text(layer: &Layer, fonts: &Fonts, is_stopped: &(dyn Fn() -> bool + Sync)) -> Option<LiveText> {
    with_likely(layer, fonts, None, is_stopped)
}

/// The same for all layers of a poster, which is faster: posters have few families, so that those of the largest lines
/// are tried first on the others. `on_done` is called after each layer. What is found does not depend on the number of
/// threads.
pub fn live_texts(
    layers: &[Layer],
    fonts: &Fonts,
    is_stopped: &(dyn Fn() -> bool + Sync),
    on_done: &(dyn Fn() + Sync),
) -> Vec<Option<LiveText>> {
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(layers[index].lines.iter().map(height).max()));
    let (first, rest) = order.split_at(order.len().min(FIRST));
    let look = |likely: Option<&Known>, indices: &[usize]| -> Vec<(usize, Option<LiveText>)> {
        let found = indices.par_iter().map(|&index| {
            let found = with_likely(&layers[index], fonts, likely, is_stopped);
            on_done();
            (index, found)
        });
        found.collect()
    };
    let mut found = look(None, first);
    let lines = found.iter().filter_map(|(_, text)| text.as_ref()).flat_map(|text| &text.blocks).flat_map(|b| &b.lines);
    let families: Vec<&str> = lines.filter(|l| !l.font.approximate).map(|line| line.font.family.as_str()).collect();
    let likely = faces_of(&families, fonts);
    found.extend(look((!likely.is_empty()).then(|| Known::of_poster(likely)).as_ref(), rest));
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, text)| text).collect()
}

fn with_likely(
    layer: &Layer,
    fonts: &Fonts,
    likely: Option<&Known>,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Option<LiveText> {
    if layer.lines.is_empty() || !matches!(layer.kind, Kind::Text | Kind::Unknown) {
        return None;
    }
    let (pixels, corner) = visible(layer)?;
    let (lines, lost): (Vec<_>, Vec<_>) =
        layer.lines.iter().map(|line| within(line, corner, &pixels).ok_or(line)).partition(Result::is_ok);
    let lines: Vec<ReadLine> = lines.into_iter().flatten().collect();
    let mut pixel_lines: Vec<PixelLine> =
        lost.into_iter().filter_map(Result::err).map(|line| pixel_line(line, (0, 0), PixelReason::NoInk)).collect();
    let cuts = assign::cutouts(&pixels, &lines);
    let fits = fits(&cuts, &lines, fonts, likely, is_stopped)?;
    let mut texts: Vec<TextLine> = Vec::new();
    for ((line, cut), fit) in lines.iter().zip(&cuts).zip(fits) {
        let text = fit.and_then(|fit| {
            let cut = cut.as_ref().ok_or(PixelReason::NoInk)?;
            text_line(&fit, cut, line, corner, fonts).ok_or(PixelReason::NoInk)
        });
        match text {
            Ok(text) => texts.push(text),
            Err(reason) => pixel_lines.push(pixel_line(line, corner, reason)),
        }
    }
    let mut blocks = block::blocks(texts);
    blocks.iter_mut().for_each(round::block);
    let overlap = draw::overlap(&blocks, &pixels, corner, &pixel_lines, fonts);
    (!blocks.is_empty()).then(|| LiveText { blocks, pixel_lines, overlap: round::share(overlap) })
}

/// The layer's visible pixels, and where they lie on the canvas.
fn visible(layer: &Layer) -> Option<(image::RgbaImage, (u32, u32))> {
    let rect = layer.bounding_box()?;
    Some((layer.within(rect), (rect.x, rect.y)))
}

/// A line of the canvas in the pixels of a picture at `corner`; `None` where that has none of it.
fn within(line: &ReadLine, corner: (u32, u32), pixels: &image::RgbaImage) -> Option<ReadLine> {
    let picture = Rect { x: corner.0, y: corner.1, width: pixels.width(), height: pixels.height() };
    let common = line.rect.intersection(picture)?;
    let rect = Rect { x: common.x - corner.0, y: common.y - corner.1, ..common };
    Some(ReadLine { rect, ..line.clone() })
}

fn pixel_line(line: &ReadLine, corner: (u32, u32), reason: PixelReason) -> PixelLine {
    PixelLine { words: line.words.clone(), bounding_box: line.clone().moved(corner.0, corner.1).rect, reason }
}

type Fitted = Result<Fit, PixelReason>;

/// The fonts of each line: of the largest among all faces, then of the others, which mostly share its family. `None` if
/// it was stopped.
fn fits(
    cuts: &[Option<Cutout>],
    lines: &[ReadLine],
    fonts: &Fonts,
    likely: Option<&Known>,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Fitted>> {
    let one = |index: usize, known: Option<&Known>| -> Option<Fitted> {
        if is_stopped() {
            return None;
        }
        Some(match &cuts[index] {
            Some(cut) => fit(cut, &lines[index], fonts, known),
            None => Err(PixelReason::NoInk),
        })
    };
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(height(&lines[index])));
    let mut found: Vec<(usize, Fitted)> = Vec::new();
    let mut known = None;
    let mut rest = order.as_slice();
    // The first one that has a font.
    while let (None, Some((&index, others))) = (&known, rest.split_first()) {
        let fitted = one(index, likely)?;
        known = fitted.as_ref().ok().map(|fit| Known::of_block(related(&fit.matches, fonts), fit));
        found.push((index, fitted));
        rest = others;
    }
    let others: Option<Vec<(usize, Fitted)>> =
        rest.par_iter().map(|&index| Some((index, one(index, known.as_ref())?))).collect();
    let others = others?;
    let main = found.last().and_then(|(_, fitted)| Some(main_face(fitted.as_ref().ok()?, &others)));
    found.extend(others);
    found.sort_by_key(|(index, _)| *index);
    let prefer = |fitted: Fitted| {
        let mut fit = fitted?;
        if let Some(face) = main {
            fit.prefer(face, SAME_FACE);
        }
        Ok(fit)
    };
    Some(found.into_iter().map(|(_, fitted)| prefer(fitted)).collect())
}

/// The face of the largest line; of several in which that is as alike, the one in which the other lines are most alike:
/// two families may be one design in all but the baseline.
fn main_face(largest: &Fit, others: &[(usize, Fitted)]) -> FaceId {
    let fits = || others.iter().filter_map(|(_, fitted)| fitted.as_ref().ok());
    let alike = |face: FaceId| -> f32 {
        fits()
            .map(|fit| fit.matches.iter().find(|found| found.face == face).map_or(0.0, |found| found.similarity))
            .sum()
    };
    let least = largest.best().similarity - SAME_FACE;
    let good = largest.matches.iter().filter(|found| found.similarity >= least).map(|found| found.face);
    // Of equals, the first.
    good.fold((largest.best().face, f32::NEG_INFINITY), |best, face| {
        let sum = alike(face);
        if sum > best.1 { (face, sum) } else { best }
    })
    .0
}

/// The faces of matches, with all of their families.
fn related(matches: &[Match], fonts: &Fonts) -> Vec<FaceId> {
    let family = |id: FaceId| fonts.face(id).map(typeset::Face::family);
    let wanted: Vec<&str> = matches.iter().filter_map(|found| family(found.face)).collect();
    faces_of(&wanted, fonts)
}

fn faces_of(families: &[&str], fonts: &Fonts) -> Vec<FaceId> {
    fonts.faces().iter().filter(|face| families.contains(&face.family())).map(typeset::Face::id).collect()
}

/// The height of a line, roughly: the shorter side of its box.
fn height(line: &ReadLine) -> u32 {
    line.rect.width.min(line.rect.height)
}
