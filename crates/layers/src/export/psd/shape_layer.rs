//! Shape layers: a fill, the path that cuts it, and of primitives what they are. The layer's pixels stay what programs show
//! until the shape is edited.

use std::f64::consts::TAU;

use kurbo::{ParamCurve as _, PathEl, PathSeg, Point};

use super::super::shapes::Geometry;
use super::ExportError;
use super::descriptor::{self, Item, Value};

/// "Path resource format" in Adobe's specification: records of 26 bytes, each with its kind.
const RECORD: usize = 26;
const FILL_RULE: u16 = 6;
const INITIAL_FILL: u16 = 8;
const CLOSED_PATH: u16 = 0;
const LINKED_KNOT: u16 = 1;
const UNLINKED_KNOT: u16 = 2;
/// How a path is put together with those before.
const EXCLUDE: u16 = 0;
const COMBINE: u16 = 1;
const EVEN_ODD: u16 = 1;
/// Coordinates are shares of the canvas in these parts.
const PARTS: f64 = 16_777_216.0;
/// How close curves are to arcs, in pixels: an ellipse has four knots, as those that are drawn by hand.
const ACCURACY: f64 = 0.1;
/// Two points that are nearer are one, in pixels.
const SAME: f64 = 1e-6;
/// Kinds of live shapes.
const RECTANGLE: i32 = 1;
const ROUNDED_RECTANGLE: i32 = 2;
const ELLIPSE: i32 = 5;
/// The turn of a curve's tangent below which it goes on smoothly, in radians.
const SMOOTH: f64 = 0.01;

/// The content of `SoCo`: one colour, red, green and blue.
pub(super) fn fill(colour: [u8; 3]) -> Result<Vec<u8>, ExportError> {
    let channels = ["Rd  ", "Grn ", "Bl  "].into_iter().zip(colour);
    let colour = channels.map(|(key, value)| (key, Value::Double(value.into()))).collect();
    descriptor::write("null", &[("Clr ", Value::Object("RGBC", colour))])
}

/// The content of `vmsk`: a shape as a path, in pixels of a canvas of a width and a height.
pub(super) fn vector_mask(geometry: &Geometry, canvas: (u32, u32)) -> Vec<u8> {
    let path = geometry.path(ACCURACY);
    // Version 3, no flags.
    let mut out = vec![0, 0, 0, 3, 0, 0, 0, 0];
    record(&mut out, FILL_RULE, &[]);
    record(&mut out, INITIAL_FILL, &[]);
    for (n, part) in path.subpaths().enumerate() {
        let knots = knots(part);
        // A path of more knots than a record can count is none of ours.
        let count = u16::try_from(knots.len()).unwrap_or(u16::MAX);
        let operation = if n == 0 { COMBINE } else { EXCLUDE };
        let head: Vec<u8> = [count, operation, EVEN_ODD].iter().flat_map(|value| value.to_be_bytes()).collect();
        record(&mut out, CLOSED_PATH, &head);
        for knot in knots.iter().take(count.into()) {
            let bytes: Vec<u8> = knot.points().into_iter().flat_map(|point| place(point, canvas)).collect();
            record(&mut out, if knot.is_smooth() { LINKED_KNOT } else { UNLINKED_KNOT }, &bytes);
        }
    }
    out
}

fn record(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    let end = out.len() + RECORD;
    out.extend(kind.to_be_bytes());
    out.extend(content);
    out.resize(end, 0);
}

/// The vertical share, then the horizontal one.
fn place(point: Point, (width, height): (u32, u32)) -> impl Iterator<Item = u8> {
    let share = |at: f64, side: u32| (at / f64::from(side.max(1)) * PARTS).round() as i32;
    [share(point.y, height), share(point.x, width)].into_iter().flat_map(i32::to_be_bytes)
}

/// A point of a path, with the handles before and after it.
struct Knot {
    before: Point,
    at: Point,
    after: Point,
}

impl Knot {
    fn points(&self) -> [Point; 3] {
        [self.before, self.at, self.after]
    }

    fn is_smooth(&self) -> bool {
        let (into, out) = (self.at - self.before, self.after - self.at);
        into.hypot() > 0.0 && out.hypot() > 0.0 && into.cross(out).atan2(into.dot(out)).abs() < SMOOTH
    }
}

/// The knots of one closed path.
fn knots(path: &[PathEl]) -> Vec<Knot> {
    let mut knots: Vec<Knot> = Vec::new();
    for segment in kurbo::segments(path.iter().copied()) {
        let (start, end) = (segment.start(), segment.end());
        if start.distance(end) < SAME {
            continue;
        }
        let (leaving, entering) = match segment {
            PathSeg::Line(_) => (start, end),
            PathSeg::Quad(_) | PathSeg::Cubic(_) => {
                let cubic = segment.to_cubic();
                (cubic.p1, cubic.p2)
            }
        };
        match knots.last_mut() {
            Some(last) => last.after = leaving,
            None => knots.push(Knot { before: start, at: start, after: leaving }),
        }
        knots.push(Knot { before: entering, at: end, after: end });
    }
    // The path ends where it began.
    if knots.len() > 1
        && let Some(last) = knots.pop()
    {
        knots[0].before = last.before;
    }
    knots
}

/// The content of `vogk`, which keeps a primitive's size and corners editable. None for turned ones and for contours.
pub(super) fn origin(geometry: &Geometry) -> Result<Option<Vec<u8>>, ExportError> {
    let (kind, centre, size, radius) = match *geometry {
        Geometry::Ellipse { centre, radii, angle } if angle % TAU == 0.0 => (ELLIPSE, centre, radii * 2.0, 0.0),
        Geometry::Rectangle { centre, size, radius, angle } if angle % TAU == 0.0 => {
            (if radius > 0.0 { ROUNDED_RECTANGLE } else { RECTANGLE }, centre, size, radius)
        }
        _ => return Ok(None),
    };
    let (low, high) = (centre - size / 2.0, centre + size / 2.0);
    let quad = |values: [(&'static str, f64); 4]| -> Vec<Item<'static>> {
        let values = values.map(|(key, value)| (key, Value::Pixels(value)));
        std::iter::once(("unitValueQuadVersion", Value::Long(1))).chain(values).collect()
    };
    let mut items = vec![("keyOriginType", Value::Long(kind)), ("keyOriginResolution", Value::Double(72.0))];
    if kind == ROUNDED_RECTANGLE {
        let radii = quad(["topRight", "topLeft", "bottomLeft", "bottomRight"].map(|corner| (corner, radius)));
        items.push(("keyOriginRRectRadii", Value::Object("radii", radii)));
    }
    let bounds = quad([("Top ", low.y), ("Left", low.x), ("Btom", high.y), ("Rght", high.x)]);
    items.push(("keyOriginShapeBBox", Value::Object("unitRect", bounds)));
    items.push(("keyOriginIndex", Value::Long(0)));
    let mut out = 1_u32.to_be_bytes().to_vec();
    out.extend(descriptor::write("null", &[("keyDescriptorList", Value::Single("null", items))])?);
    Ok(Some(out))
}
