//! Contours as paths of lines and Bézier curves: corners are found and sharpened, what is between them is smoothed and
//! fitted.

use kurbo::{BezPath, CubicBez, Point, Shape as _, Vec2};

use super::contour::Contour;
use super::corner::{Corner, corners, joints};
use super::curve::one_curve;
use super::{ACCURACY, Geometry, primitive};

/// The most lines and curves of a path: what needs more is not simple.
const MOST_SEGMENTS: usize = 400;
/// How far from an ellipse a contour may be on average to be one, in pixels.
const ELLIPSE: f64 = 0.1;
/// How far from a straight line a section may be to be one, in pixels.
const STRAIGHT: f64 = 0.3;
/// How far from the chord the handles of a curve may be that is written as a line, in pixels.
const FLAT: f64 = 0.1;
/// Both handles of a curve together, by its chord: those of half a circle are 1.33.
const LONGEST_HANDLES: f64 = 1.6;

/// How closely a path follows its contours.
#[derive(Debug, Clone, Copy)]
struct Detail {
    /// Between two points that are fitted, in pixels.
    step: f64,
    /// In pixels.
    accuracy: f64,
    /// The most points that one curve is fitted to.
    chunk: usize,
    smoothings: usize,
}

const DETAILS: [Detail; 2] = [
    Detail { step: 1.0, accuracy: 0.15, chunk: 1000, smoothings: 2 },
    Detail { step: 0.7, accuracy: 0.05, chunk: 50, smoothings: 1 },
];

/// Paths for contours, the simplest first. What needs too many segments, or has no path, is left out.
pub(super) fn traces(contours: &[Contour]) -> impl Iterator<Item = BezPath> {
    DETAILS.into_iter().filter_map(move |detail| {
        let mut path = BezPath::new();
        for contour in contours {
            add(contour, detail, &mut path)?;
        }
        path.is_finite().then_some(path)
    })
}

fn add(contour: &Contour, detail: Detail, path: &mut BezPath) -> Option<()> {
    if let Some(ellipse) = ellipse(contour) {
        path.extend(ellipse);
        return within_limit(path);
    }
    let points = resampled(contour, detail.step)?;
    let mut corners = corners(&points);
    corners.extend(joints(&points, &corners));
    corners.sort_by_key(|corner| corner.index);
    let Some(first) = corners.first() else {
        let around: Vec<Point> = points.iter().copied().chain(points.first().copied()).collect();
        path.move_to(*around.first()?);
        curves(&around, true, detail, path)?;
        path.close_path();
        return Some(());
    };
    path.move_to(first.tip);
    for (n, corner) in corners.iter().enumerate() {
        let next = corners.get(n + 1).unwrap_or(first);
        section(&points, corner, next, detail, path)?;
    }
    path.close_path();
    Some(())
}

/// Round holes and dots, in the direction of their contour.
fn ellipse(contour: &Contour) -> Option<BezPath> {
    let (area, centre, variances) = contour.moments();
    let (error, geometry) = primitive::ellipse(contour, centre, variances)?;
    let Geometry::Ellipse { centre, radii, angle } = geometry else { return None };
    let path = kurbo::Ellipse::new(centre, radii, angle).to_path(ACCURACY);
    let mut path = if area < 0.0 { path.reverse_subpaths() } else { path };
    path.close_path();
    (error < ELLIPSE).then_some(path)
}

/// Points at equal distances along the contour.
fn resampled(contour: &Contour, step: f64) -> Option<Vec<Point>> {
    let length = contour.length();
    let count = (length / step).round().clamp(8.0, 1e6) as usize;
    let step = length / count as f64;
    let mut points = Vec::with_capacity(count);
    let (mut done, mut next) = (0.0, 0.0);
    let first = *contour.points.first()?;
    for pair in contour.points.windows(2).map(|pair| (pair[0], pair[1])).chain([(*contour.points.last()?, first)]) {
        let part = pair.0.distance(pair.1);
        while next <= done + part && points.len() < count {
            points.push(if part > 0.0 { pair.0.lerp(pair.1, (next - done) / part) } else { pair.0 });
            next = points.len() as f64 * step;
        }
        done += part;
    }
    (points.len() >= 8).then_some(points)
}

