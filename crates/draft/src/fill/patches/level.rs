//! One size of the pyramid in which patches are looked for.

use crate::colour::max_difference;
use crate::filter::{area_means, box_mean, resize_area};
use crate::plane::{Colour, Gray, Mask, Plane, for_rows};

/// Half the side of a patch.
pub(super) const RADIUS: usize = 3;

/// Share of a pixel that is known from which it is known at a smaller size: thin holes, like small letters, close
/// there, and what lies between and beside them can be copied from the start.
const KNOWN: f32 = 0.35;
/// Weight of the detail against a channel of colour.
const DETAIL: f32 = 4.0;
/// Share of a pixel that nothing may be copied from, up to which something may at a smaller size.
const CLEAN: f32 = 0.4;
/// What a source as far away as the picture is long costs, as the mean squared difference of a pixel: light and grain
/// change over a picture.
const FAR: f32 = 4e-3;

/// Colours of 8 bits, and how much detail there is: without it, what is blurred at first finds what is blurred
/// (Newson et al. 2014). The row of a patch is a few instructions.
pub(super) type Bytes = Plane<[u8; 4]>;

pub(super) fn to_four_bytes(colour: [f32; 3], detail: f32) -> [u8; 4] {
    let [r, g, b] = crate::colour::to_bytes(colour);
    [r, g, b, (DETAIL * 255.0 * detail + 0.5) as u8]
}

/// The mean colour step to the next pixel around each, without those into `hole`.
pub(super) fn detail(image: &Colour, hole: &Mask) -> Gray {
    let steps = Plane::from_fn(image.width, image.height, |x, y| {
        let here = image.at(x, y);
        let step = |u: usize, v: usize| if hole.at(u, v) { 0.0 } else { max_difference(here, image.at(u, v)) };
        [if hole.at(x, y) { 0.0 } else { step(x.saturating_sub(1), y).max(step(x, y.saturating_sub(1))) }]
    });
    box_mean(&steps, 2).map(|[mean]| mean)
}

/// What is shrunk from one size to the next: the colours where they are known, each times how much of the pixel
/// is known; that share; and the share that no patch may come from.
pub(super) struct Known(Plane<[f32; 6]>);

impl Known {
    pub(super) fn new(
        (image, detail): (&Colour, &Gray),
        hole: &Mask,
        bad: &Mask,
        (width, height): (usize, usize),
    ) -> Self {
        let at = |x, y| {
            let [r, g, b] = image.at(x, y);
            let bad = if bad.at(x, y) { 1.0 } else { 0.0 };
            if hole.at(x, y) { [0.0, 0.0, 0.0, 0.0, 0.0, bad] } else { [r, g, b, detail.at(x, y), 1.0, bad] }
        };
        Self(area_means((image.width, image.height), (width, height), at))
    }

    pub(super) fn shrunk(&self, width: usize, height: usize) -> Self {
        Self(resize_area(&self.0, width, height))
    }

    pub(super) fn level(&self) -> Level {
        let image = self.0.map(|[r, g, b, d, w, _]| {
            let w = w.max(1e-4);
            to_four_bytes([r / w, g / w, b / w], d / w)
        });
        let hole = self.0.map(|[.., w, _]| w < KNOWN);
        let bad = self.0.map(|[.., bad]| bad > CLEAN).or(&hole);
        Level::of(image, hole, &bad)
    }
}

pub(super) struct Level {
    pub image: Bytes,
    pub hole: Mask,
    /// Pixels whose whole patch may be copied.
    pub source: Mask,
    /// Where these are.
    pub places: Vec<u32>,
    /// Pixels whose patch touches the hole.
    pub touched: Mask,
}

impl Level {
    pub(super) fn of(image: Bytes, hole: Mask, bad: &Mask) -> Self {
        let source = sources(bad);
        let places = (0..source.data.len() as u32).filter(|&i| source.data[i as usize]).collect();
        Level { image, source, places, touched: square(&hole), hole }
    }

    /// Takes the solution of a smaller level into the hole.
    pub(super) fn start_from(&mut self, smaller: &Bytes) {
        let (width, height) = (self.image.width, self.image.height);
        let axis = |length: usize, source: usize| -> Vec<(usize, usize, f32)> {
            let scale = source as f32 / length as f32;
            let position = |k: usize| ((k as f32 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f32);
            (0..length).map(position).map(|p| (p as usize, (p as usize + 1).min(source - 1), p.fract())).collect()
        };
        let (columns, rows) = (axis(width, smaller.width), axis(height, smaller.height));
        let hole = &self.hole;
        for_rows(&mut self.image.data, width, |y, row| {
            let (y0, y1, v) = rows[y];
            let (above, below) = (smaller.row(y0), smaller.row(y1));
            for ((pixel, &inside), &(x0, x1, u)) in row.iter_mut().zip(hole.row(y)).zip(&columns) {
                if !inside {
                    continue;
                }
                *pixel = std::array::from_fn(|c| {
                    let mix = |a: u8, b: u8| f32::from(a) + (f32::from(b) - f32::from(a)) * u;
                    let (top, bottom) = (mix(above[x0][c], above[x1][c]), mix(below[x0][c], below[x1][c]));
                    (top + (bottom - top) * v + 0.5) as u8
                });
            }
        });
    }

    /// What the distance between a pixel and its source costs.
    #[inline(always)]
    pub(super) fn far(&self, (x, y): (usize, usize), (u, v): (usize, usize)) -> f32 {
        FAR * (x.abs_diff(u) + y.abs_diff(v)) as f32 / self.image.width.max(self.image.height) as f32
    }

    /// Whether a patch may come from there.
    #[inline(always)]
    pub(super) fn usable(&self, x: i32, y: i32) -> bool {
        x >= 0
            && y >= 0
            && (x as usize) < self.image.width
            && (y as usize) < self.image.height
            && self.source.at(x as usize, y as usize)
    }
}

/// Pixels whose patch lies within the picture and off `bad`.
fn sources(bad: &Mask) -> Mask {
    let near = square(bad);
    let (width, height) = (bad.width, bad.height);
    Plane::from_fn(width, height, |x, y| {
        let inside = x >= RADIUS && y >= RADIUS && x + RADIUS < width && y + RADIUS < height;
        inside && !near.at(x, y)
    })
}

/// Grown by a patch.
pub(super) fn square(mask: &Mask) -> Mask {
    let mut rows = mask.clone();
    for_rows(&mut rows.data, mask.width, |y, target| {
        let row = mask.row(y);
        for shift in 1..=RADIUS.min(row.len()) {
            target[shift..].iter_mut().zip(row).for_each(|(t, &set)| *t |= set);
            target.iter_mut().zip(&row[shift..]).for_each(|(t, &set)| *t |= set);
        }
    });
    let mut out = mask.same_size(false);
    for_rows(&mut out.data, mask.width, |y, target| {
        for source in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(mask.height) {
            target.iter_mut().zip(rows.row(source)).for_each(|(t, &set)| *t |= set);
        }
    });
    out
}
