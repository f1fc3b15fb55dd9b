//! Ellipses, rectangles, rounded rectangles and lines, fitted to one contour.

use kurbo::{Point, Vec2};

use super::Geometry;
use super::contour::Contour;

/// How far a contour may be from a primitive, in pixels: on average (root mean square) and at most. What is within is
/// still compared pixel by pixel.
const MEAN: f64 = 0.25;
const MOST: f64 = 1.0;
/// A turn, or a difference of two radii, that moves no point by more is none, in pixels.
const SNAP: f64 = 0.15;
/// The least radius of a rounded corner, in pixels: the contour of a sharp one looks no sharper.
const LEAST_RADIUS: f64 = 1.3;
/// The least length of a rectangle's straight side, in pixels.
const LEAST_SIDE: f64 = 1.0;
/// The least radius of an ellipse, in pixels.
const LEAST_HALF: f64 = 0.5;
/// How far from a sharp corner its contour is round, in pixels.
const CORNER: f64 = 2.0;
/// A rectangle below this side, in pixels, is measured by its area: its edges touch.
const THIN: f64 = 4.0;
/// A rectangle as many times as long as it is wide is a line.
const LINE: f64 = 12.0;

/// The primitives that a contour may be, the most likely first. `area` is the sum of the pixels' shares.
pub(super) fn primitives(contour: &Contour, area: f64) -> Vec<Geometry> {
    let (signed, centre, variances) = contour.moments();
    if signed <= 0.0 {
        return Vec::new();
    }
    let found = [rectangle(contour, centre, variances, area), ellipse(contour, centre, variances)];
    let mut found: Vec<(f64, Geometry)> = found.into_iter().flatten().collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, geometry)| geometry).collect()
}

/// The ellipse with the variances of the contour, and how far the contour is from it.
pub(super) fn ellipse(contour: &Contour, centre: Point, [xx, xy, yy]: [f64; 3]) -> Option<(f64, Geometry)> {
    let (mean, half) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
    let (mut a, mut b) = (2.0 * (mean + half).sqrt(), 2.0 * (mean - half).max(0.0).sqrt());
    let mut angle = f64::atan2(2.0 * xy, xx - yy) / 2.0;
    if a - b < SNAP {
        a = (a * b).sqrt();
        (b, angle) = (a, 0.0);
    } else if (a - b) * angle.sin().abs() < SNAP {
        angle = 0.0;
    } else if (a - b) * angle.cos().abs() < SNAP {
        (a, b, angle) = (b, a, 0.0);
    }
    // Not where anything is NaN either.
    let has_area = a.min(b) > LEAST_HALF;
    if !has_area {
        return None;
    }
    let distance = |point: &Point| {
        let p = turned(*point - centre, -angle);
        let level = (p.x / a).hypot(p.y / b);
        // By the slope of the level; the centre itself is far from everything.
        let slope = (p.x / (a * a)).hypot(p.y / (b * b)) / level;
        if slope > 0.0 { (level - 1.0) / slope } else { f64::INFINITY }
    };
    let error = error(contour.points.iter().map(distance))?;
    Some((error, Geometry::Ellipse { centre, radii: Vec2::new(a, b), angle }))
}

