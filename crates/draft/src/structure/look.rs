//! What is measured of the parts of a sheet.

use crate::colour::{WIDER, distance_squared, oklab};
use crate::layer::Sheet;
use crate::plane::{Rect, Rgb8};

/// Opacity from which a pixel belongs to a shape,
pub(crate) const SOLID: u8 = 128;
/// and from which it has the shape's own colour.
const OPAQUE: u8 = 200;

/// Sums over the pixels of a part: whole numbers, so that their order does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Pixels that it covers at least half.
    pub area: u64,
    /// Their bounding box; `None` where there are none.
    pub rect: Option<Rect>,
    /// Sums of the colours of these pixels, and of those among them that it hides.
    colours: [u64; 3],
    own_colours: [u64; 3],
    opaque: u64,
    /// Sum of the largest difference of a channel from what is below.
    contrast: u64,
    /// Pixels with a neighbour to the right or below that is not of this part, and such neighbours' counterparts.
    rim: u64,
}

impl Look {
    /// The looks of `sheet`'s parts over `below`; entry `k` is that of `parts[k]`.
    pub(crate) fn of(sheet: &Sheet, below: &Rgb8) -> Vec<Look> {
        let mut looks = vec![Look::default(); sheet.parts.len()];
        let width = sheet.alpha.width;
        for y in 0..sheet.alpha.height {
            let (alpha, owner) = (sheet.alpha.row(y), sheet.owner.row(y));
            let (above, below) = (sheet.above.row(y), below.row(y));
            let lower = (y + 1 < sheet.alpha.height).then(|| (sheet.alpha.row(y + 1), sheet.owner.row(y + 1)));
            for x in 0..width {
                let here = if alpha[x] >= SOLID { owner[x] } else { 0 };
                let right = if x + 1 < width && alpha[x + 1] >= SOLID { owner[x + 1] } else { 0 };
                let down = lower.map_or(0, |(alpha, owner)| if alpha[x] >= SOLID { owner[x] } else { 0 });
                for other in [right, down] {
                    if other != here {
                        for part in [here, other] {
                            if let Some(look) = looks.get_mut(usize::from(part).wrapping_sub(1)) {
                                look.rim += 1;
                            }
                        }
                    }
                }
                let Some(look) = looks.get_mut(usize::from(here).wrapping_sub(1)) else { continue };
                look.add_pixel((x, y), above[x], below[x], alpha[x] >= OPAQUE);
            }
        }
        looks
    }

    fn add_pixel(&mut self, (x, y): (usize, usize), above: [u8; 3], below: [u8; 3], opaque: bool) {
        let here = Rect { x0: x, y0: y, x1: x + 1, y1: y + 1 };
        self.rect = Some(self.rect.map_or(here, |rect| rect.union(&here)));
        self.area += 1;
        self.opaque += u64::from(opaque);
        for c in 0..3 {
            self.colours[c] += u64::from(above[c]);
            self.own_colours[c] += if opaque { u64::from(above[c]) } else { 0 };
        }
        self.contrast += (0..3).map(|c| u64::from(above[c].abs_diff(below[c]))).max().unwrap_or(0);
    }

    /// Both together.
    pub(crate) fn with(self, other: Look) -> Look {
        let sum = |a: [u64; 3], b: [u64; 3]| std::array::from_fn(|c| a[c] + b[c]);
        Look {
            area: self.area + other.area,
            rect: match (self.rect, other.rect) {
                (Some(a), Some(b)) => Some(a.union(&b)),
                (a, b) => a.or(b),
            },
            colours: sum(self.colours, other.colours),
            own_colours: sum(self.own_colours, other.own_colours),
            opaque: self.opaque + other.opaque,
            contrast: self.contrast + other.contrast,
            rim: self.rim + other.rim,
        }
    }

