//! The frame of a line: where along the line, and how far across it, a pixel lies.

use crate::numeric::{quantile, solve_symmetric};
use crate::plane::{Mask, Rect};
use crate::text::arc::Arc;
use crate::text::outline::{least_rectangle, rim};

/// Height of an upright line against its width, from which it is read downwards.
const UPRIGHT: f32 = 1.5;
/// Length of a line against its height from which its bend can be told.
const LONG: f32 = 3.0;
/// Parts of a line whose middles give its bend.
const PARTS: usize = 16;
/// Sag of a line against its height from which it counts as bent.
const BENT: f32 = 0.12;

/// Sine of the angle up to which a line is level or upright.
const LEVEL: f32 = 0.1;

/// How far letters go beyond the rows that hold eight tenths of them, in heights of these.
const BEYOND_BODY: f32 = 0.6;

/// A line of text as a strip along a parabola or a circle, in pixels of the picture.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    origin: [f32; 2],
    /// Direction of the line.
    along: [f32; 2],
    /// The middle of the line is at `bend[0] + bend[1] s + bend[2] s^2` across.
    bend: [f32; 3],
    /// The circle that the line runs along, if it does.
    arc: Option<Arc>,
    /// Upper and lower end of the letters across the line, from its middle.
    pub low: f32,
    pub high: f32,
    /// First and last place of the letters along the line.
    pub start: f32,
    pub end: f32,
}

impl Frame {
    /// The frame of the region that the detector marked at the corner of `rect`; `None` for an empty one. The ends are
    /// those of the region until [`Frame::fit_to`] sets them.
    pub(super) fn of(marked: &Mask, rect: Rect) -> Option<Frame> {
        let rim = rim(marked);
        if rim.is_empty() {
            return None;
        }
        let found = least_rectangle(&rim);
        let upright = found.height > UPRIGHT * found.width;
        let along = if upright { [-found.u[1], found.u[0]] } else { found.u };
        let (length, height) = if upright { (found.height, found.width) } else { (found.width, found.height) };
        let origin = [found.centre[0] + rect.x0 as f32, found.centre[1] + rect.y0 as f32];
        let mut frame = Frame {
            origin,
            along,
            bend: [0.0; 3],
            arc: None,
            low: -height / 2.0,
            high: height / 2.0,
            start: -length / 2.0,
            end: length / 2.0,
        };
        frame.arc = Arc::of(marked, rect);
        if let Some(arc) = &frame.arc {
            (frame.low, frame.high) = (-arc.height / 2.0, arc.height / 2.0);
            (frame.start, frame.end) = (-arc.length / 2.0, arc.length / 2.0);
        } else if length > LONG * height {
            frame.bend = frame.bend_of(&rim, rect);
        }
        Some(frame)
    }

    /// The parabola through the middles of the parts of the line; none where they lie on a straight line.
    fn bend_of(&self, rim: &[[f32; 2]], rect: Rect) -> [f32; 3] {
        let mut ends = [(f32::INFINITY, f32::NEG_INFINITY); PARTS];
        let length = self.end - self.start;
        for point in rim {
            let [s, t] = self.place(point[0] + rect.x0 as f32, point[1] + rect.y0 as f32);
            let part = ((s - self.start) / length * PARTS as f32).clamp(0.0, PARTS as f32 - 1.0) as usize;
            ends[part] = (ends[part].0.min(t), ends[part].1.max(t));
        }
        let (mut a, mut b) = ([[0.0f64; 3]; 3], [[0.0f64; 1]; 3]);
        let mut heights = Vec::new();
        for (part, (top, bottom)) in ends.iter().enumerate().filter(|(_, (top, bottom))| top < bottom) {
            let s = f64::from(self.start + (part as f32 + 0.5) / PARTS as f32 * length) / f64::from(length);
            let powers = [1.0, s, s * s];
            for i in 0..3 {
                for j in 0..3 {
                    a[i][j] += powers[i] * powers[j];
                }
                b[i][0] += powers[i] * f64::from(top + bottom) / 2.0;
            }
            heights.push(bottom - top);
        }
        (0..3).for_each(|i| a[i][i] += 1e-6);
        let Some(solved) = solve_symmetric(a, b) else { return [0.0; 3] };
        let height = quantile(&mut heights, 0.5).max(1.0);
        let bend = [solved[0][0] as f32, solved[1][0] as f32 / length, solved[2][0] as f32 / (length * length)];
        // Half a length from the middle a parabola has left its tangent by this much.
        if (bend[2] * length * length / 4.0).abs() > BENT * height { bend } else { [0.0; 3] }
    }

    /// Whether it runs along an axis of the picture, as small print does.
    pub(super) fn is_level(&self) -> bool {
        !self.is_bent() && self.along.iter().any(|part| part.abs() < LEVEL)
    }

    pub(super) fn is_bent(&self) -> bool {
        self.arc.is_some() || self.bend[2] != 0.0
    }

    /// Place along and across the line, across from its middle, of a pixel of the picture.
    pub(super) fn place(&self, x: f32, y: f32) -> [f32; 2] {
        if let Some(arc) = &self.arc {
            return arc.place(x, y);
        }
        let (dx, dy) = (x - self.origin[0], y - self.origin[1]);
        let s = dx * self.along[0] + dy * self.along[1];
        let t = dy * self.along[0] - dx * self.along[1];
        [s, t - self.bend[0] - s * (self.bend[1] + s * self.bend[2])]
    }

