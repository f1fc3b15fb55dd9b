//! What a silhouette is: a circle, a rectangle, a star.

use crate::morphology::components;
use crate::plane::{Mask, Plane, Rect};
use crate::text::outline::{least_rectangle, rim};

/// Share of the union that a silhouette and a shape must have in common.
const ALIKE: f32 = 0.93;
/// The same for triangles and what stands at an angle, whose corners a coarse silhouette rounds.
const NEARLY: f32 = 0.88;
/// Largest difference of two sides, as a share of the longer one, up to which they are equal.
const EQUAL: f32 = 0.08;
/// How much longer than wide a line is.
const LINE: f32 = 8.0;
/// Share of its box that the hole of a ring or a frame has.
const HOLE: f32 = 0.2;
/// Directions from the middle of a star,
const DIRECTIONS: usize = 72;
/// and how deep its notches are at least, as a share of the points.
const NOTCH: f32 = 0.72;
/// Smallest silhouette that is looked at, in pixels of its longer side.
const SMALLEST: usize = 8;

/// Code of the shape of one connected silhouette; `None` for what has no name.
pub(crate) fn shape(silhouette: &Mask) -> Option<&'static str> {
    let mask = silhouette.crop(silhouette.bounds()?);
    let (width, height) = (mask.width, mask.height);
    let outline = least_rectangle(&rim(&mask));
    let (long, short) = (outline.width.max(outline.height), outline.width.min(outline.height).max(1.0));
    let area = mask.count() as f32;
    if long >= LINE * short && area > 0.6 * long * short {
        return Some("line");
    }
    if width.max(height) < SMALLEST {
        return None;
    }
    let (filled, hole) = filled(&mask);
    let pierced = hole as f32 > HOLE * (width * height) as f32;
    let square = width.abs_diff(height) as f32 <= EQUAL * width.max(height) as f32;
    if agreement(&filled, ellipse) > ALIKE {
        return Some(match (pierced, square) {
            (true, _) => "ring",
            (_, true) => "circle",
            _ => "ellipse",
        });
    }
    let solid = filled.count() as f32;
    let upright = solid / (width * height) as f32;
    let turned = solid / (long * short);
    if upright > ALIKE || turned > NEARLY && corners(&filled) {
        let even = if upright > ALIKE { square } else { long - short <= EQUAL * long };
        return Some(match (pierced, even) {
            (true, _) => "frame",
            (_, true) => "square",
            _ => "rectangle",
        });
    }
    if pierced {
        return None;
    }
    let triangles: [fn(f32, f32) -> bool; 4] = [
        |x, y| (x - 0.5).abs() <= 0.5 * y,
        |x, y| (x - 0.5).abs() <= 0.5 * (1.0 - y),
        |x, y| (y - 0.5).abs() <= 0.5 * x,
        |x, y| (y - 0.5).abs() <= 0.5 * (1.0 - x),
    ];
    if triangles.iter().any(|&inside| agreement(&filled, inside) > NEARLY) {
        return Some("triangle");
    }
    points(&filled).filter(|points| (4..=12).contains(points)).map(|_| "star")
}

fn ellipse(x: f32, y: f32) -> bool {
    (x - 0.5).powi(2) + (y - 0.5).powi(2) <= 0.25
}

/// The silhouette with its holes filled, and how many pixels the largest one has.
fn filled(mask: &Mask) -> (Mask, usize) {
    let outside = components(&mask.not());
    let inner = |rect: Rect| rect.x0 > 0 && rect.y0 > 0 && rect.x1 < mask.width && rect.y1 < mask.height;
    let holes: Vec<bool> = (0..outside.areas.len()).map(|k| k > 0 && inner(outside.boxes[k])).collect();
    let largest = (0..holes.len()).filter(|&k| holes[k]).map(|k| outside.areas[k]).max().unwrap_or(0);
    (mask.or(&outside.select(&holes)), largest)
}

/// Common share of the union with a shape in the unit square.
fn agreement(mask: &Mask, inside: impl Fn(f32, f32) -> bool + Sync) -> f32 {
    let other = Plane::from_fn(mask.width, mask.height, |x, y| {
        inside((x as f32 + 0.5) / mask.width as f32, (y as f32 + 0.5) / mask.height as f32)
    });
    mask.and(&other).count() as f32 / mask.or(&other).count().max(1) as f32
}

/// Whether the silhouette has corners: an ellipse at an angle fills its rectangle less, but a rounded blob hardly.
fn corners(mask: &Mask) -> bool {
    let ellipse_share = std::f32::consts::FRAC_PI_4;
    mask.count() as f32 / (mask.width * mask.height) as f32 <= ellipse_share || mask.at(0, 0)
}

