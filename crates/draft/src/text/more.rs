//! A second look for text: over the picture without what was found, at its own size, where small print is and what
//! stands beside larger text.

use crate::colour::{bytes_plane, unit_plane};
use crate::fill::membrane::membrane;
use crate::monitor::Monitor;
use crate::morphology::dilate;
use crate::networks::NetworkError;
use crate::plane::{Mask, Plane, Rgb8};
use crate::text::detect::{find_at, read_marks};
use crate::text::glyphs::{self, Letters};
use crate::text::read::read_all;

/// Long side of the second look: small print of nine pixels on a poster of 1400 is as high here.
const SIDE: usize = 1472;
/// Pictures up to this long side were seen at their own size before.
const SEEN: usize = 960;
/// How far around letters, in pixels, a line counts as seen, and the share of it that may be.
const GONE: usize = 8;
const MOST_GONE: f32 = 0.4;
/// How far around letters the picture is filled, in pixels: their soft edges look like print.
const EDGE: usize = 3;

/// The letters of lines that the first look has missed.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn letters(
    image: &Rgb8,
    found: &[Letters],
    figure: Option<&Mask>,
    monitor: &Monitor,
) -> Result<Vec<Letters>, NetworkError> {
    let long = image.width.max(image.height);
    if long <= SEEN && found.is_empty() {
        return Ok(Vec::new());
    }
    let mut mask = Plane::new(image.width, image.height, false);
    for line in found {
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
    read_all(&clear, glyphs::letters(&clear, &lines, figure, monitor)?, monitor)
}