    /// The pixel of the picture at a place along and across the line.
    fn point(&self, s: f32, t: f32) -> [f32; 2] {
        if let Some(arc) = &self.arc {
            return arc.point(s, t);
        }
        let t = t + self.bend[0] + s * (self.bend[1] + s * self.bend[2]);
        [self.origin[0] + s * self.along[0] - t * self.along[1], self.origin[1] + s * self.along[1] + t * self.along[0]]
    }

    /// Sets the ends to those of a mask of letters at the corner of `rect`.
    pub(super) fn fit_to(&mut self, letters: &Mask, rect: Rect) {
        let (mut along, mut across) = (Vec::new(), Vec::new());
        for y in 0..letters.height {
            for (from, to) in letters.runs(y) {
                for x in [from, (from + to) / 2, to - 1] {
                    let [s, t] = self.place((rect.x0 + x) as f32, (rect.y0 + y) as f32);
                    along.push(s);
                    across.push(t);
                }
            }
        }
        if along.is_empty() {
            return;
        }
        self.start = along.iter().copied().fold(f32::INFINITY, f32::min);
        self.end = along.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.low = quantile(&mut across, 0.01);
        self.high = quantile(&mut across, 0.99);
    }

    /// How far up and down the parts of letters reach that most of a mask at the corner of `rect` suggests: what is
    /// beyond are other things.
    pub(super) fn body(&self, letters: &Mask, rect: Rect) -> (f32, f32) {
        let mut across = Vec::new();
        for y in 0..letters.height {
            for x in (0..letters.width).filter(|&x| letters.at(x, y)).step_by(2) {
                across.push(self.place((rect.x0 + x) as f32, (rect.y0 + y) as f32)[1]);
            }
        }
        let (low, high) = (quantile(&mut across, 0.1), quantile(&mut across, 0.9));
        let beyond = BEYOND_BODY * (high - low);
        (low - beyond, high + beyond)
    }

    /// Height of the letters.
    pub(super) fn height(&self) -> f32 {
        (self.high - self.low).max(1.0)
    }

    /// The upright rectangle around the strip, longer by `along` at either end and wider by `across` on either side.
    pub(super) fn bounds(&self, along: f32, across: f32, width: usize, height: usize) -> Rect {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        let (start, end) = (self.start - along, self.end + along);
        for step in 0..=PARTS {
            let s = start + (end - start) * step as f32 / PARTS as f32;
            for t in [self.low - across, self.high + across] {
                let point = self.point(s, t);
                for k in 0..2 {
                    low[k] = low[k].min(point[k]);
                    high[k] = high[k].max(point[k]);
                }
            }
        }
        let side = |value: f32, most: usize| (value.max(0.0) as usize).min(most);
        let (x0, y0) = (side(low[0], width - 1), side(low[1], height - 1));
        Rect { x0, y0, x1: side(high[0] + 2.0, width).max(x0 + 1), y1: side(high[1] + 2.0, height).max(y0 + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(mask: &Mask) -> Rect {
        Rect { x0: 0, y0: 0, x1: mask.width, y1: mask.height }
    }

    #[test]
    fn places_along_a_tilted_line_and_across_it() {
        let (cosine, sine) = (libm::cosf(0.3), libm::sinf(0.3));
        let strip = Mask::from_fn(300, 200, |x, y| {
            let (dx, dy) = (x as f32 - 150.0, y as f32 - 100.0);
            (dx * cosine + dy * sine).abs() < 100.0 && (dy * cosine - dx * sine).abs() < 12.0
        });
        let frame = Frame::of(&strip, whole(&strip)).expect("a strip");
        let [s, t] = frame.place(150.0 + 80.0 * cosine - 10.0 * sine, 100.0 + 80.0 * sine + 10.0 * cosine);
        assert!((s - 80.0).abs() < 4.0 && (t - 10.0).abs() < 4.0, "{s} {t}");
    }

    #[test]
    fn a_curved_line_is_straight_in_its_frame() {
        let middle = |x: f32| 60.0 + (x - 200.0).powi(2) / 600.0;
        let strip =
            Mask::from_fn(400, 160, |x, y| (40..360).contains(&x) && (y as f32 - middle(x as f32)).abs() < 10.0);
        let frame = Frame::of(&strip, whole(&strip)).expect("a strip");
        let across: Vec<f32> = (60..340).step_by(40).map(|x| frame.place(x as f32, middle(x as f32))[1]).collect();
        let spread = across.iter().copied().fold(f32::MIN, f32::max) - across.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread < 6.0, "{across:?}");
    }

    #[test]
    fn an_upright_line_runs_downwards() {
        let strip = Mask::from_fn(60, 300, |x, y| (20..40).contains(&x) && (20..280).contains(&y));
        let frame = Frame::of(&strip, whole(&strip)).expect("a strip");
        let (top, bottom) = (frame.place(30.0, 30.0), frame.place(30.0, 270.0));
        assert!((bottom[0] - top[0]).abs() > 200.0 && (bottom[1] - top[1]).abs() < 4.0);
        assert!(Frame::of(&Mask::new(9, 9, false), Rect { x0: 0, y0: 0, x1: 9, y1: 9 }).is_none());
    }
}
