//! Lines of text by the detection and recognition networks.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::monitor::Monitor;
use crate::morphology::{Components, components};
use crate::networks::{NetworkError, grown, joined, read_signs, text_probability};
use crate::plane::{Gray, Mask, Plane, Rect, Rgb8};
use crate::text::arc::Arc;
use crate::text::outline::{Oriented, least_rectangle, quarter_turn, rim};

/// Long sides at which text is looked for: small print needs the first, poster
/// headlines the last.
const SIDES: [usize; 3] = [960, 640, 384];
const THRESHOLD: f32 = 0.3;
/// Share of its rectangle that the region of a straight line fills.
const FULL: f32 = 0.72;
/// Most lines that are read at the same time.
const READERS: usize = 8;

/// A line of text as the networks see it, in pixels of the picture.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What the recogniser read; empty where it is not sure.
    pub text: String,
    /// How sure the recogniser is, 0 to 1.
    pub sure: f32,
    /// Whether it was read. Otherwise its letters have to decide.
    pub certain: bool,
    /// Whether the detector is sure of it and it is as long as a line.
    pub marked: bool,
    /// The direction in which it runs: right, down.
    pub along: [f32; 2],
    /// Box of the shrunk region that the detector marks.
    pub rect: Rect,
    /// The region within `rect`.
    pub mask: Mask,
    /// How far the letters reach beyond the region.
    pub reach: f32,
    /// Height of the line.
    pub size: f32,
}

/// A blob of the detector before it is judged.
struct Blob {
    score: f32,
    /// Share of the blob that at least two scales agree on.
    agreed: f32,
    reach: f32,
    outline: Oriented,
    rect: Rect,
    mask: Mask,
}

/// What the detector marks in a picture.
pub(crate) struct Marks {
    blobs: Vec<Blob>,
    /// Pixels of the picture for one of the map's, across and down.
    scale: (f32, f32),
}

/// Where there could be text.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn find(image: &Rgb8, monitor: &Monitor) -> Result<Marks, NetworkError> {
    let mut sides = SIDES.to_vec();
    // A small picture is as it is at every scale: once is enough.
    sides.retain(|&side| side == SIDES[2] || side - SIDES[2] / 2 < image.width.max(image.height));
    find_at(image, &sides, monitor)
}

/// Where there could be text, with the picture's long side at each of `sides`; the first one is the largest.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn find_at(image: &Rgb8, sides: &[usize], monitor: &Monitor) -> Result<Marks, NetworkError> {
    let maps: Vec<Gray> =
        sides.par_iter().map(|&side| text_probability(image, side, monitor)).collect::<Result<_, _>>()?;
    let (width, height) = (maps[0].width, maps[0].height);
    let maps: Vec<Gray> = maps.iter().map(|map| grown(map, width, height)).collect();
    let best = Plane::from_fn(width, height, |x, y| maps.iter().map(|m| m.at(x, y)).fold(0.0, f32::max));
    let votes = Plane::from_fn(width, height, |x, y| maps.iter().filter(|m| m.at(x, y) > THRESHOLD).count());
    let parts = components(&best.map(|p| p > THRESHOLD));
    let agreed = parts.count_in(&votes.map(|v| v >= maps.len().min(2)));
    let blobs = (1..=parts.len()).filter_map(|k| blob(&parts, k, &best, agreed[k])).collect();
    let scale = (image.width as f32 / width as f32, image.height as f32 / height as f32);
    Ok(Marks { blobs, scale })
}

/// Reads what the detector marked, from the top to the bottom; what is no text is left out.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn read_marks(image: &Rgb8, marks: &Marks, monitor: &Monitor) -> Result<Vec<Line>, NetworkError> {
    let Marks { blobs, scale } = marks;
    let read = side_by_side(blobs, |blob| judge(image, blob, *scale, monitor))?;
    let mut lines: Vec<Line> = read.into_iter().flatten().collect();
    lines.sort_by_key(|line| (line.rect.y0, line.rect.x0));
    Ok(lines)
}

