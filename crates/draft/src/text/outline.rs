//! The oriented rectangle around a blob, and the picture inside it.

use crate::plane::{Mask, Plane, Rgb8};

/// A rectangle at an angle; `u` is the direction of its width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oriented {
    pub centre: [f32; 2],
    pub u: [f32; 2],
    pub width: f32,
    pub height: f32,
}

/// Steps of a quarter turn that are tried for the rectangle of least area.
const ANGLES: usize = 90;

/// Pixels of a blob that touch its outside.
pub(crate) fn rim(mask: &Mask) -> Vec<[f32; 2]> {
    let (width, height) = (mask.width, mask.height);
    let mut found = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let inner = x > 0 && y > 0 && x + 1 < width && y + 1 < height;
            let surrounded = inner && mask.at(x - 1, y) && mask.at(x + 1, y) && mask.at(x, y - 1) && mask.at(x, y + 1);
            if mask.at(x, y) && !surrounded {
                found.push([x as f32, y as f32]);
            }
        }
    }
    found
}

/// The rectangle of least area around points.
pub(crate) fn least_rectangle(points: &[[f32; 2]]) -> Oriented {
    let mut best: Option<Oriented> = None;
    for step in 0..ANGLES {
        let angle = std::f32::consts::FRAC_PI_2 * step as f32 / ANGLES as f32;
        let u = [libm::cosf(angle), libm::sinf(angle)];
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for p in points {
            let along = [p[0] * u[0] + p[1] * u[1], p[1] * u[0] - p[0] * u[1]];
            for k in 0..2 {
                low[k] = low[k].min(along[k]);
                high[k] = high[k].max(along[k]);
            }
        }
        let (width, height) = (high[0] - low[0] + 1.0, high[1] - low[1] + 1.0);
        let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        let centre = [middle[0] * u[0] - middle[1] * u[1], middle[0] * u[1] + middle[1] * u[0]];
        let here = Oriented { centre, u, width, height };
        // A little preference for the upright: shapes like disks have no direction.
        if best.is_none_or(|b| width * height < 0.98 * b.width * b.height) {
            best = Some(here);
        }
    }
    let found = best.unwrap_or(Oriented { centre: [0.0; 2], u: [1.0, 0.0], width: 1.0, height: 1.0 });
    found.facing_right()
}

impl Oriented {
    /// Among the four ways to name the axes, the one whose width runs most to the right.
    fn facing_right(self) -> Self {
        if self.u[0] >= std::f32::consts::FRAC_1_SQRT_2 {
            return self;
        }
        Oriented { u: [self.u[1], -self.u[0]], width: self.height, height: self.width, ..self }
    }

    pub(crate) fn grown(self, by: f32) -> Self {
        Oriented { width: self.width + 2.0 * by, height: self.height + 2.0 * by, ..self }
    }

    pub(crate) fn scaled(self, x: f32, y: f32) -> Self {
        let centre = [(self.centre[0] + 0.5) * x - 0.5, (self.centre[1] + 0.5) * y - 0.5];
        let mean = (x + y) / 2.0;
        Oriented { centre, width: self.width * mean, height: self.height * mean, ..self }
    }

    /// The picture inside, upright, about `height` pixels high at most; the edge is repeated.
    pub(crate) fn cut_out(&self, image: &Rgb8, most: f32) -> Rgb8 {
        let scale = (most / self.height.min(self.width).max(1.0)).min(1.0);
        let (width, height) = ((self.width * scale).max(2.0) as usize, (self.height * scale).max(2.0) as usize);
        // Averages over the pixels that fall on one target pixel.
        let samples = (1.0 / scale).round().clamp(1.0, 4.0) as usize;
        Plane::from_fn(width, height, |x, y| {
            let mut sum = [0.0f32; 3];
            for j in 0..samples {
                for i in 0..samples {
                    let part = |k: usize, cell: usize| cell as f32 + (k as f32 + 0.5) / samples as f32;
                    let a = (part(i, x) / width as f32 - 0.5) * self.width;
                    let b = (part(j, y) / height as f32 - 0.5) * self.height;
                    let px = self.centre[0] + a * self.u[0] - b * self.u[1];
                    let py = self.centre[1] + a * self.u[1] + b * self.u[0];
                    let colour = sample(image, px, py);
                    for c in 0..3 {
                        sum[c] += colour[c];
                    }
                }
            }
            sum.map(|s| (s / (samples * samples) as f32 + 0.5) as u8)
        })
    }
}

fn sample(image: &Rgb8, x: f32, y: f32) -> [f32; 3] {
    let (x, y) = (x.clamp(0.0, (image.width - 1) as f32), y.clamp(0.0, (image.height - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(image.width - 1), (y0 + 1).min(image.height - 1));
    let (u, v) = (x - x0 as f32, y - y0 as f32);
    let (a, b, c, d) = (image.at(x0, y0), image.at(x1, y0), image.at(x0, y1), image.at(x1, y1));
    std::array::from_fn(|k| {
        let top = f32::from(a[k]) * (1.0 - u) + f32::from(b[k]) * u;
        let bottom = f32::from(c[k]) * (1.0 - u) + f32::from(d[k]) * u;
        top * (1.0 - v) + bottom * v
    })
}

/// A quarter turn: the right side becomes the top, or the left side where `clockwise`.
pub(crate) fn quarter_turn(image: &Rgb8, clockwise: bool) -> Rgb8 {
    let (width, height) = (image.width, image.height);
    Plane::from_fn(
        height,
        width,
        |x, y| if clockwise { image.at(y, height - 1 - x) } else { image.at(width - 1 - y, x) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilted_bar_is_found_and_read_along_its_length() {
        let angle = 0.5f32;
        let mask = Plane::from_fn(200, 200, |x, y| {
            let (dx, dy) = (x as f32 - 100.0, y as f32 - 100.0);
            let (a, b) = (dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin());
            a.abs() < 70.0 && b.abs() < 12.0
        });
        let found = least_rectangle(&rim(&mask));
        assert!((found.width - 140.0).abs() < 5.0 && (found.height - 24.0).abs() < 4.0, "{found:?}");
        assert!((found.u[1].atan2(found.u[0]) - angle).abs() < 0.03);
        let image = mask.map(|m| if m { [255, 0, 0] } else { [0, 0, 255] });
        let cut = found.cut_out(&image, 48.0);
        let red = cut.data.iter().filter(|p| p[0] > 200).count();
        assert!(red * 100 > 85 * cut.data.len());
    }
}