    /// Mean colour, of the pixels that it hides where these are an eighth at least.
    pub(crate) fn colour(&self) -> [u8; 3] {
        let (sums, count) =
            if self.opaque * 8 >= self.area { (self.own_colours, self.opaque) } else { (self.colours, self.area) };
        sums.map(|sum| (sum / count.max(1)) as u8)
    }

    /// Mean difference from what is below, 0 to 1.
    pub(crate) fn contrast(&self) -> f32 {
        self.contrast as f32 / (255 * self.area.max(1)) as f32
    }

    /// About how thick its strokes are, in pixels: that of a long bar with this area and rim.
    pub(crate) fn thickness(&self) -> f32 {
        2.0 * self.area as f32 / self.rim.max(1) as f32
    }

    /// Pixels between the bounding boxes of two looks; 0 where they overlap.
    pub(crate) fn gap(&self, other: &Look) -> f32 {
        let (Some(a), Some(b)) = (self.rect, other.rect) else { return 0.0 };
        gap(a, b)
    }

    /// Difference of the mean colours as Oklab distance: 0.02 is just visible, black and white are 1 apart.
    pub(crate) fn colour_distance(&self, other: &Look) -> f32 {
        let plain = |look: &Look| {
            let [l, a, b] = oklab(look.colour());
            [l, a / WIDER, b / WIDER]
        };
        distance_squared(plain(self), plain(other)).sqrt()
    }
}

/// Pixels between two rectangles; 0 where they overlap.
pub(crate) fn gap(a: Rect, b: Rect) -> f32 {
    let between = |(a0, a1): (usize, usize), (b0, b1): (usize, usize)| b0.saturating_sub(a1).max(a0.saturating_sub(b1));
    let (across, down) = (between((a.x0, a.x1), (b.x0, b.x1)), between((a.y0, a.y1), (b.y0, b.y1)));
    ((across * across + down * down) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use layers::Kind;

    use super::*;
    use crate::layer::Part;
    use crate::plane::Plane;

    #[test]
    fn a_bar_and_a_disk_are_measured() {
        let bar = |x: usize, y: usize| (10..90).contains(&x) && (5..8).contains(&y);
        let disk = |x: usize, y: usize| x.abs_diff(50).pow(2) + y.abs_diff(50).pow(2) < 400;
        let below = Plane::new(100, 80, [200, 200, 200]);
        let above = Plane::from_fn(100, 80, |x, y| if bar(x, y) || disk(x, y) { [0, 100, 200] } else { [200; 3] });
        let alpha = Plane::from_fn(100, 80, |x, y| if bar(x, y) || disk(x, y) { 255 } else { 0 });
        let owner = Plane::from_fn(100, 80, |_, y| if y < 20 { 1 } else { 2 });
        let parts = vec![Part::new(Kind::Object), Part::new(Kind::Object)];
        let looks = Look::of(&Sheet { above, alpha, owner, parts, kind: Kind::Object }, &below);
        assert_eq!((looks[0].area, looks[0].rect), (240, Some(Rect { x0: 10, y0: 5, x1: 90, y1: 8 })));
        assert_eq!(looks[0].colour(), [0, 100, 200]);
        assert!((looks[0].contrast() - 200.0 / 255.0).abs() < 1e-3);
        assert!((2.0..3.5).contains(&looks[0].thickness()), "{}", looks[0].thickness());
        assert!(looks[1].thickness() > 12.0, "{}", looks[1].thickness());
        assert_eq!(looks[0].with(looks[1]).rect, Some(Rect { x0: 10, y0: 5, x1: 90, y1: 70 }));
    }

    #[test]
    fn gaps_are_between_edges() {
        let rect = |x0, y0, x1, y1| Rect { x0, y0, x1, y1 };
        assert_eq!(gap(rect(0, 0, 10, 10), rect(13, 14, 20, 20)), 5.0);
        assert_eq!(gap(rect(13, 14, 20, 20), rect(0, 0, 10, 10)), 5.0);
        assert_eq!(gap(rect(0, 0, 10, 10), rect(5, 5, 6, 30)), 0.0);
    }
}