/// Works on several items at a time, on threads of their own: those of the pool must not
/// wait for the recogniser.
pub(super) fn side_by_side<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        while let Some((index, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|k| Some((k, items.get(k)?)))
        {
            done.push((index, work(item)?));
        }
        Ok(done)
    };
    let threads = rayon::current_num_threads().clamp(1, READERS).min(items.len());
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        let mut all = Vec::with_capacity(items.len());
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })?;
    done.sort_by_key(|&(index, _)| index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn blob(parts: &Components, label: usize, probability: &Gray, agreed: usize) -> Option<Blob> {
    let (rect, area) = (parts.boxes[label], parts.areas[label]);
    if (area as f32) < 0.00012 * probability.data.len() as f32 || rect.width().max(rect.height()) < 10 {
        return None;
    }
    let mask = parts.labels.crop(rect).map(|l| l as usize == label);
    let values = probability.crop(rect);
    let sum: f32 = values.data.iter().zip(&mask.data).filter(|(_, m)| **m).map(|(v, _)| v).sum();
    let rim = rim(&mask);
    let mut outline = least_rectangle(&rim);
    outline.centre = [outline.centre[0] + rect.x0 as f32, outline.centre[1] + rect.y0 as f32];
    Some(Blob {
        score: sum / area as f32,
        agreed: agreed as f32 / area as f32,
        // The detector marks lines shrunk by area / perimeter (Liao et al. 2020).
        reach: 1.3 * area as f32 / rim.len().max(1) as f32,
        outline,
        rect,
        mask,
    })
}

/// Reads a blob and decides whether it is text: faces and birds are not.
fn judge(image: &Rgb8, blob: &Blob, scale: (f32, f32), monitor: &Monitor) -> Result<Option<Line>, NetworkError> {
    if blob.score <= 0.5 {
        return Ok(None);
    }
    let outline = blob.outline.grown(blob.reach).scaled(scale.0, scale.1);
    let (mut text, mut sure) = read(&outline.cut_out(image, 64.0), monitor)?;
    let mut line = place(image, blob, scale, outline.height.min(outline.width));
    // A region that hardly fills its rectangle may run along a circle.
    let filled = blob.mask.count() as f32 / (blob.outline.width * blob.outline.height).max(1.0);
    if let Some(arc) = (filled < FULL).then(|| Arc::of(&line.mask, line.rect)).flatten() {
        let straight = joined(&read_signs(&arc.straightened(image, line.reach, 64.0), monitor)?);
        line.size = arc.height + 2.0 * line.reach;
        if straight.1 > sure {
            (text, sure) = straight;
        }
    }
    let length = text.trim().chars().count();
    let aspect = {
        let (a, b) = (blob.outline.width + 2.0 * blob.reach, blob.outline.height + 2.0 * blob.reach);
        a.max(b) / a.min(b).max(1.0)
    };
    let read_well = (sure >= 0.65 && blob.agreed > 0.3) || sure >= 0.8;
    let words = read_well && length >= 1 && (length > 1 || sure >= 0.8);
    // A script that the recogniser does not know: its guesses say nothing. Other readers follow.
    let possible = blob.agreed > 0.3;
    if !words && !possible {
        return Ok(None);
    }
    line.marked = blob.agreed > 0.5 && aspect > 1.5 && blob.score > 0.6;
    if words {
        line.text = text.trim().to_owned();
        line.sure = sure;
        line.certain = true;
    }
    Ok(Some(line))
}

/// A line in the picture's own pixels, not read yet.
fn place(image: &Rgb8, blob: &Blob, scale: (f32, f32), size: f32) -> Line {
    let padded = blob.rect.padded(
        1,
        (image.width as f32 / scale.0).round() as usize,
        (image.height as f32 / scale.1).round() as usize,
    );
    let rect = Rect {
        x0: (padded.x0 as f32 * scale.0) as usize,
        y0: (padded.y0 as f32 * scale.1) as usize,
        x1: ((padded.x1 as f32 * scale.0).ceil() as usize).min(image.width),
        y1: ((padded.y1 as f32 * scale.1).ceil() as usize).min(image.height),
    };
    let mask = Plane::from_fn(rect.width(), rect.height(), |x, y| {
        let u = ((rect.x0 + x) as f32 + 0.5) / scale.0 - blob.rect.x0 as f32;
        let v = ((rect.y0 + y) as f32 + 0.5) / scale.1 - blob.rect.y0 as f32;
        let inside = u >= 0.0 && v >= 0.0 && (u as usize) < blob.mask.width && (v as usize) < blob.mask.height;
        inside && blob.mask.at(u as usize, v as usize)
    });
    Line {
        text: String::new(),
        sure: 0.0,
        certain: false,
        marked: false,
        along: blob.outline.u,
        rect,
        mask,
        reach: blob.reach * (scale.0 + scale.1) / 2.0,
        size,
    }
}

/// Reads a line; an upright one cell by cell and on either side, the surest wins.
fn read(line: &Rgb8, monitor: &Monitor) -> Result<(String, f32), NetworkError> {
    if line.height as f32 <= 1.5 * line.width as f32 {
        return Ok(joined(&read_signs(line, monitor)?));
    }
    let cells = (line.height as f32 / line.width as f32).round() as usize;
    let (mut text, mut sum) = (String::new(), 0.0);
    for k in 0..cells {
        let rect = Rect { x0: 0, x1: line.width, y0: k * line.height / cells, y1: (k + 1) * line.height / cells };
        let (character, sure) = joined(&read_signs(&line.crop(rect), monitor)?);
        text.push_str(&character);
        sum += sure;
    }
    let mut best = (text, sum / cells as f32);
    for clockwise in [false, true] {
        let turned = joined(&read_signs(&quarter_turn(line, clockwise), monitor)?);
        if turned.1 > best.1 {
            best = turned;
        }
    }
    Ok(best)
}
