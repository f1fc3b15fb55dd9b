//! Sampling a small plane at the places of a larger one.

use crate::plane::Rgb8;

/// Where a row or column of the large picture lies between two of the small one.
#[derive(Clone, Copy)]
pub(super) struct Between {
    pub low: usize,
    pub high: usize,
    pub share: f32,
}

impl Between {
    /// The places of `length` pixels on `source`.
    pub(super) fn axis(length: usize, source: usize) -> Vec<Self> {
        let scale = source as f32 / length as f32;
        let place = |k: usize| ((k as f32 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f32);
        (0..length)
            .map(place)
            .map(|at| Self { low: at as usize, high: (at as usize + 1).min(source - 1), share: at.fract() })
            .collect()
    }

    pub(super) fn nearest(self) -> usize {
        if self.share < 0.5 { self.low } else { self.high }
    }
}

/// Between four values, of which the first two are in the upper row.
pub(super) fn mixed(values: [f32; 4], column: Between, row: Between) -> f32 {
    let upper = values[0] + (values[1] - values[0]) * column.share;
    let lower = values[2] + (values[3] - values[2]) * column.share;
    upper + (lower - upper) * row.share
}

/// The colour of a plane between its pixels.
pub(super) fn sampled(plane: &Rgb8, column: Between, row: Between) -> [f32; 3] {
    let corners = [(column.low, row.low), (column.high, row.low), (column.low, row.high), (column.high, row.high)];
    let pixels = corners.map(|(x, y)| plane.at(x, y));
    std::array::from_fn(|c| mixed(pixels.map(|pixel| f32::from(pixel[c])), column, row))
}
