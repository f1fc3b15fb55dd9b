//! Paths to coverage, and coverage blurred.

use zeno::{Command, Fill, Join, Mask, Scratch, Stroke, Style};

use crate::glyph::Extent;

/// How much of each pixel is covered, 0 to 255, row by row, on a part of the plane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    /// The pixel of the plane that is first.
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) values: Vec<u8>,
}

/// A rectangle of whole pixels on the plane: left, top, and the first beyond right and bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl Pixels {
    /// The pixels that an extent touches, with a margin in px.
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    pub(crate) fn around(extent: &Extent, margin: f32) -> Self {
        Self {
            left: (extent.left - margin).floor() as i32,
            top: (extent.top - margin).floor() as i32,
            right: (extent.right + margin).ceil() as i32,
            bottom: (extent.bottom + margin).ceil() as i32,
        }
    }

    pub(crate) fn intersection(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    pub(crate) fn width(&self) -> usize {
        usize::try_from(i64::from(self.right) - i64::from(self.left)).unwrap_or(0)
    }

    pub(crate) fn height(&self) -> usize {
        usize::try_from(i64::from(self.bottom) - i64::from(self.top)).unwrap_or(0)
    }

    pub(crate) fn area(&self) -> usize {
        self.width().saturating_mul(self.height())
    }
}

/// What drawing needs again and again.
#[derive(Default)]
pub(crate) struct Tools {
    scratch: Scratch,
    part: Vec<u8>,
}

impl Coverage {
    /// Adds a filled path (non-zero winding), or a round-joined line of a width in px along it. Paths are drawn one by
    /// one, each in its own box: the rasterizer's time grows with the square of what is in one row.
    ///
    /// Fills add up, so that letters that touch have no seam; of lines, the larger coverage stays.
    pub(crate) fn draw(&mut self, path: &[Command], extent: &Extent, stroke: Option<f32>, tools: &mut Tools) {
        let pixels = Pixels::around(extent, stroke.unwrap_or(0.0) / 2.0 + 1.0).intersection(self.pixels());
        let (Ok(width), Ok(height)) = (u32::try_from(pixels.width()), u32::try_from(pixels.height())) else { return };
        if width == 0 || height == 0 {
            return;
        }
        let style = stroke.map_or(Style::Fill(Fill::NonZero), |width| {
            let mut stroke = Stroke::new(width);
            stroke.join(Join::Round);
            Style::Stroke(stroke)
        });
        #[expect(clippy::cast_precision_loss, reason = "pixels of a poster")]
        let origin = (-pixels.left as f32, -pixels.top as f32);
        tools.part.clear();
        tools.part.resize(pixels.area(), 0);
        let mut mask = Mask::with_scratch(path, &mut tools.scratch);
        mask.style(style).size(width, height).offset(origin).render_into(&mut tools.part, None);
        let index = |from: i32, to: i32| usize::try_from(i64::from(to) - i64::from(from)).unwrap_or(0);
        let (x, y) = (index(self.x, pixels.left), index(self.y, pixels.top));
        for (row, part) in tools.part.chunks_exact(pixels.width()).enumerate() {
            let start = (y + row) * self.width + x;
            for (to, from) in self.values[start..start + part.len()].iter_mut().zip(part) {
                *to = if stroke.is_some() { (*to).max(*from) } else { to.saturating_add(*from) };
            }
        }
    }
}

/// Gaussian blur of a given standard deviation in px; what lies outside counts as 0.
pub(crate) fn blur(coverage: &mut Coverage, deviation: f32) {
    let kernel = kernel(deviation);
    if kernel.len() < 2 || coverage.values.is_empty() {
        return;
    }
    let (width, height) = (coverage.width, coverage.height);
    let mut turned = vec![0_u16; width * height];
    let rows = coverage.values.iter().map(|&value| u16::from(value) << 8);
    convolve(&rows.collect::<Vec<_>>(), width, height, &kernel, &mut turned);
    let mut back = vec![0_u16; width * height];
    convolve(&turned, height, width, &kernel, &mut back);
    for (value, blurred) in coverage.values.iter_mut().zip(back) {
        *value = u8::try_from((u32::from(blurred) + 128) >> 8).unwrap_or(u8::MAX);
    }
}

