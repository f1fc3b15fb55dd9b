//! Large pictures: everything is found, cut out and completed at a bounded size, and brought to the picture's own size
//! row by row, with its own edges. So memory and time grow with what the rows need, not with what the search does.

mod between;

use rayon::prelude::*;

use crate::colour::max_difference;
use crate::layer::Sheet;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{NOWHERE, dilate, nearest};
use crate::numeric::quantile;
use crate::plane::{Mask, Plane, Rgb8};
use between::{Between, mixed, sampled};

/// Pixels above which a picture is large,
const LARGE: usize = 6_000_000;
/// and those that it is worked on with. Between the two, shrinking would cost sharpness and save nothing.
const WORKING: f32 = 4_000_000.0;

/// Opacity from which a pixel at working size is opaque.
const OPAQUE: u8 = 250;
/// Opacity from which it can be a thin stroke, and how much that stands out from the picture at working size (0 to 255).
const THIN: u8 = 64;
const SHARP: f32 = 24.0;
/// Rows between two looks at whether to stop.
const STRIP: usize = 64;
/// Differences (0 to 255) from the picture at working size up to three times the usual one are its grain, which stays on
/// what is below where that shows through. More than that are edges, and what compression leaves beside them. Bounds:
const GRAIN: (f32, f32) = (3.0, 14.0);
/// Number of pixels that the usual difference is measured on.
const SAMPLES: usize = 20_000;
/// Difference (0 to 255) from what is below up to which a pixel of hardly any opacity is part of that.
const ALMOST_BELOW: f32 = 10.0;
const HARDLY: f32 = 0.03;
/// Share of the way from what is below to the nearest sure colour from which a pixel is opaque.
const ALMOST_OPAQUE: f32 = 0.92;
/// How much the two must differ, squared, before the way between them is trusted rather than the coarse opacity.
const TRUST: f32 = 0.02 * 255.0 * 255.0;

/// The size that a large picture is worked on with; `None` for others.
pub(crate) fn working_size(width: usize, height: usize) -> Option<(usize, usize)> {
    let pixels = width * height;
    let scale = (WORKING / pixels as f32).sqrt();
    let side = |length: usize| ((length as f32 * scale).round() as usize).clamp(1, length);
    (pixels > LARGE).then(|| (side(width), side(height)))
}

/// Brings sheets (lowest first) over a background from working size to that of `picture`; returns the background.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn enlarge(
    picture: Rgb8,
    background: &Rgb8,
    sheets: &mut [&mut Sheet],
    monitor: &Monitor,
) -> Result<Rgb8, Stopped> {
    let (width, height) = (picture.width, picture.height);
    // The picture without the sheets so far.
    let mut rest = picture;
    for k in (0..sheets.len()).rev() {
        let (lower, upper) = sheets.split_at_mut(k);
        let (below, sheet) = (lower.last().map_or(background, |lower| &lower.above), &mut *upper[0]);
        let coarse = Coarse::new(&rest, sheet, below);
        let (fine_below, alpha) = coarse.refined(&rest, monitor)?;
        let columns = coarse.columns.clone();
        let rows = coarse.rows.clone();
        sheet.owner = Plane::from_fn(width, height, |x, y| sheet.owner.at(columns[x].nearest(), rows[y].nearest()));
        sheet.alpha = alpha;
        sheet.above = std::mem::replace(&mut rest, fine_below);
    }
    Ok(rest)
}

/// A sheet at working size.
struct Coarse<'a> {
    above: &'a Rgb8,
    below: &'a Rgb8,
    alpha: &'a Plane<u8>,
    /// Where it may have any opacity.
    active: Mask,
    /// The nearest sure pixel, [`NOWHERE`] without any, and the colour there.
    sources: Plane<u32>,
    fronts: Rgb8,
    /// Largest difference (0 to 255) from the picture at working size that is the grain of the large one.
    grain: f32,
    columns: Vec<Between>,
    rows: Vec<Between>,
}

