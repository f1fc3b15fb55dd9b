//! Splitting a layer of another result: text into blocks or lines, things into connected pieces. Each pixel goes as it
//! is to one layer; nothing is completed behind it, as there is nothing.

use image::RgbaImage;
use layers::{Kind, LayerStack, ReadLine};

use crate::cut;
use crate::decompose::{MOST_LAYERS, Options, Output, SceneText};
use crate::layer::{Part, Sheet, TextLine};
use crate::monitor::{Monitor, Stage, Stopped};
use crate::morphology::{components, dilate};
use crate::naming;
use crate::note::Note;
use crate::numeric::quantile;
use crate::perceive::perceive;
use crate::plane::{Mask, Plane, Rect, Rgb8};
use crate::structure::{Arrangement, SOLID};

/// Paper around the text, as a share of its longer side: the networks look for lines, not for edges of pictures.
const MARGIN: f32 = 0.06;
/// Papers that dark and light letters stand out from.
const LIGHT_PAPER: [u8; 3] = [246; 3];
const DARK_PAPER: [u8; 3] = [20; 3];
/// A strip of this share of the usual height is no line but the dots above one.
const DOTS: f32 = 0.4;

/// The parts of a layer that shows something of `kind`, `input` being its picture with transparency around.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn run(input: &RgbaImage, kind: Kind, options: &Options, monitor: &Monitor) -> Result<Output, Stopped> {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let (above, alpha) = planes(input);
    let paper = paper(&above, &alpha);
    let mut notes: Vec<Note> = Vec::new();
    let mut part = Part::new(kind);
    if kind == Kind::Text {
        let rows = rows(&alpha.map(|a| a >= SOLID));
        let read: Vec<TextLine>;
        (read, notes) = lines_on(&above, &alpha, paper, &monitor.first(0.8))?;
        // Where the networks see one line or none, gaps between lines decide.
        part.lines = if read.len() > 1 || rows.len() < 2 { read } else { rows };
    }
    monitor.step(Stage::Objects, 1, 2, 0.8)?;
    let below = above.same_size(paper);
    let sheet = Sheet::whole(part, alpha, above);
    let mut found = Arrangement::new(&below, vec![sheet], monitor)?;
    if found.len() == 1 {
        found.take_apart();
    }
    match options.layers {
        None => found.join_until(MOST_LAYERS.into()),
        Some(count) => found.fit(count.into()),
    }
    found.sort();
    monitor.step(Stage::Write, 0, 1, 0.9)?;
    let (mut layers, units): (Vec<_>, Vec<_>) = found.sheets.into_iter().flat_map(cut::cut).unzip();
    if layers.is_empty() {
        layers.push(layers::Layer::new(naming::BACKGROUND, kind, RgbaImage::new(1, 1)));
    }
    naming::name(&mut layers, &units, width.max(height));
    // They are parts of something that has its group already.
    layers.iter_mut().for_each(|layer| layer.group = None);
    let stack = LayerStack::new(input.width(), input.height(), layers).expect("every layer lies in the picture");
    monitor.step(Stage::Write, 1, 1, 1.0)?;
    Ok(Output { stack, notes, background: None })
}

/// The lines that are read in a layer, in its own pixels.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn read(input: &RgbaImage, monitor: &Monitor) -> Result<Vec<ReadLine>, Stopped> {
    let (above, alpha) = planes(input);
    let paper = paper(&above, &alpha);
    let (lines, _) = lines_on(&above, &alpha, paper, monitor)?;
    Ok(lines.iter().filter_map(TextLine::for_layer).collect())
}

/// Colours and opacity.
fn planes(input: &RgbaImage) -> (Rgb8, Plane<u8>) {
    let (width, height) = (input.width() as usize, input.height() as usize);
    let above = Plane { width, height, data: input.pixels().map(|p| [p[0], p[1], p[2]]).collect() };
    (above, Plane { width, height, data: input.pixels().map(|p| p[3]).collect() })
}

/// The lines that the networks see where the layer lies on paper.
fn lines_on(
    above: &Rgb8,
    alpha: &Plane<u8>,
    paper: [u8; 3],
    monitor: &Monitor,
) -> Result<(Vec<TextLine>, Vec<Note>), Stopped> {
    let (page, margin) = on_paper(above, alpha, paper);
    let found = perceive(&page, SceneText::Lift, monitor)?;
    let lines = found.lines.into_iter().filter_map(|line| moved(line, margin, alpha)).collect();
    Ok((lines, found.notes))
}

/// Paper that the visible pixels stand out from.
fn paper(colours: &Rgb8, alpha: &Plane<u8>) -> [u8; 3] {
    let (mut sum, mut count) = (0u64, 0u64);
    for ([r, g, b], _) in colours.data.iter().zip(&alpha.data).filter(|(_, alpha)| **alpha >= SOLID) {
        // Rec. 709 luma in tenths.
        sum += (2 * u64::from(*r) + 7 * u64::from(*g) + u64::from(*b)) / 10;
        count += 1;
    }
    if sum < 128 * count { LIGHT_PAPER } else { DARK_PAPER }
}

/// The layer on paper with a margin, and how wide that is.
fn on_paper(colours: &Rgb8, alpha: &Plane<u8>, paper: [u8; 3]) -> (Rgb8, usize) {
    let (width, height) = (colours.width, colours.height);
    let margin = ((MARGIN * width.max(height) as f32) as usize).max(16);
    let page = Plane::from_fn(width + 2 * margin, height + 2 * margin, |x, y| {
        let (u, v) = (x.wrapping_sub(margin), y.wrapping_sub(margin));
        if u >= width || v >= height {
            return paper;
        }
        let (colour, alpha) = (colours.at(u, v), u32::from(alpha.at(u, v)));
        std::array::from_fn(|c| {
            ((u32::from(colour[c]) * alpha + u32::from(paper[c]) * (255 - alpha) + 127) / 255) as u8
        })
    });
    (page, margin)
}

