//! Shapes as those of DrawingML (ECMA-376 part 1, 20.1.9).

use std::fmt::Write as _;

use kurbo::{BezPath, PathEl, Point, Shape as _, Vec2};
use typeset::Colour;

use super::super::shapes::{FlatShape, Geometry};
use super::text::solid;
use super::{FARTHEST, Scale};

/// Angles are written in these parts of a degree, and shares in these of the whole.
const PARTS_OF_A_DEGREE: f64 = 60_000.0;
const PARTS_OF_THE_WHOLE: f64 = 100_000.0;
/// The widest line, in EMU (`ST_LineWidth`).
const WIDEST: f64 = 20_116_800.0;

/// The element of a shape; `properties` is its name.
pub(super) fn shape(shape: &FlatShape, properties: &str, scale: &Scale, opacity: f32) -> String {
    let [red, green, blue] = shape.colour;
    let fill = solid(Colour { red, green, blue, alpha: shape.alpha }, opacity);
    let (place, geometry) = match &shape.geometry {
        Geometry::Line { from, to, width, is_round } => {
            return line((*from, *to), (*width, *is_round), &fill, properties, scale);
        }
        Geometry::Ellipse { centre, radii, angle } => {
            (place(*centre, *radii * 2.0, *angle, scale), preset("ellipse", ""))
        }
        Geometry::Rectangle { centre, size, radius, angle } => {
            let share = (radius / size.x.min(size.y) * PARTS_OF_THE_WHOLE).round().clamp(0.0, PARTS_OF_THE_WHOLE / 2.0);
            let radius = format!("<a:gd name=\"adj\" fmla=\"val {share}\"/>");
            let geometry = if share > 0.0 { preset("roundRect", &radius) } else { preset("rect", "") };
            (place(*centre, *size, *angle, scale), geometry)
        }
        Geometry::Path(path) => contour(path, scale),
    };
    format!(
        "<p:sp><p:nvSpPr>{properties}<p:cNvSpPr/><p:nvPr/></p:nvSpPr>\
         <p:spPr>{place}{geometry}{fill}<a:ln><a:noFill/></a:ln></p:spPr></p:sp>"
    )
}

fn preset(name: &str, values: &str) -> String {
    format!("<a:prstGeom prst=\"{name}\"><a:avLst>{values}</a:avLst></a:prstGeom>")
}

fn emu(pixels: f64, scale: &Scale) -> i64 {
    ((pixels * scale.emu_per_pixel).round() as i64).clamp(-FARTHEST, FARTHEST - 1)
}

/// A box as it is before its turn about its centre.
fn place(centre: Point, size: Vec2, angle: f64, scale: &Scale) -> String {
    let turn = match (angle.to_degrees().rem_euclid(360.0) * PARTS_OF_A_DEGREE).round() {
        0.0 => String::new(),
        turn => format!(" rot=\"{turn}\""),
    };
    let corner = centre - size / 2.0;
    format!("<a:xfrm{turn}>{}</a:xfrm>", frame(corner, corner + size, 1, scale))
}

/// Edges are rounded, not sizes, so that neighbours keep touching. `least` is the least size, in EMU.
fn frame(low: Point, high: Point, least: i64, scale: &Scale) -> String {
    let (left, top) = (emu(low.x, scale), emu(low.y, scale));
    let (width, height) = (emu(high.x, scale) - left, emu(high.y, scale) - top);
    format!("<a:off x=\"{left}\" y=\"{top}\"/><a:ext cx=\"{}\" cy=\"{}\"/>", width.max(least), height.max(least))
}

/// A line runs from the upper left of its box to the lower right, or as its mirror image.
fn line(
    (from, to): (Point, Point),
    (width, is_round): (f64, bool),
    fill: &str,
    properties: &str,
    scale: &Scale,
) -> String {
    let low = Point::new(from.x.min(to.x), from.y.min(to.y));
    let high = Point::new(from.x.max(to.x), from.y.max(to.y));
    let mirrored = if (to.x - from.x) * (to.y - from.y) < 0.0 { " flipV=\"1\"" } else { "" };
    let width = (width * scale.emu_per_pixel).round().clamp(1.0, WIDEST);
    let cap = if is_round { "rnd" } else { "flat" };
    format!(
        "<p:cxnSp><p:nvCxnSpPr>{properties}<p:cNvCxnSpPr/><p:nvPr/></p:nvCxnSpPr>\
         <p:spPr><a:xfrm{mirrored}>{}</a:xfrm>{}<a:ln w=\"{width}\" cap=\"{cap}\">{fill}</a:ln></p:spPr></p:cxnSp>",
        frame(low, high, 0, scale),
        preset("line", ""),
    )
}

/// The place and the geometry of a path, in EMU from its upper left.
fn contour(path: &BezPath, scale: &Scale) -> (String, String) {
    let bounds = path.bounding_box();
    let (low, high) = (Point::new(bounds.x0, bounds.y0), Point::new(bounds.x1, bounds.y1));
    let (left, top) = (emu(low.x, scale), emu(low.y, scale));
    let (width, height) = ((emu(high.x, scale) - left).max(1), (emu(high.y, scale) - top).max(1));
    let mut steps = String::new();
    let point = |p: Point| format!("<a:pt x=\"{}\" y=\"{}\"/>", emu(p.x, scale) - left, emu(p.y, scale) - top);
    for element in path {
        let _ = match element {
            PathEl::MoveTo(to) => write!(steps, "<a:moveTo>{}</a:moveTo>", point(to)),
            PathEl::LineTo(to) => write!(steps, "<a:lnTo>{}</a:lnTo>", point(to)),
            PathEl::QuadTo(by, to) => write!(steps, "<a:quadBezTo>{}{}</a:quadBezTo>", point(by), point(to)),
            PathEl::CurveTo(by, and, to) => {
                write!(steps, "<a:cubicBezTo>{}{}{}</a:cubicBezTo>", point(by), point(and), point(to))
            }
            PathEl::ClosePath => write!(steps, "<a:close/>"),
        };
    }
    let geometry = format!(
        "<a:custGeom><a:avLst/><a:gdLst/><a:ahLst/><a:cxnLst/><a:rect l=\"0\" t=\"0\" r=\"r\" b=\"b\"/>\
         <a:pathLst><a:path w=\"{width}\" h=\"{height}\">{steps}</a:path></a:pathLst></a:custGeom>"
    );
    (format!("<a:xfrm>{}</a:xfrm>", frame(low, high, 1, scale)), geometry)
}
