//! Where a layer lies on the outermost canvas, once it is edited.

use layers::Rect;
use typeset::{Position, Text};

use crate::edits::LayerEdit;

/// A layer scaled and turned about the middle of its box, and moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placing {
    /// The middle on the canvas of the layer's result, in pixels.
    pub centre: (f64, f64),
    /// Where it lies on the outermost canvas.
    pub moved: (f64, f64),
    /// Factors along the layer's rows and columns.
    pub scale: (f64, f64),
    /// Degrees clockwise, after scaling.
    pub turn: f32,
}

impl Placing {
    /// `area` is the layer's box on the canvas of its result or picture, which lies at `origin` on the outermost one.
    pub(super) fn new(area: Rect, origin: (f64, f64), edit: &LayerEdit) -> Self {
        let middle = |start: u32, length: u32| f64::from(start) + f64::from(length) / 2.0;
        let centre = (middle(area.x, area.width), middle(area.y, area.height));
        let at = |centre: f64, origin: f64, by: i32| centre + origin + f64::from(by);
        Self {
            centre,
            moved: (at(centre.0, origin.0, edit.x), at(centre.1, origin.1, edit.y)),
            scale: (edit.scale_x.into(), edit.scale_y.into()),
            turn: edit.rotation,
        }
    }

    /// The same on an outermost canvas that is so many times as large.
    pub(super) fn enlarged(self, times: u32) -> Self {
        let times = f64::from(times);
        let scale = (self.scale.0 * times, self.scale.1 * times);
        Self { moved: (self.moved.0 * times, self.moved.1 * times), scale, ..self }
    }

    /// The same with the middle before as it lies on the outermost canvas, where that of the layer's result lies at `origin`.
    pub(super) fn within_canvas(self, origin: (u32, u32)) -> Self {
        let centre = (self.centre.0 + f64::from(origin.0), self.centre.1 + f64::from(origin.1));
        Self { centre, ..self }
    }

    /// Whether every pixel stays where it is.
    pub(super) fn is_identity(&self) -> bool {
        self.centre == self.moved && self.scale == (1.0, 1.0) && self.turn == 0.0
    }

    /// Whether rows are scaled by another factor than columns, which words cannot be.
    pub fn is_stretched(&self) -> bool {
        self.scale.0 != self.scale.1
    }

    /// Where the layer's box of `area` lies before it is turned, and how large it is. Both are rounded, halves up.
    pub(super) fn apply(&self, area: Rect) -> ((i32, i32), (u32, u32)) {
        let axis = |moved: f64, length: u32, scale: f64| {
            let length = f64::from(length) * scale;
            ((moved - length / 2.0 + 0.5).floor() as i32, ((length + 0.5).floor() as u32).max(1))
        };
        let (x, width) = axis(self.moved.0, area.width, self.scale.0);
        let (y, height) = axis(self.moved.1, area.height, self.scale.1);
        ((x, y), (width, height))
    }

    /// Where a point of the layer's result lies on the outermost canvas.
    pub fn point(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = ((x - self.centre.0) * self.scale.0, (y - self.centre.1) * self.scale.1);
        let (sin, cos) = f64::from(self.turn).to_radians().sin_cos();
        (self.moved.0 + x * cos - y * sin, self.moved.1 + x * sin + y * cos)
    }

    /// Words of the layer's result on the outermost canvas. Of a layer that is stretched they are as they were, on the
    /// canvas of its result at `origin`.
    pub(super) fn text(&self, text: Text, origin: (u32, u32)) -> Text {
        if self.is_stretched() {
            return text.transformed(1.0, origin.0 as f32, origin.1 as f32);
        }
        let scale = self.scale.0;
        let by = |moved: f64, centre: f64| (moved - scale * centre) as f32;
        let scaled = text.transformed(scale as f32, by(self.moved.0, self.centre.0), by(self.moved.1, self.centre.1));
        if self.turn == 0.0 {
            return scaled;
        }
        scaled.turned(self.turn, Position { x: self.moved.0 as f32, y: self.moved.1 as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect { x: 10, y: 20, width: 100, height: 50 };

    fn placed(edit: LayerEdit) -> Placing {
        Placing::new(AREA, (5.0, 5.0), &edit)
    }

    #[test]
    fn a_box_is_scaled_about_its_middle_and_moved() {
        let edit = LayerEdit { x: -30, y: 5, scale_x: 2.0, scale_y: 0.5, ..LayerEdit::default() };
        assert_eq!(placed(edit.clone()).apply(AREA), ((-65, 43), (200, 25)));
        assert!(placed(edit).is_stretched());
        let small = LayerEdit { scale_x: 0.01, scale_y: 0.01, ..LayerEdit::default() };
        assert_eq!(placed(small).apply(Rect { width: 3, ..AREA }).1, (1, 1), "never nothing");
        assert!(Placing::new(AREA, (0.0, 0.0), &LayerEdit::default()).is_identity());
        assert!(!placed(LayerEdit::default()).is_identity());
    }

    #[test]
    fn twice_as_large_everything_is_twice_as_far() {
        let edit = LayerEdit { x: -30, scale_x: 2.0, rotation: 30.0, ..LayerEdit::default() };
        let (once, twice) = (placed(edit.clone()), placed(edit).enlarged(2));
        for (x, y) in [(10.0, 20.0), (110.0, 70.0)] {
            let (one, two) = (once.point(x, y), twice.point(x, y));
            assert!((2.0 * one.0 - two.0).abs() < 1e-9 && (2.0 * one.1 - two.1).abs() < 1e-9);
        }
        assert_eq!(twice.apply(AREA).1, (400, 100));
    }

    #[test]
    fn points_turn_about_the_middle() {
        let edit = LayerEdit { scale_x: 2.0, rotation: 90.0, ..LayerEdit::default() };
        let (x, y) = placed(edit).point(110.0, 45.0);
        // The middle of the right edge is 100 pixels below the middle, which is at (65, 50).
        assert!((x - 65.0).abs() < 1e-9 && (y - 150.0).abs() < 1e-9, "{x} {y}");
    }
}
