use crate::Rect;

/// A line of words that was read in a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadLine {
    /// What it says; never empty.
    pub words: String,
    /// The box of its letters, in pixels of the canvas.
    pub rect: Rect,
    /// The direction in which it runs: degrees clockwise from level, -90 to 90. A reader knows it to about one degree.
    pub angle: f32,
    /// How sure the reader is, 0 to 1.
    pub confidence: f32,
    /// Whether it runs along a curve.
    pub bent: bool,
}

impl ReadLine {
    /// The line on a canvas on which its picture's corner lies at (`x`, `y`).
    #[must_use]
    pub fn moved(mut self, x: u32, y: u32) -> Self {
        (self.rect.x, self.rect.y) = (self.rect.x.saturating_add(x), self.rect.y.saturating_add(y));
        self
    }

    /// The line on a canvas that is so many times as wide and as high.
    #[must_use]
    pub fn scaled(mut self, across: f32, down: f32) -> Self {
        if (across, down) == (1.0, 1.0) {
            return self;
        }
        let side = |start: u32, length: u32, by: f32| {
            let first = (start as f32 * by).floor() as u32;
            let end = ((start as f32 + length as f32) * by).ceil() as u32;
            (first, end.saturating_sub(first).max(1))
        };
        (self.rect.x, self.rect.width) = side(self.rect.x, self.rect.width, across);
        (self.rect.y, self.rect.height) = side(self.rect.y, self.rect.height, down);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_with_its_picture() {
        let rect = Rect { x: 3, y: 10, width: 5, height: 7 };
        let line = ReadLine { words: "a".to_owned(), rect, angle: 0.0, confidence: 1.0, bent: false };
        assert_eq!(line.clone().moved(4, 5).rect, Rect { x: 7, y: 15, ..rect });
        assert_eq!(line.clone().scaled(1.0, 1.0), line);
        assert_eq!(line.scaled(1.5, 2.0).rect, Rect { x: 4, y: 20, width: 8, height: 14 });
    }
}
