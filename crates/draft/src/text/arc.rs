//! Lines along a circle, as on badges and stamps: straightened, they are read like any other.

use crate::numeric::{quantile, solve_symmetric};
use crate::plane::{Mask, Plane, Rect, Rgb8};

/// Angle in radians that a line covers on its circle, at least and at most.
const SPAN: std::ops::Range<f32> = 0.6..5.6;
/// Length of a line against its height, at least.
const LONG: f32 = 3.0;
/// How far the line leaves a straight one, in heights, at least.
const SAG: f32 = 0.6;
/// Share of the strip along the circle that the region covers, at least: other shapes do not lie along one.
const COVERED: f32 = 0.6;
/// Rounds in which the circle is brought closer.
const ROUNDS: usize = 6;
/// Pixels that are looked at, about.
const SAMPLE: usize = 4000;

/// A strip along a circle, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arc {
    centre: [f32; 2],
    radius: f32,
    /// Angle from the centre to the middle of the line.
    middle: f32,
    /// Whether the tops of the letters point away from the centre.
    outward: bool,
    pub length: f32,
    pub height: f32,
}

impl Arc {
    /// The strip that a region at the corner of `rect` covers; `None` where it is straight or of another shape.
    pub(super) fn of(marked: &Mask, rect: Rect) -> Option<Arc> {
        let area = marked.count();
        let step = (area / SAMPLE).max(1);
        let points: Vec<[f32; 2]> = (0..marked.data.len())
            .filter(|&i| marked.data[i])
            .step_by(step)
            .map(|i| [(rect.x0 + i % marked.width) as f32, (rect.y0 + i / marked.width) as f32])
            .collect();
        let (centre, radius) = circle(&points)?;
        let away = |point: &[f32; 2]| [point[0] - centre[0], point[1] - centre[1]];
        let mut across: Vec<f32> = points.iter().map(|point| length(away(point)) - radius).collect();
        let (low, high) = (quantile(&mut across, 0.02), quantile(&mut across, 0.98));
        let sum = points.iter().map(away).fold([0.0, 0.0], |a, b| [a[0] + b[0], a[1] + b[1]]);
        let mut arc = Arc {
            centre,
            radius: radius + (low + high) / 2.0,
            middle: libm::atan2f(sum[1], sum[0]),
            outward: true,
            length: 0.0,
            height: (high - low).max(1.0),
        };
        let angles = points.iter().map(|point| arc.angle(away(point)));
        let (first, last) = angles.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let span = last - first;
        arc.middle += (first + last) / 2.0;
        // Letters on top of a circle stand on it, those at its bottom hang in it.
        arc.outward = libm::sinf(arc.middle) <= 0.0;
        arc.length = span * arc.radius;
        let sag = arc.radius * (1.0 - libm::cosf(span.min(std::f32::consts::PI) / 2.0));
        let fits = SPAN.contains(&span)
            && arc.height < arc.radius / 2.0
            && arc.length > LONG * arc.height
            && sag > SAG * arc.height
            && area as f32 > COVERED * arc.length * arc.height;
        fits.then_some(arc)
    }

    /// Angle from the middle of the line to a direction, between half a turn either way.
    fn angle(&self, [x, y]: [f32; 2]) -> f32 {
        let (sine, cosine) = (libm::sinf(self.middle), libm::cosf(self.middle));
        libm::atan2f(y * cosine - x * sine, x * cosine + y * sine)
    }

    /// Place along and across the line, from its middle, of a pixel of the picture.
    pub(super) fn place(&self, x: f32, y: f32) -> [f32; 2] {
        let away = [x - self.centre[0], y - self.centre[1]];
        let (along, across) = (self.angle(away) * self.radius, self.radius - length(away));
        if self.outward { [along, across] } else { [-along, -across] }
    }

    /// The pixel of the picture at a place along and across the line.
    pub(super) fn point(&self, along: f32, across: f32) -> [f32; 2] {
        let (along, across) = if self.outward { (along, across) } else { (-along, -across) };
        let angle = self.middle + along / self.radius;
        let radius = self.radius - across;
        [self.centre[0] + radius * libm::cosf(angle), self.centre[1] + radius * libm::sinf(angle)]
    }

    /// The line straightened, `beyond` further on every side, `most` pixels high at most.
    pub(super) fn straightened(&self, image: &Rgb8, beyond: f32, most: f32) -> Rgb8 {
        let (long, high) = (self.length + 2.0 * beyond, self.height + 2.0 * beyond);
        let scale = (most / high).min(1.0);
        let (width, height) = ((long * scale).max(2.0) as usize, (high * scale).max(2.0) as usize);
        let samples = (1.0 / scale).round().clamp(1.0, 4.0) as usize;
        Plane::from_fn(width, height, |x, y| {
            let mut sum = [0u32; 3];
            for j in 0..samples {
                for i in 0..samples {
                    let part = |k: usize, cell: usize| cell as f32 + (k as f32 + 0.5) / samples as f32;
                    let along = (part(i, x) / width as f32 - 0.5) * long;
                    let across = (part(j, y) / height as f32 - 0.5) * high;
                    let [u, v] = self.point(along, across);
                    let near = |value: f32, end: usize| (value.round().max(0.0) as usize).min(end - 1);
                    let pixel = image.at(near(u, image.width), near(v, image.height));
                    (0..3).for_each(|c| sum[c] += u32::from(pixel[c]));
                }
            }
            sum.map(|sum| (sum / (samples * samples) as u32) as u8)
        })
    }
}

