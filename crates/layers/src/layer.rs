use std::borrow::Cow;

use image::{Rgba, RgbaImage};
use serde::{Deserialize, Serialize};

use crate::extent::{alpha_sum, crop_in_place};
use crate::{Label, ReadLine, bounding_box};

/// What a layer holds, as far as the engine that made it can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The lowest layer, complete behind everything else.
    Background,
    /// A shape, an ornament, a group of small things.
    Object,
    /// The main motif: a person, an animal, a product.
    Subject,
    /// Words; [`Layer::text`] holds them where they were read.
    Text,
    /// The engine does not know (a diffusion model names nothing).
    #[default]
    Unknown,
}

/// What consecutive layers of a stack have in common, where an engine knows it. They are shown and exported as one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Blocks and lines of words.
    Text,
    /// Single people.
    People,
    /// Shapes and things.
    Objects,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::Text, Self::People, Self::Objects];

    /// What files call it, in English: no format for layers has a place for translations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::People => "People",
            Self::Objects => "Objects",
        }
    }
}

/// A rectangle in pixels; `x`, `y` is its top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Box))]
#[allow(missing_docs, reason = "the four fields are what every rectangle has, and their docs would enter the schema")]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Rect {
    /// All of a canvas of `width` x `height` pixels.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// The column after the last, and the row after the last.
    pub fn end(self) -> (u64, u64) {
        (u64::from(self.x) + u64::from(self.width), u64::from(self.y) + u64::from(self.height))
    }

    /// The part that both have; none when they have none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (a, b) = (self.end(), other.end());
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        // Each is at most one of the two sides, which are u32.
        let width = a.0.min(b.0).saturating_sub(u64::from(x)) as u32;
        let height = a.1.min(b.1).saturating_sub(u64::from(y)) as u32;
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    /// The smallest rectangle around both.
    pub fn union(self, other: Self) -> Self {
        let (a, b) = (self.end(), other.end());
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let side = |end: u64, start: u32| u32::try_from(end - u64::from(start)).unwrap_or(u32::MAX);
        Self { x, y, width: side(a.0.max(b.0), x), height: side(a.1.max(b.1), y) }
    }
}

/// One layer: the pixels of a rectangle of the canvas, with what the engine knows of it. Outside of the rectangle the layer
/// is transparent, so that sixty small layers of a large poster take the memory of what they show.
#[derive(Debug, Clone)]
pub struct Layer {
    /// For people; not unique. Text layers are named by what they say.
    pub name: String,
    /// What the layer shows.
    pub kind: Kind,
    /// The words of a text layer, where the engine has read them.
    pub text: Option<String>,
    /// The lines of words in it, in reading order; empty where the engine has read none.
    pub lines: Vec<ReadLine>,
    /// The group that it belongs to, together with its neighbours of the same group.
    pub group: Option<Group>,
    /// What the layer shows in codes, where the engine knows more than the kind.
    pub label: Option<Label>,
    /// The canvas's column that the first column of the pixels is.
    pub x: u32,
    /// The canvas's row that the first row of the pixels is.
    pub y: u32,
    /// sRGB, 8 bit, straight alpha.
    pub pixels: RgbaImage,
}

impl Layer {
    /// A layer from the canvas's top left corner on, without words, lines, group and label.
    pub fn new(name: impl Into<String>, kind: Kind, pixels: RgbaImage) -> Self {
        Self { name: name.into(), kind, text: None, lines: Vec::new(), group: None, label: None, x: 0, y: 0, pixels }
    }

    /// The part of the canvas that the pixels cover.
    pub fn rect(&self) -> Rect {
        Rect { x: self.x, y: self.y, width: self.pixels.width(), height: self.pixels.height() }
    }

    /// The pixel at a place of the canvas; transparent black outside of the pixels.
    pub fn pixel_at(&self, x: u32, y: u32) -> Rgba<u8> {
        let inside = x.checked_sub(self.x).zip(y.checked_sub(self.y));
        inside.and_then(|(x, y)| self.pixels.get_pixel_checked(x, y)).copied().unwrap_or(Rgba([0; 4]))
    }

    /// The pixels in a row of the canvas, from column [`Layer::x`] on; none where the layer has none.
    pub fn row(&self, y: u32) -> &[[u8; 4]] {
        let length = self.pixels.width() as usize;
        let Some(row) = y.checked_sub(self.y).filter(|row| *row < self.pixels.height()) else { return &[] };
        &self.pixels.as_raw().as_chunks::<4>().0[row as usize * length..][..length]
    }

    /// The smallest rectangle of the canvas that holds every pixel with alpha above 0; `None` if the layer is empty.
    pub fn bounding_box(&self) -> Option<Rect> {
        bounding_box(&self.pixels).map(|found| Rect { x: self.x + found.x, y: self.y + found.y, ..found })
    }

    /// Mean alpha over a canvas of `width` x `height` pixels, 0 to 1.
    pub fn coverage(&self, width: u32, height: u32) -> f64 {
        alpha_sum(&self.pixels) as f64 / (f64::from(width) * f64::from(height) * 255.0)
    }

