//! Small pictures of one channel in floats.

use image::GrayImage;

/// Values from 0 to 1, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<f32>,
}

/// The box around ink, in px: edges where the coverage is one half, between pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InkBox {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

impl InkBox {
    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f32 {
        self.bottom - self.top
    }
}

#[expect(clippy::cast_precision_loss, reason = "positions within a picture")]
impl Plane {
    pub(crate) fn zero(width: usize, height: usize) -> Self {
        Self { width, height, values: vec![0.0; width * height] }
    }

    /// The coverage of a mask; traces below an eighth of the full ink are dropped. `None` if there is no ink.
    pub(crate) fn of_mask(mask: &GrayImage) -> Option<Self> {
        /// Fainter ink is none.
        const LEAST: f32 = 40.0 / 255.0;
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        let values = mask.as_raw().iter().map(|value| f32::from(*value) / 255.0).collect();
        let mut plane = Self { width, height, values };
        let full = plane.full();
        if full < LEAST {
            return None;
        }
        for value in plane.values.iter_mut().filter(|value| **value < full / 8.0) {
            *value = 0.0;
        }
        Some(plane)
    }

    /// How much full ink covers: what the brightest fiftieth of the covered pixels has. Less than 1 for ink that is
    /// transparent, thin or blurred; 0 if there is none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    pub(crate) fn full(&self) -> f32 {
        const LEVELS: usize = 256;
        const COVERED: usize = LEVELS / 16;
        let mut counts = [0_usize; LEVELS];
        for value in &self.values {
            counts[((value * (LEVELS - 1) as f32) as usize).min(LEVELS - 1)] += 1;
        }
        let mut brighter = counts[COVERED..].iter().sum::<usize>() / 50;
        let full = (COVERED..LEVELS).rev().find(|&level| {
            let found = counts[level] > brighter;
            brighter = brighter.saturating_sub(counts[level]);
            found
        });
        full.map_or(0.0, |level| (level as f32 + 0.5) / LEVELS as f32)
    }

    /// The largest value of each column, and of each row.
    fn profiles(&self) -> (Vec<f32>, Vec<f32>) {
        let mut columns = vec![0.0_f32; self.width];
        let mut rows = vec![0.0_f32; self.height];
        for (row, values) in rows.iter_mut().zip(self.values.chunks_exact(self.width)) {
            for (column, value) in columns.iter_mut().zip(values) {
                *column = column.max(*value);
                *row = row.max(*value);
            }
        }
        (columns, rows)
    }

    /// Around all ink that covers half as much as full ink, or more.
    pub(crate) fn ink_box(&self) -> Option<InkBox> {
        let full = self.full();
        let (mut columns, mut rows) = self.profiles();
        for value in columns.iter_mut().chain(&mut rows) {
            *value = (*value / full).min(1.0);
        }
        let (left, right) = edges(&columns)?;
        let (top, bottom) = edges(&rows)?;
        Some(InkBox { left, top, right, bottom })
    }

    /// A part of the plane, scaled: pixel (0, 0) of the result starts at (`x`, `y`), and each of its pixels is the
    /// average of `1 / scale` px a side. `scale` is at most 1. What lies outside is 0.
    pub(crate) fn scaled(&self, x: f32, y: f32, scale: f32, width: usize, height: usize) -> Self {
        let columns = spans(x, scale, width, self.width);
        let rows = spans(y, scale, height, self.height);
        let mut narrow = Self::zero(width, self.height);
        for (to, from) in narrow.values.chunks_exact_mut(width).zip(self.values.chunks_exact(self.width)) {
            for (value, span) in to.iter_mut().zip(&columns) {
                *value = span.average(|n| from[n]);
            }
        }
        let mut small = Self::zero(width, height);
        for (to, span) in small.values.chunks_exact_mut(width).zip(&rows) {
            for (n, value) in to.iter_mut().enumerate() {
                *value = span.average(|row| narrow.values[row * width + n]);
            }
        }
        small
    }

    /// Blurred with the kernel 1 2 1 in both directions, so that edges have slopes to follow.
    pub(crate) fn softened(&self) -> Self {
        let (width, height) = (self.width, self.height);
        let mut across = self.clone();
        for (to, from) in across.values.chunks_exact_mut(width).zip(self.values.chunks_exact(width)) {
            for x in 1..width.saturating_sub(1) {
                to[x] = 0.25 * (from[x - 1] + 2.0 * from[x] + from[x + 1]);
            }
        }
        let mut soft = across.clone();
        for y in 1..height.saturating_sub(1) {
            for x in 0..width {
                let at = |y: usize| across.values[y * width + x];
                soft.values[y * width + x] = 0.25 * (at(y - 1) + 2.0 * at(y) + at(y + 1));
            }
        }
        soft
    }

    /// Softened a number of times.
    pub(crate) fn softer(self, times: usize) -> Self {
        (0..times).fold(self, |plane, _| plane.softened())
    }

    /// Soft intersection over union: Σ min / Σ max.
    pub(crate) fn overlap(&self, other: &Self) -> f32 {
        let (mut both, mut any) = (0.0, 0.0);
        for (a, b) in self.values.iter().zip(&other.values) {
            both += a.min(*b);
            any += a.max(*b);
        }
        if any > 0.0 { both / any } else { 0.0 }
    }

    /// With edges moved outwards by some px, or inwards if below 0: to the first order, along the slopes.
    pub(crate) fn spread(&self, by: f32) -> Self {
        let (width, height) = (self.width, self.height);
        let mut moved = self.clone();
        if by == 0.0 {
            return moved;
        }
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let n = y * width + x;
                moved.values[n] = (self.values[n] + by * self.steepness(n)).clamp(0.0, 1.0);
            }
        }
        moved
    }

    /// The length of the slope at a pixel that is not at the edge, by central differences.
    pub(crate) fn steepness(&self, n: usize) -> f32 {
        let across = self.values[n + 1] - self.values[n - 1];
        let down = self.values[n + self.width] - self.values[n - self.width];
        0.5 * (across * across + down * down).sqrt()
    }

    /// Σ of the squared differences.
    pub(crate) fn distance(&self, other: &Self) -> f32 {
        self.values.iter().zip(&other.values).map(|(a, b)| (a - b) * (a - b)).sum()
    }
}