/// A line of the page in the layer's own pixels; `None` where that is outside.
fn moved(mut line: TextLine, margin: usize, layer: &Plane<u8>) -> Option<TextLine> {
    let place = |at: usize, side: usize| at.saturating_sub(margin).min(side);
    let Rect { x0, y0, x1, y1 } = line.rect;
    let (width, height) = (layer.width, layer.height);
    line.rect = Rect { x0: place(x0, width), y0: place(y0, height), x1: place(x1, width), y1: place(y1, height) };
    (line.rect.x0 < line.rect.x1 && line.rect.y0 < line.rect.y1).then_some(line)
}

/// Lines by the empty rows between them.
fn rows(solid: &Mask) -> Vec<TextLine> {
    let mut strips: Vec<Rect> = Vec::new();
    // Side by side, columns have gaps at different heights: pieces that overlap in height are one strip.
    let parts = components(&dilate(solid, 1));
    let mut boxes: Vec<Rect> = parts.boxes.iter().skip(1).copied().collect();
    boxes.sort_by_key(|rect| (rect.y0, rect.x0));
    for rect in boxes {
        match strips.last_mut() {
            Some(last) if rect.y0 < last.y1 => *last = last.union(&rect),
            _ => strips.push(rect),
        }
    }
    let mut heights: Vec<f32> = strips.iter().map(|rect| rect.height() as f32).collect();
    let usual = quantile(&mut heights, 0.5);
    let (lines, dots): (Vec<Rect>, Vec<Rect>) =
        strips.into_iter().partition(|rect| rect.height() as f32 >= DOTS * usual);
    let mut lines = lines;
    for dot in dots {
        let gap = |line: &Rect| line.y0.saturating_sub(dot.y1).max(dot.y0.saturating_sub(line.y1));
        if let Some(nearest) = lines.iter_mut().min_by_key(|line| gap(line)) {
            *nearest = nearest.union(&dot);
        }
    }
    lines.into_iter().map(|rect| TextLine::unread(rect, rect.height() as f32)).collect()
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;
    use crate::check::worst_difference;
    use crate::monitor::monitor;

    const NOTHING: Rgba<u8> = Rgba([0; 4]);

    fn parts(input: &RgbaImage, kind: Kind, layers: Option<u8>) -> Vec<layers::Layer> {
        let (monitor, _reporter) = monitor();
        let options = Options { layers, ..Options::default() };
        let found = run(input, kind, &options, &monitor).expect("nobody stops it").stack;
        let size = input.dimensions();
        let whole: Vec<RgbaImage> = found.iter().map(|layer| layer.on_canvas(size.0, size.1).into_owned()).collect();
        assert_eq!(worst_difference(input, &whole), 0);
        // Every pixel is in one layer, as it was.
        for (x, y, pixel) in input.enumerate_pixels().filter(|(.., pixel)| pixel[3] > 0) {
            let there: Vec<_> = whole.iter().map(|layer| layer.get_pixel(x, y)).filter(|p| p[3] > 0).collect();
            assert_eq!(there, [pixel]);
        }
        found.into_layers()
    }

    #[test]
    fn objects_give_connected_pieces_and_one_piece_stays() {
        let disk = |x: u32, y: u32, cx: u32| x.abs_diff(cx).pow(2) + y.abs_diff(50).pow(2) < 900;
        let two = RgbaImage::from_fn(200, 100, |x, y| match (disk(x, y, 40), disk(x, y, 150)) {
            (true, _) => Rgba([220, 30, 40, 255]),
            (_, true) => Rgba([30, 60, 200, 200]),
            _ => NOTHING,
        });
        let names = |kind| parts(&two, kind, None).into_iter().map(|layer| layer.name).collect::<Vec<_>>();
        assert_eq!(names(Kind::Object), ["Blue circle", "Red circle"]);
        assert_eq!(parts(&two, Kind::Object, Some(1)).len(), 1);
        let one = RgbaImage::from_fn(100, 100, |x, y| if disk(x, y, 40) { Rgba([9, 9, 9, 90]) } else { NOTHING });
        assert_eq!(parts(&one, Kind::Object, Some(6)).len(), 1);
        assert_eq!(parts(&RgbaImage::new(5, 5), Kind::Object, None).len(), 1);
    }

    #[test]
    fn a_swarm_gives_its_pieces() {
        let dots = RgbaImage::from_fn(220, 60, |x, y| {
            if (x % 40) < 14 && (20..34).contains(&y) { Rgba([240, 200, 40, 255]) } else { NOTHING }
        });
        assert_eq!(parts(&dots, Kind::Object, None).len(), 6);
        assert_eq!(parts(&dots, Kind::Object, Some(3)).len(), 3);
    }

    #[test]
    fn lines_are_told_by_the_gaps_between_them() {
        // Two lines of bars, the first with dots above it, and a letter beside its own line's.
        let bar = |x: usize, y: usize| x % 12 < 6 && ((20..40).contains(&y) || (60..80).contains(&y));
        let dot = |x: usize, y: usize| (24..28).contains(&x) && (13..16).contains(&y);
        let found = rows(&Plane::from_fn(90, 100, |x, y| bar(x, y) || dot(x, y)));
        let spans: Vec<(usize, usize)> = found.iter().map(|line| (line.rect.y0, line.rect.y1)).collect();
        assert_eq!(spans, [(12, 41), (59, 81)]);
    }
}