fn length([x, y]: [f32; 2]) -> f32 {
    (x * x + y * y).sqrt()
}

/// Centre and radius of the circle that points lie along: an algebraic fit (Kasa 1976), which thick strips pull
/// inwards, and from there least squares of the distances.
fn circle(points: &[[f32; 2]]) -> Option<([f32; 2], f32)> {
    if points.len() < 30 {
        return None;
    }
    let count = points.len() as f64;
    let mean: [f64; 2] = std::array::from_fn(|k| points.iter().map(|p| f64::from(p[k])).sum::<f64>() / count);
    let (mut a, mut b) = ([[0.0f64; 3]; 3], [[0.0f64; 1]; 3]);
    for point in points {
        let (x, y) = (f64::from(point[0]) - mean[0], f64::from(point[1]) - mean[1]);
        let row = [x, y, 1.0];
        for i in 0..3 {
            (0..3).for_each(|j| a[i][j] += row[i] * row[j]);
            b[i][0] += row[i] * (x * x + y * y);
        }
    }
    let solved = solve_symmetric(a, b)?;
    let (x, y) = (solved[0][0] / 2.0, solved[1][0] / 2.0);
    let square = solved[2][0] + x * x + y * y;
    if square <= 0.0 {
        return None;
    }
    let mut circle = [x + mean[0], y + mean[1], square.sqrt()];
    for _ in 0..ROUNDS {
        let (mut a, mut b) = ([[0.0f64; 3]; 3], [[0.0f64; 1]; 3]);
        for point in points {
            let (x, y) = (f64::from(point[0]) - circle[0], f64::from(point[1]) - circle[1]);
            let away = (x * x + y * y).sqrt().max(1e-6);
            let row = [x / away, y / away, 1.0];
            for i in 0..3 {
                (0..3).for_each(|j| a[i][j] += row[i] * row[j]);
                b[i][0] += row[i] * (away - circle[2]);
            }
        }
        let step = solve_symmetric(a, b)?;
        (0..3).for_each(|k| circle[k] += step[k][0]);
    }
    let [x, y, radius] = circle;
    (radius > 0.0).then_some(([x as f32, y as f32], radius as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A strip of 30 pixels along a circle of 150, over 100 degrees, above or below the centre.
    fn strip(above: bool) -> Mask {
        Plane::from_fn(400, 400, |x, y| {
            let (dx, dy) = (x as f32 - 200.0, if above { 200.0 - y as f32 } else { y as f32 - 200.0 });
            dx.hypot(dy).clamp(135.0, 165.0) == dx.hypot(dy) && dy > dx.abs() * 0.84
        })
    }

    #[test]
    fn a_strip_along_a_circle_is_found_and_a_straight_one_is_none() {
        let rect = Rect { x0: 0, y0: 0, x1: 400, y1: 400 };
        for above in [true, false] {
            let arc = Arc::of(&strip(above), rect).expect("an arc");
            assert!((arc.radius - 150.0).abs() < 3.0 && (arc.height - 30.0).abs() < 4.0, "{arc:?}");
            assert_eq!(arc.outward, above);
            let [s, t] = arc.place(200.0, if above { 45.0 } else { 345.0 });
            assert!(s.abs() < 3.0 && (t + 5.0).abs() < 3.0, "{s} {t}");
            let [x, y] = arc.point(40.0, 7.0);
            let [s, t] = arc.place(x, y);
            assert!((s - 40.0).abs() < 0.1 && (t - 7.0).abs() < 0.1);
        }
        let bar = Plane::from_fn(400, 400, |x, y| (40..360).contains(&x) && (180..210).contains(&y));
        assert_eq!(Arc::of(&bar, rect), None);
        let disk = Plane::from_fn(400, 400, |x, y| (x as f32 - 200.0).hypot(y as f32 - 200.0) < 90.0);
        assert_eq!(Arc::of(&disk, rect), None);
    }

    #[test]
    fn a_straightened_line_runs_from_left_to_right() {
        let rect = Rect { x0: 0, y0: 0, x1: 400, y1: 400 };
        for above in [true, false] {
            let mask = strip(above);
            let picture = Plane::from_fn(400, 400, |x, y| match (mask.at(x, y), x < 200) {
                (true, true) => [255, 0, 0],
                (true, false) => [0, 255, 0],
                _ => [0; 3],
            });
            let line = Arc::of(&mask, rect).expect("an arc").straightened(&picture, 0.0, 64.0);
            let (width, middle) = (line.width, line.height / 2);
            assert!(line.at(width / 4, middle) == [255, 0, 0] && line.at(3 * width / 4, middle) == [0, 255, 0]);
        }
    }
}
