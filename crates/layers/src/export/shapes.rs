//! Layers that are one flat shape: found from their pixels, for formats that have shapes of their own.

use image::RgbaImage;
use kurbo::{Affine, BezPath, Ellipse, Point, Rect, RoundedRect, Shape as _, Vec2};

use super::{ExportOptions, Placed, ShapeMode};
use crate::Kind;
use crate::document::DocumentLayer;

mod contour;
mod corner;
mod curve;
mod flat;
mod primitive;
mod trace;
mod verify;

#[cfg(test)]
mod tests;

/// How far alpha and colour may be off inside of a shape, of 255; within 1 px of its contour, alpha may be that of any
/// point as near.
pub(super) const TOLERANCE: u8 = 4;
/// The longer sides of pictures that are looked at, in pixels: a dot has no shape, and the rasterizer has 24 bits.
const SIDES: std::ops::RangeInclusive<u32> = 4..=16_384;
/// The most points of all contours, about one a pixel of their length.
const MOST_POINTS: usize = 100_000;
/// The most contours: what has more is a texture.
const MOST_CONTOURS: usize = 64;
/// How far a path may be from the curve that it stands for, in pixels.
const ACCURACY: f64 = 0.02;

/// A shape of one colour, in pixels of the canvas.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FlatShape {
    pub(super) geometry: Geometry,
    /// Red, green and blue.
    pub(super) colour: [u8; 3],
    /// 24 to 255.
    pub(super) alpha: u8,
}

/// What a shape covers. Angles are clockwise, in radians.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Geometry {
    Ellipse {
        centre: Point,
        radii: Vec2,
        angle: f64,
    },
    /// `radius` is that of its corners, 0 for sharp ones.
    Rectangle {
        centre: Point,
        size: Vec2,
        radius: f64,
        angle: f64,
    },
    /// Round ends reach beyond `from` and `to` by half of the width.
    Line {
        from: Point,
        to: Point,
        width: f64,
        is_round: bool,
    },
    /// Closed, filled by the even-odd rule.
    Path(BezPath),
}

impl FlatShape {
    /// The shape that a layer is, to within the tolerance. None for layers with words, and where pixels are wanted.
    pub(super) fn of(layer: &DocumentLayer, placed: &Placed, options: &ExportOptions) -> Option<Self> {
        let has_words = layer.kind == Kind::Text || layer.text.is_some() || !layer.live_text.is_empty();
        if options.shapes == ShapeMode::Pixels || has_words {
            return None;
        }
        let mut shape = Self::find(&placed.pixels)?;
        shape.geometry = shape.geometry.moved(Vec2::new(placed.x.into(), placed.y.into()));
        Some(shape)
    }

    /// The shape that a picture is, in pixels of the picture.
    fn find(picture: &RgbaImage) -> Option<Self> {
        if !SIDES.contains(&picture.width().max(picture.height())) {
            return None;
        }
        let flat = flat::Flat::of(picture)?;
        let contours = contour::contours(picture, flat.alpha, MOST_POINTS)?;
        let points = contours.iter().map(|contour| contour.points.len()).sum();
        if contours.is_empty() || contours.len() > MOST_CONTOURS || flat.is_soft(points) {
            return None;
        }
        let primitives = match &contours[..] {
            [contour] => primitive::primitives(contour, flat.area),
            _ => Vec::new(),
        };
        let length: f64 = contours.iter().map(contour::Contour::length).sum();
        let traced = || trace::traces(&contours).map(Geometry::Path);
        let geometry = primitives
            .into_iter()
            .chain(std::iter::once_with(traced).flatten())
            .find(|geometry| verify::is_within_tolerance(&geometry.path(ACCURACY), picture, &flat, length))?;
        Some(Self { geometry, colour: flat.colour, alpha: flat.alpha })
    }
}

impl Geometry {
    /// As a closed path, to be filled by the even-odd rule, with curves that are as close in pixels.
    pub(super) fn path(&self, accuracy: f64) -> BezPath {
        match self {
            Self::Ellipse { centre, radii, angle } => {
                let mut path = Ellipse::new(*centre, *radii, *angle).to_path(accuracy);
                path.close_path();
                path
            }
            Self::Rectangle { centre, size, radius, angle } => {
                let rect = Rect::from_center_size((0.0, 0.0), size.to_size());
                let path = if *radius > 0.0 {
                    RoundedRect::from_rect(rect, *radius).to_path(accuracy)
                } else {
                    rect.to_path(accuracy)
                };
                Affine::translate(centre.to_vec2()) * Affine::rotate(*angle) * path
            }
            Self::Line { from, to, width, is_round } => {
                let (along, radius) = (*to - *from, if *is_round { width / 2.0 } else { 0.0 });
                let size = Vec2::new(along.hypot() + 2.0 * radius, *width);
                Self::Rectangle { centre: from.midpoint(*to), size, radius, angle: along.atan2() }.path(accuracy)
            }
            Self::Path(path) => path.clone(),
        }
    }

    fn moved(self, by: Vec2) -> Self {
        match self {
            Self::Ellipse { centre, radii, angle } => Self::Ellipse { centre: centre + by, radii, angle },
            Self::Rectangle { centre, size, radius, angle } => {
                Self::Rectangle { centre: centre + by, size, radius, angle }
            }
            Self::Line { from, to, width, is_round } => Self::Line { from: from + by, to: to + by, width, is_round },
            Self::Path(path) => Self::Path(Affine::translate(by) * path),
        }
    }
}