impl<'a> Coarse<'a> {
    fn new(picture: &Rgb8, sheet: &'a Sheet, below: &'a Rgb8) -> Self {
        let (alpha, above) = (&sheet.alpha, &sheet.above);
        let (width, height) = (alpha.width, alpha.height);
        let span = |k: usize, length: usize, source: usize| k * length / source..((k + 1) * length).div_ceil(source);
        // Whether a pixel is sure, and its colour.
        let sure = Plane::from_fn(width, height, |x, y| {
            let (here, blurred) = (alpha.at(x, y), above.at(x, y));
            // Strokes thinner than a pixel of the working size are never opaque: their ridges count.
            let ridge = || {
                (y.saturating_sub(1)..(y + 2).min(height))
                    .all(|v| (x.saturating_sub(1)..(x + 2).min(width)).all(|u| alpha.at(u, v) <= here))
            };
            if !(THIN..OPAQUE).contains(&here) || !ridge() {
                return (here >= OPAQUE, blurred);
            }
            // The pixel of the large picture that differs the most is of the stroke; a shadow has none that stands out.
            let behind = below.at(x, y).map(f32::from);
            let mut best = (-1.0, blurred);
            for v in span(y, picture.height, height) {
                for colour in &picture.row(v)[span(x, picture.width, width)] {
                    let difference = max_difference(colour.map(f32::from), behind);
                    best = if difference > best.0 { (difference, *colour) } else { best };
                }
            }
            (max_difference(best.1.map(f32::from), blurred.map(f32::from)) > SHARP, best.1)
        });
        let active = dilate(&alpha.map(|a| a > 0), 1);
        let mut found = Self {
            above,
            below,
            alpha,
            active,
            grain: GRAIN.0,
            sources: nearest(&sure.map(|(sure, _)| sure)),
            fronts: sure.map(|(_, colour)| colour),
            columns: Between::axis(picture.width, width),
            rows: Between::axis(picture.height, height),
        };
        found.grain = found.usual_grain(picture);
        found
    }

    /// Measured where the sheet is not.
    fn usual_grain(&self, picture: &Rgb8) -> f32 {
        let step = (picture.data.len() / SAMPLES).max(1);
        let places = (0..picture.data.len()).step_by(step).map(|k| (k % picture.width, k / picture.width));
        let mut differences: Vec<f32> = places
            .filter(|&(x, y)| !self.active.at(self.columns[x].nearest(), self.rows[y].nearest()))
            .map(|(x, y)| {
                max_difference(picture.at(x, y).map(f32::from), sampled(self.above, self.columns[x], self.rows[y]))
            })
            .collect();
        (3.0 * quantile(&mut differences, 0.5) + 1.0).clamp(GRAIN.0, GRAIN.1)
    }

    /// What is below at the size of `picture`, and the opacity.
    fn refined(&self, picture: &Rgb8, monitor: &Monitor) -> Result<(Rgb8, Plane<u8>), Stopped> {
        let width = picture.width;
        let mut below = picture.clone();
        let mut alpha = picture.same_size(0u8);
        for (strip, (below, alpha)) in
            below.data.chunks_mut(STRIP * width).zip(alpha.data.chunks_mut(STRIP * width)).enumerate()
        {
            monitor.check()?;
            below.par_chunks_mut(width).zip(alpha.par_chunks_mut(width)).enumerate().for_each(|(y, (below, alpha))| {
                let row = self.rows[strip * STRIP + y];
                for x in 0..width {
                    let column = self.columns[x];
                    if self.active.at(column.nearest(), row.nearest()) {
                        (below[x], alpha[x]) = self.pixel(below[x], column, row);
                    }
                }
            });
        }
        Ok((below, alpha))
    }

    /// What is below a pixel, and the sheet's opacity there.
    fn pixel(&self, colour: [u8; 3], column: Between, row: Between) -> ([u8; 3], u8) {
        let corners = [(column.low, row.low), (column.high, row.low), (column.low, row.high), (column.high, row.high)];
        let alphas = corners.map(|(x, y)| self.alpha.at(x, y));
        let (least, most) = (alphas.iter().min().copied().unwrap_or(0), alphas.iter().max().copied().unwrap_or(0));
        if most == 0 {
            return (colour, 0);
        }
        let behind = sampled(self.below, column, row);
        if least >= OPAQUE {
            return (bytes(behind), 255);
        }
        let coarse = mixed(alphas.map(f32::from), column, row) / 255.0;
        let here = colour.map(f32::from);
        let blurred = sampled(self.above, column, row);
        let (off_below, off_above) = (max_difference(here, behind), max_difference(here, blurred));
        // Beside an edge, what is below explains a pixel better than the mixture at working size.
        if off_below < self.grain && off_below <= off_above {
            return (colour, 0);
        }
        let fine = if off_above < self.grain { 1.0 - coarse } else { 0.0 };
        let behind: [f32; 3] = std::array::from_fn(|c| (behind[c] + fine * (here[c] - blurred[c])).clamp(0.0, 255.0));
        let alpha = self.opacity(here, behind, coarse, most, (column.nearest(), row.nearest()));
        if alpha < HARDLY && max_difference(here, behind) < ALMOST_BELOW {
            return (colour, 0);
        }
        (bytes(behind), (alpha * 255.0).round().clamp(0.0, 255.0) as u8)
    }