/// The rectangle with the most frequent direction of the contour, sharp or rounded.
fn rectangle(contour: &Contour, centre: Point, [xx, xy, yy]: [f64; 3], area: f64) -> Option<(f64, Geometry)> {
    let spread = ((xx + yy) / 2.0 + ((xx - yy) / 2.0).hypot(xy)).sqrt();
    let mut angle = direction(contour);
    if angle.sin().abs() * spread < SNAP {
        angle = 0.0;
    }
    let around: Vec<Vec2> = contour.points.iter().map(|point| turned(*point - centre, -angle)).collect();
    let reach = |of: &dyn Fn(&Vec2) -> f64| around.iter().map(of).fold(0.0, f64::max);
    // The middle of opposite sides; then everything is measured from there.
    let (left, right, top, bottom) = (reach(&|p| -p.x), reach(&|p| p.x), reach(&|p| -p.y), reach(&|p| p.y));
    let (mut half, mut middle) =
        (Vec2::new(left + right, top + bottom) / 2.0, Vec2::new(right - left, bottom - top) / 2.0);
    let radius = |half: Vec2, middle: Vec2| corner_radius(&around, half, middle).min(half.x.min(half.y));
    let inside = half - Vec2::new(1.0, 1.0) * (radius(half, middle) + CORNER);
    let side = |along: &dyn Fn(Vec2) -> (f64, f64), reach: f64, other: f64| {
        let on = around.iter().map(|p| along(*p - middle)).filter(|(u, v)| *u > reach - 1.0 && v.abs() < other);
        mean(on.map(|(u, _)| u)).unwrap_or(reach)
    };
    let (right, left) = (side(&|p| (p.x, p.y), half.x, inside.y), side(&|p| (-p.x, p.y), half.x, inside.y));
    let (bottom, top) = (side(&|p| (p.y, p.x), half.y, inside.x), side(&|p| (-p.y, p.x), half.y, inside.x));
    half = Vec2::new(left + right, top + bottom) / 2.0;
    middle += Vec2::new(right - left, bottom - top) / 2.0;
    let mut radius = radius(half, middle);
    if radius < LEAST_RADIUS {
        radius = 0.0;
    }
    if half.x.min(half.y) * 2.0 < THIN {
        return thin(centre, half, angle, area);
    }
    // Round on all sides.
    if half.x.max(half.y) - radius < LEAST_SIDE / 2.0 {
        return None;
    }
    let distance = |p: &Vec2| {
        let p = *p - middle;
        let out = Vec2::new(p.x.abs() - half.x + radius, p.y.abs() - half.y + radius);
        let is_corner = radius == 0.0 && out.x > -CORNER && out.y > -CORNER;
        let beside = Vec2::new(out.x.max(0.0), out.y.max(0.0)).hypot();
        if is_corner { out.x.max(out.y).max(0.0) } else { beside + out.x.max(out.y).min(0.0) - radius }
    };
    let error = error(around.iter().map(distance))?;
    let centre = centre + turned(middle, angle);
    Some((error, line_or_rectangle(centre, half * 2.0, radius, angle)))
}

/// A line of few pixels has no edges to measure; its length and its area say how wide it is.
fn thin(centre: Point, half: Vec2, angle: f64, area: f64) -> Option<(f64, Geometry)> {
    let length = 2.0 * half.x.max(half.y);
    let width = area / length;
    if !(width > 0.0 && width < length) {
        return None;
    }
    let size = if half.x > half.y { Vec2::new(length, width) } else { Vec2::new(width, length) };
    Some((0.0, line_or_rectangle(centre, size, 0.0, angle)))
}

fn line_or_rectangle(centre: Point, size: Vec2, radius: f64, angle: f64) -> Geometry {
    let (length, width) = (size.x.max(size.y), size.x.min(size.y));
    let is_round = width / 2.0 - radius < 0.1 * width;
    if length < LINE * width || (radius > 0.0 && !is_round) {
        return Geometry::Rectangle { centre, size, radius, angle };
    }
    let along = if size.x > size.y { Vec2::new(1.0, 0.0) } else { Vec2::new(0.0, 1.0) };
    // Round ends reach beyond the ends of the line.
    let half = turned(along, angle) * ((if is_round { length - width } else { length }) / 2.0);
    Geometry::Line { from: centre - half, to: centre + half, width, is_round }
}

/// How round the corners are, by the farthest points along the diagonals.
fn corner_radius(around: &[Vec2], half: Vec2, middle: Vec2) -> f64 {
    let mut farthest = [0.0_f64; 4];
    for p in around {
        let p = *p - middle;
        let corner = usize::from(p.x > 0.0) + 2 * usize::from(p.y > 0.0);
        farthest[corner] = farthest[corner].max(p.x.abs() + p.y.abs());
    }
    let cut = half.x + half.y - farthest.iter().sum::<f64>() / 4.0;
    // An arc's middle is nearer than the corner by so much of its radius, along both sides together.
    (cut / (2.0 - std::f64::consts::SQRT_2)).max(0.0)
}

/// The angle that most of the contour is at, modulo a quarter turn: -45 to 45 degrees, in radians.
fn direction(contour: &Contour) -> f64 {
    const STRIDE: usize = 4;
    let points = &contour.points;
    let ahead = points.iter().cycle().skip(STRIDE);
    let sum = points.iter().zip(ahead).fold(Vec2::ZERO, |sum, (p, q)| {
        let way = *q - *p;
        sum + Vec2::from_angle(4.0 * way.atan2()) * way.hypot()
    });
    sum.atan2() / 4.0
}

/// The root mean square of distances; none where one of them is too far.
fn error(distances: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for distance in distances {
        let is_near = distance.abs() <= MOST;
        if !is_near {
            return None;
        }
        sum += distance * distance;
        count += 1.0;
    }
    let error = f64::sqrt(sum / count);
    (error <= MEAN).then_some(error)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then_some(sum / count)
}

fn turned(p: Vec2, angle: f64) -> Vec2 {
    let (sin, cos) = angle.sin_cos();
    Vec2::new(p.x * cos - p.y * sin, p.x * sin + p.y * cos)
}
