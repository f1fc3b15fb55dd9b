//! Paths to coverage.

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

    pub(crate) fn moved(self, x: i32, y: i32) -> Self {
        Self {
            left: self.left.saturating_add(x),
            top: self.top.saturating_add(y),
            right: self.right.saturating_add(x),
            bottom: self.bottom.saturating_add(y),
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