/// Where a profile first rises through one half, and last falls through it.
#[expect(clippy::cast_precision_loss, reason = "positions within a picture")]
fn edges(profile: &[f32]) -> Option<(f32, f32)> {
    let first = profile.iter().position(|value| *value >= 0.5)?;
    let last = profile.iter().rposition(|value| *value >= 0.5)?;
    // A pixel that is covered by c of its length, before a full one: the edge is at its end less c.
    let partly = |at: Option<usize>| at.and_then(|at| profile.get(at)).copied().unwrap_or(0.0);
    let start = first as f32 + (1.0 - profile[first]) - partly(first.checked_sub(1));
    let end = last as f32 + profile[last] + partly(last.checked_add(1));
    Some((start, end))
}

/// The pixels, and shares of pixels, that one scaled pixel averages.
struct Span {
    first: usize,
    weights: Vec<f32>,
}

impl Span {
    fn average(&self, at: impl Fn(usize) -> f32) -> f32 {
        self.weights.iter().enumerate().map(|(n, weight)| at(self.first + n) * weight).sum()
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn spans(start: f32, scale: f32, count: usize, size: usize) -> Vec<Span> {
    let step = 1.0 / scale;
    (0..count)
        .map(|n| {
            let (from, to) = (start + n as f32 * step, start + (n + 1) as f32 * step);
            let (low, high) = (from.max(0.0), to.min(size as f32));
            if low >= high {
                return Span { first: 0, weights: Vec::new() };
            }
            let first = low.floor() as usize;
            let last = (high.ceil() as usize).min(size);
            let share = |n: usize| (high.min((n + 1) as f32) - low.max(n as f32)).max(0.0) / step;
            Span { first, weights: (first..last).map(share).collect() }
        })
        .collect()
}