/// Blurs along the rows and writes the result with rows and columns exchanged.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an average of u16 is one")]
fn convolve(from: &[u16], width: usize, height: usize, kernel: &[f32], to: &mut [u16]) {
    let reach = kernel.len() - 1;
    // The row between zeros, so that one weight after the other is added to all of it.
    let mut row = vec![0.0_f32; width + 2 * reach];
    let mut sums = vec![0.0_f32; width];
    for (y, values) in from.chunks_exact(width).take(height).enumerate() {
        for (to, from) in row[reach..].iter_mut().zip(values) {
            *to = f32::from(*from);
        }
        sums.fill(0.5);
        for (d, weight) in kernel.iter().enumerate() {
            let (left, right) = (&row[reach - d..][..width], &row[reach + d..][..width]);
            let weight = if d == 0 { weight / 2.0 } else { *weight };
            for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
                *sum += (left + right) * weight;
            }
        }
        for (x, sum) in sums.iter().enumerate() {
            to[x * height + y] = *sum as u16;
        }
    }
}

/// The middle and one half of a Gaussian that is cut at three deviations.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
fn kernel(deviation: f32) -> Vec<f32> {
    if deviation < 0.05 {
        return vec![1.0];
    }
    let reach = (3.0 * deviation).ceil() as usize;
    let bell = |d: usize| libm::expf(-((d * d) as f32) / (2.0 * deviation * deviation));
    let sum = bell(0) + 2.0 * (1..=reach).map(bell).sum::<f32>();
    (0..=reach).map(|d| bell(d) / sum).collect()
}

impl Pixels {
    pub(crate) fn union(self, other: Self) -> Self {
        if self.area() == 0 || other.area() == 0 {
            return if self.area() == 0 { other } else { self };
        }
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    pub(crate) fn grown(self, by: i32) -> Self {
        Self {
            left: self.left.saturating_sub(by),
            top: self.top.saturating_sub(by),
            right: self.right.saturating_add(by),
            bottom: self.bottom.saturating_add(by),
        }
    }
}

impl Coverage {
    pub(crate) fn empty(pixels: Pixels) -> Self {
        let (width, height) = (pixels.width(), pixels.height());
        Self { x: pixels.left, y: pixels.top, width, height, values: vec![0; pixels.area()] }
    }

    pub(crate) fn pixels(&self) -> Pixels {
        let end = |start: i32, size: usize| start.saturating_add(i32::try_from(size).unwrap_or(i32::MAX));
        Pixels { left: self.x, top: self.y, right: end(self.x, self.width), bottom: end(self.y, self.height) }
    }

    /// The first column and the values of a row of the plane, if it is within.
    pub(crate) fn row(&self, y: i32) -> Option<(i32, &[u8])> {
        let row = usize::try_from(i64::from(y) - i64::from(self.y)).ok().filter(|row| *row < self.height)?;
        Some((self.x, self.values.get(row * self.width..(row + 1) * self.width)?))
    }

    /// Calls `copy` with the parts of each row that this and another coverage share: first this one's.
    pub(crate) fn each_row_of(&mut self, other: &Self, copy: impl Fn(&mut [u8], &[u8])) {
        let shared = self.pixels().intersection(other.pixels());
        if shared.area() == 0 {
            return;
        }
        let offset = |from: i32, to: i32| usize::try_from(i64::from(to) - i64::from(from)).unwrap_or(0);
        let (to, from) = (offset(self.x, shared.left), offset(other.x, shared.left));
        for y in shared.top..shared.bottom {
            let (to, from) = (offset(self.y, y) * self.width + to, offset(other.y, y) * other.width + from);
            copy(&mut self.values[to..to + shared.width()], &other.values[from..from + shared.width()]);
        }
    }

    /// Moves the contents right and down by parts of a pixel, 0 to 1; what leaves the edge is lost.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an average of bytes is one")]
    pub(crate) fn shift_within_pixel(&mut self, right: f32, down: f32) {
        if right == 0.0 && down == 0.0 {
            return;
        }
        for y in (0..self.height).rev() {
            for x in (0..self.width).rev() {
                let at = |back_x: usize, back_y: usize| match (x.checked_sub(back_x), y.checked_sub(back_y)) {
                    (Some(x), Some(y)) => f32::from(self.values[y * self.width + x]),
                    _ => 0.0,
                };
                let above = at(0, 1) * (1.0 - right) + at(1, 1) * right;
                let here = at(0, 0) * (1.0 - right) + at(1, 0) * right;
                self.values[y * self.width + x] = (here * (1.0 - down) + above * down + 0.5) as u8;
            }
        }
    }
}
