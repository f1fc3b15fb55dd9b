//! A line's own frame: x along it, y across it, from the middle of its box.

use layers::{ReadLine, Rect};

/// Tilt in degrees from which the sides of a line can be told from its upright box; nearer to 45 they cannot.
const TELLABLE: f32 = 38.0;

/// Where a line lies, in px of the picture in which it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    centre: [f32; 2],
    /// Its direction: right, down.
    along: [f32; 2],
    /// Half its length and half its height.
    half: [f32; 2],
}

impl Frame {
    pub(crate) fn of(line: &ReadLine) -> Self {
        let Rect { x, y, width, height } = line.rect;
        let [width, height] = [width as f32, height as f32];
        let centre = [x as f32 + width / 2.0, y as f32 + height / 2.0];
        let radians = line.angle.to_radians();
        let along = [libm::cosf(radians), libm::sinf(radians)];
        // The box of a turned rectangle: width = length cos + height sin, height = length sin + height cos.
        let [cos, sin] = [along[0], along[1].abs()];
        let half = if line.angle.abs() <= TELLABLE {
            let determinant = cos * cos - sin * sin;
            let [length, across] = [width * cos - height * sin, height * cos - width * sin];
            [(length / determinant).max(1.0) / 2.0, (across / determinant).max(1.0) / 2.0]
        } else {
            [width.max(height) / 2.0, width.min(height) / 2.0]
        };
        Self { centre, along, half }
    }

    pub(crate) fn height(&self) -> f32 {
        2.0 * self.half[1]
    }

    /// How far a pixel's middle is from the line: negative within its box, -half the height on its middle; beyond, px
    /// from the box.
    pub(crate) fn distance(&self, x: u32, y: u32) -> f32 {
        let (dx, dy) = (x as f32 + 0.5 - self.centre[0], y as f32 + 0.5 - self.centre[1]);
        let out = [
            (dx * self.along[0] + dy * self.along[1]).abs() - self.half[0],
            (dy * self.along[0] - dx * self.along[1]).abs() - self.half[1],
        ];
        if out[0] <= 0.0 && out[1] <= 0.0 { out[1] } else { libm::hypotf(out[0].max(0.0), out[1].max(0.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rect: Rect, angle: f32) -> ReadLine {
        ReadLine { words: "a".to_owned(), rect, angle, confidence: 1.0, bent: false }
    }

    #[test]
    fn distances_are_from_the_box() {
        let level = Frame::of(&line(Rect { x: 10, y: 20, width: 100, height: 20 }, 0.0));
        assert_eq!(level.distance(40, 29), -9.5);
        assert_eq!(level.distance(40, 49), 9.5);
        assert!(level.distance(120, 29) > 9.0);
    }

    #[test]
    fn a_tilted_line_is_as_long_and_high_as_it_was() {
        // 200 x 30, turned by 20 degrees.
        let (cos, sin) = (20_f32.to_radians().cos(), 20_f32.to_radians().sin());
        let rect =
            Rect { x: 0, y: 0, width: (200.0 * cos + 30.0 * sin) as u32, height: (200.0 * sin + 30.0 * cos) as u32 };
        let frame = Frame::of(&line(rect, -20.0));
        assert!((frame.height() - 30.0).abs() < 2.0, "{frame:?}");
        assert!((frame.half[0] - 100.0).abs() < 2.0, "{frame:?}");
    }
}