/// From one corner to the next.
fn section(points: &[Point], from: &Corner, to: &Corner, detail: Detail, path: &mut BezPath) -> Option<()> {
    let count = points.len();
    let gap = (to.index + count - from.index - 1) % count + 1;
    let (start, end) = (from.index + from.rounded(), (from.index + gap).saturating_sub(to.rounded()));
    let inside = (start..=end).map(|index| points[index % count]);
    let section: Vec<Point> = std::iter::once(from.tip).chain(inside).chain([to.tip]).collect();
    let chord = to.tip - from.tip;
    let off = |point: &Point| chord.cross(*point - from.tip).abs() / chord.hypot();
    if section.iter().all(|point| off(point) <= STRAIGHT) {
        path.line_to(to.tip);
        return within_limit(path);
    }
    curves(&section, false, detail, path)
}

/// Curves along points; the path is at the first one. A closed section ends where it begins.
fn curves(section: &[Point], is_closed: bool, detail: Detail, path: &mut BezPath) -> Option<()> {
    let smooth = smoothed(section, is_closed, detail.smoothings);
    let last = smooth.len().checked_sub(1)?;
    let tangent = |index: usize| {
        let (before, after) = match index {
            0 if is_closed => (last.saturating_sub(1), 1.min(last)),
            index if index == last && is_closed => (last.saturating_sub(1), 1.min(last)),
            index => (index.saturating_sub(1), (index + 1).min(last)),
        };
        let way = smooth[after] - smooth[before];
        if way.hypot() > 0.0 { way.normalize() } else { Vec2::ZERO }
    };
    let chunks = last.div_ceil(detail.chunk).max(1);
    for chunk in 0..chunks {
        let (from, to) = (last * chunk / chunks, last * (chunk + 1) / chunks);
        let spline: Vec<CubicBez> = (from..to)
            .map(|index| {
                let (p, q) = (smooth[index], smooth[index + 1]);
                let third = p.distance(q) / 3.0;
                CubicBez::new(p, p + tangent(index) * third, q - tangent(index + 1) * third, q)
            })
            .filter(|curve| curve.p0 != curve.p3)
            .collect();
        fit(&spline, detail.accuracy, path);
        within_limit(path)?;
    }
    Some(())
}

/// As few curves as stand for a spline, each for as much of it as one can.
fn fit(spline: &[CubicBez], accuracy: f64, path: &mut BezPath) {
    let mut from = 0;
    while from < spline.len() {
        let curve_to = |to: usize| one_curve(&spline[from..to], accuracy);
        // The spline's own next curve, then what holds for longer.
        let (mut best, mut low, mut high) = (spline[from], from + 1, spline.len() + 1);
        let mut to = spline.len();
        while low < to {
            match curve_to(to).filter(is_plain) {
                Some(curve) => (best, low) = (curve, to),
                None => high = to,
            }
            to = usize::midpoint(low, high);
        }
        let chord = best.p3 - best.p0;
        let off = |point: Point| chord.cross(point - best.p0).abs() / chord.hypot();
        match off(best.p1).max(off(best.p2)) <= FLAT {
            true => path.line_to(best.p3),
            false => path.curve_to(best.p1, best.p2, best.p3),
        }
        from = low;
    }
}

/// Whether a curve goes from one end to the other without a loop or a way back.
fn is_plain(curve: &CubicBez) -> bool {
    let handles = curve.p0.distance(curve.p1) + curve.p2.distance(curve.p3);
    curve.is_finite() && handles <= LONGEST_HANDLES * curve.p0.distance(curve.p3)
}

/// Every point moved towards the middle of its neighbours; the ends of an open section stay.
fn smoothed(section: &[Point], is_closed: bool, times: usize) -> Vec<Point> {
    let mut points = section.to_vec();
    for _ in 0..times {
        let before = points.clone();
        let last = points.len().saturating_sub(1);
        let middle = |a: usize, b: usize, c: usize| {
            ((before[a].to_vec2() + before[c].to_vec2()) * 0.25 + before[b].to_vec2() * 0.5).to_point()
        };
        for (index, point) in points.iter_mut().enumerate().take(last).skip(1) {
            *point = middle(index - 1, index, index + 1);
        }
        if is_closed && last > 1 {
            points[0] = middle(last - 1, 0, 1);
            points[last] = points[0];
        }
    }
    points
}

fn within_limit(path: &BezPath) -> Option<()> {
    (path.elements().len() <= MOST_SEGMENTS).then_some(())
}
