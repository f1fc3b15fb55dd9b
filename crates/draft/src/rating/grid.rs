//! Known pixels are foretold from others: how far off is that?

use crate::colour::{max_difference, to_unit};
use crate::fill::membrane::membrane;
use crate::plane::{Gray, Mask, Plane, Rgb8};

/// Long side of the grid of places that are looked at.
const GRID: usize = 332;
/// Distances in pixels, each twice the one before, at which predictions are tried; beyond the last the error stays.
pub(super) const DISTANCES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
/// How much more a completion errs that far than one step of [`DISTANCES`] nearer, where nothing can be tried.
const FURTHER: f32 = 1.3;
/// Largest step (0 to 1) between neighbours in even colour.
const EVEN_STEP: f32 = 1.5 / 255.0;

/// The error at a place of the grid that lies so deep in a hole, between those of the two nearest distances.
pub(super) fn expected(tried: &[(usize, Gray)], (u, v): (usize, usize), depth: f32) -> f32 {
    let level = libm::log2f(depth.max(1.0));
    // Where nothing is known at any distance, everything may be wrong.
    let Some((last, furthest)) = tried.last() else { return 1.0 };
    let at = |index: usize| match tried.iter().find(|(k, _)| *k == index) {
        Some((_, errors)) => errors.at(u, v),
        None => furthest.at(u, v) * libm::powf(FURTHER, index.saturating_sub(*last) as f32),
    };
    let low = (level as usize).min(DISTANCES.len() - 1);
    let high = (low + 1).min(DISTANCES.len() - 1);
    let share = (level - low as f32).clamp(0.0, 1.0);
    at(low) + (at(high) - at(low)) * share
}

/// Places at equal distances.
pub(super) struct Grid {
    pub width: usize,
    pub height: usize,
    step: usize,
}

impl Grid {
    pub(super) fn over(image: &Rgb8) -> Self {
        let step = image.width.max(image.height).div_ceil(GRID).max(1);
        Self { width: image.width.div_ceil(step), height: image.height.div_ceil(step), step }
    }

    pub(super) fn place(&self, u: usize, v: usize) -> (usize, usize) {
        (u * self.step, v * self.step)
    }

    /// How far known pixels are from the mean of the known ones at a distance on either side, in the best of four
    /// directions, carried on to where that cannot be tried; `None` where it cannot be tried anywhere.
    pub(super) fn tried(&self, image: &Rgb8, known: &Mask, distance: usize) -> Option<Gray> {
        let (width, height) = (image.width as isize, image.height as isize);
        let found = Plane::from_fn(self.width, self.height, |u, v| {
            let (x, y) = self.place(u, v);
            if !known.at(x, y) {
                return ([0.0], false);
            }
            let here = to_unit(image.at(x, y));
            let at = |dx: isize, dy: isize| {
                let (x, y) = (x as isize + dx, y as isize + dy);
                let inside = (0..width).contains(&x) && (0..height).contains(&y);
                (inside && known.at(x as usize, y as usize)).then(|| to_unit(image.at(x as usize, y as usize)))
            };
            let far = distance as isize;
            // A diagonal step is longer.
            let slant = (distance as f32 * 0.71).ceil() as isize;
            let mut best = f32::INFINITY;
            for (dx, dy) in [(far, 0), (0, far), (slant, slant), (slant, -slant)] {
                if let (Some(a), Some(b)) = (at(dx, dy), at(-dx, -dy)) {
                    let mean = std::array::from_fn(|c| 0.5 * (a[c] + b[c]));
                    best = best.min(max_difference(here, mean));
                }
            }
            ([best], best.is_finite())
        });
        let known = found.map(|(_, tried)| tried);
        let values = found.map(|(error, tried)| if tried { error } else { [0.0] });
        known.any().then(|| membrane(&values, &known, 2).map(|[error]| error))
    }

    /// Share of the known places whose next pixels have nearly the same colour.
    pub(super) fn even_share(&self, image: &Rgb8, known: &Mask) -> f32 {
        let (mut even, mut count) = (0usize, 0usize);
        for v in 0..self.height {
            for u in 0..self.width {
                let (x, y) = self.place(u, v);
                if x > 0 && y > 0 && known.at(x, y) {
                    let here = to_unit(image.at(x, y));
                    let near = |x: usize, y: usize| max_difference(here, to_unit(image.at(x, y))) < EVEN_STEP;
                    count += 1;
                    even += usize::from(near(x - 1, y) && near(x, y - 1));
                }
            }
        }
        even as f32 / count.max(1) as f32
    }
}