    /// Where `here` lies between what is `behind` and the nearest sure colour, as far as the two differ. Away from the
    /// sure pixels, in shadows, the coarse opacity is as good as any.
    fn opacity(&self, here: [f32; 3], behind: [f32; 3], coarse: f32, most: u8, (x, y): (usize, usize)) -> f32 {
        let source = self.sources.at(x, y);
        if source == NOWHERE || most < 128 && self.distance(source, x, y) > 2 {
            return coarse;
        }
        let front = self.fronts.data[source as usize].map(f32::from);
        let (mut product, mut square) = (0.0, 0.0);
        for c in 0..3 {
            let way = front[c] - behind[c];
            product += (here[c] - behind[c]) * way;
            square += way * way;
        }
        let share = (product / square.max(1e-3)).clamp(0.0, 1.0);
        let share = if share > ALMOST_OPAQUE { 1.0 } else { share };
        let trust = square / (square + TRUST);
        trust * share + (1.0 - trust) * coarse
    }

    fn distance(&self, source: u32, x: usize, y: usize) -> usize {
        let (u, v) = (source as usize % self.alpha.width, source as usize / self.alpha.width);
        u.abs_diff(x).max(v.abs_diff(y))
    }
}

fn bytes(colour: [f32; 3]) -> [u8; 3] {
    colour.map(|v| (v + 0.5).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use layers::Kind;

    use super::*;
    use crate::filter::resize_rgb;
    use crate::layer::Part;
    use crate::monitor::monitor;

    /// A picture with a disk and a thin bar, both of them a sheet at a third of the size, on grainy background.
    fn enlarged() -> (Rgb8, Rgb8, Sheet) {
        let inside = |x: usize, y: usize| {
            x.abs_diff(150).pow(2) + y.abs_diff(150).pow(2) < 80 * 80
                || (260..262).contains(&x) && (40..260).contains(&y)
        };
        let ground = |x: usize, y: usize| [230, 200 + ((x * 7 + y * 13) % 5) as u8, 60];
        let picture = Plane::from_fn(300, 300, |x, y| if inside(x, y) { [20, 60, 160] } else { ground(x, y) });
        let background = resize_rgb(&Plane::from_fn(300, 300, ground), 100, 100);
        let alpha = Plane::from_fn(100, 100, |x, y| {
            let covered = (0..9).filter(|k| inside(3 * x + k % 3, 3 * y + k / 3)).count();
            (covered * 255 / 9) as u8
        });
        let mut sheet = Sheet::whole(Part::new(Kind::Object), alpha, resize_rgb(&picture, 100, 100));
        let (monitor, _reporter) = monitor();
        let below = enlarge(picture.clone(), &background, &mut [&mut sheet], &monitor).expect("nobody stops it");
        (picture, below, sheet)
    }

    #[test]
    fn edges_are_those_of_the_large_picture() {
        let (picture, below, sheet) = enlarged();
        assert_eq!(sheet.above, picture);
        for y in 0..300 {
            // The ends of the bar are too small for the working size.
            for x in (0..300).filter(|x| *x < 250 || (46..254).contains(&y)) {
                let inside = picture.at(x, y)[0] == 20;
                let alpha = sheet.alpha.at(x, y);
                assert!(if inside { alpha > 235 } else { alpha < 20 }, "{alpha} at {x}, {y}");
                let behind = below.at(x, y);
                assert!(behind[0].abs_diff(230) < 8 && behind[1].abs_diff(202) < 8, "{behind:?} at {x}, {y}");
            }
        }
    }

    #[test]
    fn what_is_far_from_the_sheet_is_as_it_was() {
        let (picture, below, _) = enlarged();
        assert!((0..300).all(|y| (0..60).all(|x| below.at(x, y) == picture.at(x, y))));
    }

    #[test]
    fn only_large_pictures_are_shrunk() {
        assert_eq!(working_size(1328, 1328), None);
        assert_eq!(working_size(2000, 3000), None);
        let (width, height) = working_size(4000, 6000).expect("a large one");
        assert!((3_900_000..4_100_000).contains(&(width * height)));
        assert_eq!(working_size(1, 7_000_000), Some((1, 5291503)));
    }
}
