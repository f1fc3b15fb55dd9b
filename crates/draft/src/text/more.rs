//! A second look for text: over the picture without what was found, at its own size, where small print is and what
//! stands beside larger text.

use crate::colour::{bytes_plane, distance_squared, oklab_plane, unit_plane};
use crate::fill::membrane::membrane;
use crate::monitor::Monitor;
use crate::morphology::dilate;
use crate::networks::NetworkError;
use crate::numeric::quantile;
use crate::plane::{Mask, Plane, Rgb8};
use crate::text::detect::{find_at, read_marks};
use crate::text::glyphs::{self, Letters};
use crate::text::read::{like, read_all};
use crate::text::tidy::sampled;

/// Long side of the second look: small print of nine pixels on a poster of 1400 is as high here.
const SIDE: usize = 1472;
/// Pictures up to this long side were seen at their own size before.
const SEEN: usize = 960;
/// How far around letters, in pixels, a line counts as seen, and the share of it that may be.
const GONE: usize = 8;
const MOST_GONE: f32 = 0.4;
/// How far around letters the picture is filled, in pixels: their soft edges look like print.
const EDGE: usize = 3;
/// Pixels around letters that say what they stand on, at least.
const FEWEST: usize = 30;
/// Height of small print, as a share of the long side, at most.
const SMALL: f32 = 0.03;
/// Share of a line's letters within the region of another one from which they are that one's.
const WITHIN: f32 = 0.7;
/// The same for letters that need not be read.
const INSIDE: f32 = 0.9;

/// Adds what the first look has missed to the lines that it found: letters of these, and lines.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn add(
    image: &Rgb8,
    found: &mut Vec<Letters>,
    figure: Option<&Mask>,
    monitor: &Monitor,
) -> Result<(), NetworkError> {
    let long = image.width.max(image.height);
    if long <= SEEN && found.is_empty() {
        return Ok(());
    }
    let mut mask = Plane::new(image.width, image.height, false);
    for line in found.iter() {
        mask.paste(line.rect, &line.mask, &line.mask);
    }
    let clear = if mask.any() {
        bytes_plane(&membrane(&unit_plane(image), &dilate(&mask, EDGE).not(), 2))
    } else {
        image.clone()
    };
    let side = long.clamp(384, SIDE);
    let marks = find_at(&clear, &[side], monitor)?;
    let mut lines = read_marks(&clear, &marks, monitor)?;
    // What is left of the letters that were taken off is no line of its own.
    let gone = dilate(&mask, GONE);
    lines.retain(|line| {
        let marked = line.mask.count();
        gone.crop(line.rect).and(&line.mask).count() as f32 <= MOST_GONE * marked as f32
    });
    let mut more = Vec::new();
    for letters in glyphs::letters(&clear, &lines, figure, monitor)? {
        match found.iter_mut().find(|known| is_part(known, &letters)) {
            Some(known) => join(image, known, &letters),
            None => more.push(letters),
        }
    }
    let mut more = read_all(&clear, more, monitor)?;
    // Small print that nobody can read is printed like what was read. What else the first look did not see is drawn.
    let small = SMALL * long as f32;
    more.retain(|line| line.certain || line.size < small && found.iter().any(|known| like(line, known)));
    for line in more {
        // What was read already, although not all of it was lifted, is not read again.
        match found.iter_mut().find(|known| says(known, &line)) {
            Some(known) => join(image, known, &line),
            None => found.push(line),
        }
    }
    Ok(())
}

/// Share of a line's letters that lie within the region of another one.
fn within(known: &Letters, line: &Letters) -> f32 {
    let shared = known.inside.on(known.rect, line.rect).and(&line.mask);
    shared.count() as f32 / line.mask.count().max(1) as f32
}

/// Whether a line says what another one says, at the same place.
fn says(known: &Letters, line: &Letters) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    plain(&known.text).contains(&plain(&line.text)) && within(known, line) > WITHIN
}

/// Whether letters are some that are missing in a line: within it, in its colour and about its size.
fn is_part(known: &Letters, line: &Letters) -> bool {
    known.certain && like(line, known) && within(known, line) > INSIDE
}

/// Adds the letters of a line to those of another one: what of them is nearer to its colour than to what is around it,
/// as the smears of filled letters are not.
fn join(image: &Rgb8, known: &mut Letters, line: &Letters) {
    let lab = oklab_plane(&image.crop(line.rect));
    let around = line.inside.minus(&dilate(&line.mask, 2)).minus(&dilate(&known.mask, EDGE).on(known.rect, line.rect));
    let ground = sampled(&lab, &around, 1000);
    let letters = if ground.len() < FEWEST {
        line.mask.clone()
    } else {
        let ground =
            std::array::from_fn(|c| quantile(&mut ground.iter().map(|colour| colour[c]).collect::<Vec<_>>(), 0.5));
        let own = |colour| distance_squared(colour, known.colour) < distance_squared(colour, ground);
        line.mask.zip(&lab, |letter, colour| letter && own(colour))
    };
    let rect = known.rect.union(&line.rect);
    let both = |a: &Mask, b: &Mask| a.on(known.rect, rect).or(&b.on(line.rect, rect));
    (known.mask, known.inside) = (both(&known.mask, &letters), both(&known.inside, &line.inside));
    known.edging = both(&known.edging, &line.edging);
    known.rect = rect;
}