/// How many points a star has: maxima of the distance of its rim from its middle, with notches between all of them.
fn points(mask: &Mask) -> Option<usize> {
    let count = mask.count().max(1) as f32;
    let (mut x, mut y) = (0.0f32, 0.0f32);
    for v in 0..mask.height {
        for (from, to) in mask.runs(v) {
            x += (from + to - 1) as f32 / 2.0 * (to - from) as f32;
            y += (v * (to - from)) as f32;
        }
    }
    let (x, y) = (x / count, y / count);
    let reach = |direction: usize| {
        let angle = direction as f32 / DIRECTIONS as f32 * std::f32::consts::TAU;
        let (dx, dy) = (libm::cosf(angle), libm::sinf(angle));
        let inside = |r: usize| {
            let (u, v) = (x + dx * r as f32, y + dy * r as f32);
            u >= 0.0
                && v >= 0.0
                && (u as usize) < mask.width
                && (v as usize) < mask.height
                && mask.at(u as usize, v as usize)
        };
        (0..mask.width + mask.height).take_while(|&r| inside(r)).count() as f32
    };
    let reaches: Vec<f32> = (0..DIRECTIONS).map(reach).collect();
    let longest = reaches.iter().copied().fold(0.0, f32::max);
    let far: Vec<bool> = reaches.iter().map(|&r| r > 0.86 * longest).collect();
    // Runs of far directions, and the shortest reach between each two.
    let starts: Vec<usize> = (0..DIRECTIONS).filter(|&k| far[k] && !far[(k + DIRECTIONS - 1) % DIRECTIONS]).collect();
    let notched = starts.iter().enumerate().all(|(n, &start)| {
        let next = starts[(n + 1) % starts.len()] + if n + 1 == starts.len() { DIRECTIONS } else { 0 };
        (start..next).map(|k| reaches[k % DIRECTIONS]).fold(f32::INFINITY, f32::min) < NOTCH * longest
    });
    // The points of a star lie all around it.
    let spans = starts.iter().zip(starts.iter().cycle().skip(1)).map(|(a, b)| (b + DIRECTIONS - a) % DIRECTIONS);
    let even = spans.max().is_some_and(|span| span * starts.len() < 2 * DIRECTIONS);
    (notched && even).then_some(starts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(width: usize, height: usize, inside: impl Fn(f32, f32) -> bool + Sync) -> Option<&'static str> {
        shape(&Plane::from_fn(width + 20, height + 20, |x, y| {
            let (u, v) = (x as f32 - 10.0 + 0.5, y as f32 - 10.0 + 0.5);
            (0.0..width as f32).contains(&u)
                && (0.0..height as f32).contains(&v)
                && inside(u / width as f32, v / height as f32)
        }))
    }

    #[test]
    fn shapes_have_the_names_that_people_use() {
        let radius = |x: f32, y: f32| ((x - 0.5).powi(2) + (y - 0.5).powi(2)).sqrt();
        assert_eq!(named(60, 60, ellipse), Some("circle"));
        assert_eq!(named(90, 60, ellipse), Some("ellipse"));
        assert_eq!(named(60, 60, |x, y| (0.35..0.5).contains(&radius(x, y))), Some("ring"));
        assert_eq!(named(80, 80, |_, _| true), Some("square"));
        assert_eq!(named(120, 80, |_, _| true), Some("rectangle"));
        assert_eq!(named(60, 60, |x, y| (x - 0.5).abs() + (y - 0.5).abs() <= 0.5), Some("square"));
        assert_eq!(named(90, 60, |x, y| !((0.1..0.9).contains(&x) && (0.1..0.9).contains(&y))), Some("frame"));
        assert_eq!(named(80, 70, |x, y| (x - 0.5).abs() <= 0.5 * y), Some("triangle"));
        assert_eq!(named(200, 6, |_, _| true), Some("line"));
        assert_eq!(named(60, 60, |x, y| (x - y).abs() < 0.05), Some("line"));
        let star = |x: f32, y: f32| {
            let turn = libm::atan2f(y - 0.5, x - 0.5) / std::f32::consts::TAU * 5.0;
            radius(x, y) < 0.22 + 0.28 * (1.0 - 2.0 * (turn - turn.round()).abs())
        };
        assert_eq!(named(100, 100, star), Some("star"));
    }

    #[test]
    fn what_has_no_name_gets_none() {
        assert_eq!(named(60, 60, |x, y| x < 0.3 || y > 0.7), None);
        assert_eq!(named(90, 60, |x, y| (x - 0.3).hypot(y - 0.5) < 0.3 || (x - 0.75).hypot(y - 0.4) < 0.2), None);
        assert_eq!(shape(&Plane::new(30, 30, false)), None);
        assert_eq!(named(4, 4, |_, _| true), None);
    }
}