    /// What the layer shows in a part of the canvas.
    pub fn within(&self, area: Rect) -> RgbaImage {
        let mut out = RgbaImage::new(area.width, area.height);
        let Some(common) = self.rect().intersection(area) else { return out };
        let length = common.width as usize * 4;
        let start =
            |rect: Rect, y: u32| ((y - rect.y) as usize * rect.width as usize + (common.x - rect.x) as usize) * 4;
        let (source, target) = (self.pixels.as_raw(), &mut *out);
        for y in common.y..common.y + common.height {
            let (from, to) = (start(self.rect(), y), start(area, y));
            target[to..to + length].copy_from_slice(&source[from..from + length]);
        }
        out
    }

    /// The layer as large as its canvas of `width` x `height` pixels. Borrowed if it is so already.
    pub fn on_canvas(&self, width: u32, height: u32) -> Cow<'_, RgbaImage> {
        let canvas = Rect::whole(width, height);
        if self.rect() == canvas { Cow::Borrowed(&self.pixels) } else { Cow::Owned(self.within(canvas)) }
    }

    /// Makes the pixels cover `area` of the canvas too; what is new is transparent.
    pub fn grow(&mut self, area: Rect) {
        let union = self.rect().union(area);
        if union != self.rect() {
            self.pixels = self.within(union);
            (self.x, self.y) = (union.x, union.y);
        }
    }

    /// The layer cut to its pixels with alpha above 0. An empty one keeps one transparent pixel, as no picture has none.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        let found = bounding_box(&self.pixels).unwrap_or(Rect::whole(1, 1));
        if (found.width, found.height) != self.pixels.dimensions() {
            self.pixels = crop_in_place(self.pixels, found);
            (self.x, self.y) = (self.x + found.x, self.y + found.y);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opaque pixels at (3, 2) and (4, 4) inside a picture of 4 x 4 at (2, 1).
    fn layer() -> Layer {
        let mut pixels = RgbaImage::new(4, 4);
        pixels.put_pixel(1, 1, Rgba([1, 2, 3, 255]));
        pixels.put_pixel(2, 3, Rgba([4, 5, 6, 51]));
        Layer { x: 2, y: 1, ..Layer::new("", Kind::Object, pixels) }
    }

    #[test]
    fn pixels_are_found_by_their_place_on_the_canvas() {
        let layer = layer();
        assert_eq!(layer.pixel_at(3, 2).0, [1, 2, 3, 255]);
        assert_eq!(layer.pixel_at(4, 4).0, [4, 5, 6, 51]);
        for (x, y) in [(0, 0), (1, 2), (6, 2), (3, 5), (3, 0), (u32::MAX, u32::MAX)] {
            assert_eq!(layer.pixel_at(x, y).0, [0; 4], "({x}, {y})");
        }
        assert_eq!(layer.row(2), [[0; 4], [1, 2, 3, 255], [0; 4], [0; 4]]);
        assert!(layer.row(0).is_empty() && layer.row(5).is_empty());
        assert_eq!(layer.bounding_box(), Some(Rect { x: 3, y: 2, width: 2, height: 3 }));
        assert!((layer.coverage(10, 6) - 1.2 / 60.0).abs() < 1e-12);
    }

    #[test]
    fn growing_and_trimming_move_no_pixel() {
        let layer = layer();
        let canvas = layer.on_canvas(10, 6).into_owned();
        let trimmed = layer.clone().trimmed();
        assert_eq!(trimmed.rect(), Rect { x: 3, y: 2, width: 2, height: 3 });
        let mut grown = trimmed.clone();
        grown.grow(Rect { x: 0, y: 3, width: 1, height: 1 });
        assert_eq!(grown.rect(), Rect { x: 0, y: 2, width: 5, height: 3 });
        for other in [trimmed, grown] {
            assert_eq!(*other.on_canvas(10, 6), canvas);
        }
        assert!(matches!(Layer::new("", Kind::Object, canvas).on_canvas(10, 6), Cow::Borrowed(_)));
    }

    #[test]
    fn a_part_is_cut_out_wherever_it_lies() {
        let layer = layer();
        let part = layer.within(Rect { x: 4, y: 3, width: 5, height: 2 });
        assert_eq!(part.dimensions(), (5, 2));
        assert_eq!(part.get_pixel(0, 1).0, [4, 5, 6, 51]);
        assert_eq!(part.pixels().filter(|pixel| pixel[3] > 0).count(), 1);
        assert!(layer.within(Rect { x: 7, y: 0, width: 3, height: 3 }).iter().all(|value| *value == 0));
    }

    #[test]
    fn an_empty_layer_keeps_one_pixel() {
        let empty = Layer { x: 5, y: 4, ..Layer::new("", Kind::Object, RgbaImage::new(3, 3)) }.trimmed();
        assert_eq!(empty.rect(), Rect { x: 5, y: 4, width: 1, height: 1 });
        assert_eq!(empty.bounding_box(), None);
    }
}
